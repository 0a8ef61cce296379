// The script of the sign-up form: it posts JSON without leaving the page, counts the characters of the password, and
// shows it on request. Errors come from the problem details of the response (RFC 9457). All texts are in the page.

const byId = (id) => document.getElementById(id);
const form = byId("sign-up");
const texts = form.dataset;
const [password, missing, show, submit, status, summary] = [
  "password", "password-missing", "show-password", "submit", "status", "summary",
].map(byId);
const fields = form.querySelectorAll("input:not([type=hidden]), select");
const key = form.elements["idempotency-key"];
// The title ends with the name of the service.
const service = document.title.slice((summary.hidden ? texts.title : texts.titleWithErrors).length);

// Whether a request is in progress, and whether the current idempotency key has been sent.
let sending = false;
let used = false;

function renewKey() {
  key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  used = false;
}

function createElement(tag, text, ...children) {
  const created = document.createElement(tag);
  created.append(text, ...children);
  return created;
}

/** Show a text in an element, or hide the element if the text is "". */
function setText(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

/** Show the error of a field, or clear it if the text is "". */
function showFieldError(field, text) {
  const place = byId(`${field.id}-error`);
  setText(place, text);
  // There is room for one text below the field: the error replaces the character count.
  if (text && field === password) missing.textContent = "";
  const described = [byId(`${field.id}-hint`)?.id, text && place.id].filter(Boolean).join(" ");
  const attributes = { "aria-invalid": text && "true", "aria-describedby": described };
  for (const [name, value] of Object.entries(attributes)) {
    if (value) field.setAttribute(name, value);
    else field.removeAttribute(name);
  }
}

function clearErrors() {
  fields.forEach((field) => showFieldError(field, ""));
  form.querySelectorAll("[id$=-error]").forEach((place) => setText(place, ""));
  summary.hidden = true;
  document.title = texts.title + service;
}

/** Animate the form from its old position, so that it does not jump. */
function slideFrom(top) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const distance = top - form.getBoundingClientRect().top;
  form.animate({ transform: [`translateY(${distance}px)`, "none"] }, { duration: 200, easing: "ease-out" });
}

/** Show problem details: each error next to its field, and a summary above the form. Focus the summary. */
function showProblem(problem, ...sentences) {
  const { top } = form.getBoundingClientRect();
  const items = [];
  clearErrors();
  const errors = problem.code === "email_taken" ? [{ pointer: "/email", detail: problem.detail }] : problem.errors;
  for (const { pointer, detail } of errors ?? []) {
    const name = pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
    const [field, place] = [byId(name), byId(`${name}-error`)];
    if (field && place) showFieldError(field, detail);
    else if (place) setText(place, detail);
    // The error text of an extra field does not name the field, so prepend its label.
    const link = createElement("a", field?.dataset.label ? `${field.dataset.label}: ${detail}` : detail);
    link.href = `#${name}`;
    items.push(createElement("li", field && place ? link : place ? detail : `${name}: ${detail}`));
  }
  if (problem.detail && !errors) sentences.unshift(problem.detail);
  summary.replaceChildren(
    createElement("h2", problem.errors ? texts.errors : problem.title),
    ...sentences.map((text) => createElement("p", text)),
    ...(items.length ? [createElement("ul", "", ...items)] : []),
  );
  summary.hidden = false;
  document.title = texts.titleWithErrors + service;
  slideFrom(top);
  summary.focus();
}

/** Return the JSON value of an extra field, or undefined if it is empty. The Worker refuses values of the wrong type. */
function extraValue({ checked, dataset, required, value }) {
  if (dataset.type === "boolean") return checked || (required ? undefined : false);
  const text = value.trim();
  if (!text) return undefined;
  return dataset.type === "integer" && /^-?[0-9]{1,16}$/.test(text) ? Number(text) : value;
}

/** Return the fields as an object for the JSON body; extra fields are members of `extra`. */
function readFields({ "idempotency-key": _, ...content }) {
  const extras = [...form.querySelectorAll("[data-extra]")];
  for (const { name } of extras) delete content[name];
  if (extras.length) content.extra = Object.fromEntries(extras.map((field) => [field.dataset.extra, extraValue(field)]));
  return content;
}

/** Post the form; return the response and its content, or [] if there is no readable response. */
async function post() {
  const content = readFields(Object.fromEntries(new FormData(form)));
  try {
    const response = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "idempotency-key": key.value },
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(texts.patience * 1000),
    });
    return [response, await response.json()];
  } catch {
    return [];
  }
}

function showDone() {
  const end = byId("done");
  byId("entry").hidden = true;
  end.hidden = false;
  document.title = end.querySelector("h1").textContent + service;
  end.focus();
}

function showFailure(response, problem) {
  globalThis.turnstile?.reset();
  if (!response) return showProblem({ title: texts.noResponseTitle }, texts.noResponse, texts.safeToRetry);
  const sentences = [];
  const after = response.headers.get("retry-after");
  if (after) sentences.push(texts.retryAfter.replace("{seconds}", after));
  if (response.status === 504) sentences.push(texts.safeToRetry);
  // After a 5xx response, the user may have been created. A retry with the same key does not create a second one.
  if (response.status < 500 && response.status !== 429) renewKey();
  showProblem(problem, ...sentences);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = used = true;
  form.setAttribute("aria-busy", "true");
  submit.setAttribute("aria-disabled", "true");
  status.textContent = texts.sending;
  const [response, content] = await post();
  // The form stays busy until the next page loads.
  if (response?.ok && texts.next) return location.assign(texts.next);
  sending = false;
  form.removeAttribute("aria-busy");
  submit.removeAttribute("aria-disabled");
  status.textContent = "";
  if (response?.ok) showDone();
  else showFailure(response, content);
});

form.addEventListener("input", ({ target }) => {
  if (used) renewKey();
  // The error applied to the previous value.
  if ([...fields].includes(target)) showFieldError(target, "");
});

password.addEventListener("input", () => {
  // Count code points in NFC, as the Worker does. The minimum counts at most three combining marks per character.
  const composed = password.value.normalize("NFC");
  const length = [...composed].length;
  const counted = [...composed.replace(/(\p{M}{3})\p{M}+/gu, "$1")].length;
  const [least, most] = [Number(texts.least), Number(texts.most)];
  if (counted < least) missing.textContent = texts.missing.replace("{n}", least - counted);
  else missing.textContent = length > most ? texts.surplus.replace("{n}", length - most) : texts.enough;
});

show.hidden = false;
show.addEventListener("click", () => {
  const shown = show.getAttribute("aria-pressed") !== "true";
  show.setAttribute("aria-pressed", String(shown));
  password.type = shown ? "text" : "password";
});

// Going back in the history shows a new form instead of the submitted one.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
