// The sign-up form, with JavaScript: it posts JSON and stays, says what a password still lacks, and can show it.
// Whatever is wrong is taken from the answer's problem details (RFC 9457), and all texts are in the page.

const byId = (id) => document.getElementById(id);
const form = byId("sign-up");
const texts = form.dataset;
const [password, missing, show, submit, status, summary] = [
  "password", "password-missing", "show-password", "submit", "status", "summary",
].map(byId);
const key = form.elements["idempotency-key"];
const named = form.querySelectorAll("input:not([type=hidden])");

// Whether the form is on its way, and whether its key has been sent.
let sending = false;
let used = false;

/** A text for a number of something. */
const counted = (name, n) => (n === 1 ? texts[`${name}One`] : texts[name].replace("{n}", n));

function renew() {
  key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  used = false;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** Show a field's problem, or with "" none. */
function mark(field, text) {
  const place = byId(`${field.id}-error`);
  place.textContent = text;
  place.hidden = !text;
  const hint = byId(`${field.id}-hint`);
  const described = [hint?.id, text && place.id].filter(Boolean).join(" ");
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
  if (described) field.setAttribute("aria-describedby", described);
  else field.removeAttribute("aria-describedby");
}

function clear() {
  named.forEach((field) => mark(field, ""));
  const check = byId("cf-turnstile-response-error");
  if (check) check.hidden = true;
  summary.hidden = true;
  summary.replaceChildren();
}

/** Show problem details: at the fields what is theirs, and the rest below the button, where nothing has to make room. */
function complain(problem, sentences) {
  const errors = problem.errors ?? (problem.code === "email_taken" ? [{ pointer: "/email" }] : []);
  const others = [];
  for (const { pointer, detail } of errors) {
    const name = pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
    const place = byId(`${name}-error`);
    const field = byId(name);
    const label = form.querySelector(`label[for="${CSS.escape(name)}"]`) ?? { textContent: texts[name] ?? name };
    const text = detail ? `${label.textContent} ${detail}` : problem.detail;
    if (place && field) mark(field, text);
    else if (place) {
      place.textContent = text;
      place.hidden = false;
    }
    if (!place || !field) others.push(element("li", text));
  }
  const title = element("h2", problem.errors ? texts.check : problem.title);
  const list = element("ul", "");
  list.append(...others);
  summary.replaceChildren(title, ...sentences.map((text) => element("p", text)), ...(others.length ? [list] : []));
  summary.hidden = false;
  form.after(summary);
  (form.querySelector("[aria-invalid=true]") ?? summary).focus();
}

/** Post the form; return the answer and its content, or nothing when there was no answer that can be read. */
async function post() {
  const { "idempotency-key": own, ...fields } = Object.fromEntries(new FormData(form));
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "idempotency-key": own },
      body: JSON.stringify(fields),
      signal: AbortSignal.timeout(texts.patience * 1000),
    });
    return [answer, await answer.json()];
  } catch {
    return [];
  }
}

function done() {
  if (texts.next) return location.assign(texts.next);
  byId("entry").hidden = true;
  const end = byId("done");
  end.hidden = false;
  document.title = document.title.replace(/^.* \u2013/, `${end.querySelector("h1").textContent} \u2013`);
  end.focus();
}

async function signUp() {
  clear();
  const [answer, content] = await post();
  if (answer?.ok) return done();
  globalThis.turnstile?.reset();
  if (!answer) return complain({ title: texts.unheard }, [texts.unheardWhy, texts.again]);
  const after = answer.headers.get("retry-after");
  const sentences = content.errors || content.code === "email_taken" ? [] : [content.detail];
  if (after) sentences.push(counted("retry", Number(after)));
  if (answer.status === 504) sentences.push(texts.again);
  // Whether there is a user now may not be known: the same key keeps there from being two.
  if (answer.status < 500 && answer.status !== 429) renew();
  complain(content, sentences);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = used = true;
  form.setAttribute("aria-busy", "true");
  submit.setAttribute("aria-disabled", "true");
  status.textContent = texts.sending;
  await signUp();
  sending = false;
  form.removeAttribute("aria-busy");
  submit.removeAttribute("aria-disabled");
  status.textContent = "";
});

form.addEventListener("input", () => {
  if (used) renew();
});

password.addEventListener("input", () => {
  // As the Worker counts: code points, composed.
  const length = [...password.value.normalize("NFC")].length;
  const [least, most] = [Number(texts.least), Number(texts.most)];
  if (length < least) missing.textContent = counted("missing", least - length);
  else missing.textContent = length > most ? counted("surplus", length - most) : texts.enough;
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
