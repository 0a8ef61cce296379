// The sign-up form, with JavaScript: it posts JSON and stays, says what a password still lacks, and can show it.
// Whatever is wrong is taken from the answer's problem details (RFC 9457), and all texts are in the page.

const byId = (id) => document.getElementById(id);
const form = byId("sign-up");
const texts = form.dataset;
const [password, missing, show, submit, status, summary] = [
  "password", "password-missing", "show-password", "submit", "status", "summary",
].map(byId);
const fields = form.querySelectorAll("input:not([type=hidden])");
const key = form.elements["idempotency-key"];
// What follows the title proper: the service's name.
const service = document.title.slice((summary.hidden ? texts.title : texts.titleWithErrors).length);

// Whether the form is on its way, and whether its key has been sent.
let sending = false;
let used = false;

function renew() {
  key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  used = false;
}

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  made.append(text, ...children);
  return made;
}

/** Say what is wrong, or with "" nothing, at the place for it. */
function tell(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

/** Show a field's problem, or with "" none. */
function mark(field, text) {
  const place = byId(`${field.id}-error`);
  tell(place, text);
  // It says the same, and there is room for one of the two.
  if (text && field === password) missing.textContent = "";
  const described = [byId(`${field.id}-hint`)?.id, text && place.id].filter(Boolean).join(" ");
  const attributes = { "aria-invalid": text && "true", "aria-describedby": described };
  for (const [name, value] of Object.entries(attributes)) {
    if (value) field.setAttribute(name, value);
    else field.removeAttribute(name);
  }
}

function clear() {
  fields.forEach((field) => mark(field, ""));
  form.querySelectorAll("[id$=-error]").forEach((place) => tell(place, ""));
  summary.hidden = true;
  document.title = texts.title + service;
}

/** Show problem details: at the fields what is theirs, and all of it below the button, where nothing has to make room. */
function complain(problem, ...sentences) {
  const items = [];
  for (const { pointer, detail } of problem.errors ?? []) {
    const name = pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
    const [field, place] = [byId(name), byId(`${name}-error`)];
    if (field && place) mark(field, detail);
    else if (place) tell(place, detail);
    const link = element("a", detail);
    link.href = `#${name}`;
    items.push(element("li", field && place ? link : place ? detail : `${name}: ${detail}`));
  }
  if (problem.detail && !problem.errors) sentences.unshift(problem.detail);
  if (problem.code === "email_taken") mark(form.elements.email, problem.detail);
  summary.replaceChildren(
    element("h2", problem.errors ? texts.errors : problem.title),
    ...sentences.map((text) => element("p", text)),
    ...(items.length ? [element("ul", "", ...items)] : []),
  );
  summary.hidden = false;
  form.after(summary);
  document.title = texts.titleWithErrors + service;
  (form.querySelector("[aria-invalid=true]") ?? summary).focus();
}

/** Post the form; return the answer and its content, or nothing when there was no answer that can be read. */
async function post() {
  const { "idempotency-key": own, ...content } = Object.fromEntries(new FormData(form));
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "idempotency-key": own },
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(texts.patience * 1000),
    });
    return [answer, await answer.json()];
  } catch {
    return [];
  }
}

function done() {
  const end = byId("done");
  byId("entry").hidden = true;
  end.hidden = false;
  document.title = end.querySelector("h1").textContent + service;
  end.focus();
}

function refused(answer, problem) {
  globalThis.turnstile?.reset();
  if (!answer) return complain({ title: texts.noResponseTitle }, texts.noResponse, texts.safeToRetry);
  const sentences = [];
  const after = answer.headers.get("retry-after");
  if (after) sentences.push(texts.retryAfter.replace("{seconds}", after));
  if (answer.status === 504) sentences.push(texts.safeToRetry);
  // Whether there is a user now may not be known: the same key keeps there from being two.
  if (answer.status < 500 && answer.status !== 429) renew();
  complain(problem, ...sentences);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = used = true;
  form.setAttribute("aria-busy", "true");
  submit.setAttribute("aria-disabled", "true");
  clear();
  status.textContent = texts.sending;
  const [answer, content] = await post();
  // Still on its way, so to speak.
  if (answer?.ok && texts.next) return location.assign(texts.next);
  sending = false;
  form.removeAttribute("aria-busy");
  submit.removeAttribute("aria-disabled");
  status.textContent = "";
  if (answer?.ok) done();
  else refused(answer, content);
});

form.addEventListener("input", ({ target }) => {
  if (used) renew();
  // It was about what is no longer there.
  if ([...fields].includes(target)) mark(target, "");
});

password.addEventListener("input", () => {
  // As the Worker counts: code points, composed; toward the least, at most three marks a character.
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

// Whoever comes back gets a new form, and not what was left of the one that was sent.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
