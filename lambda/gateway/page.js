// The page: which model, its form, one request at a time, and its answer.

const keyNeeded = document.documentElement.dataset.keyNeeded === "yes";
const START = "Fill in the fields, then predict.";
const CHANGED = "The fields have changed. Predict again.";
const SECONDS = 240; // The slowest front end, App Service's, gives up after 230.
// What a front end answers in the gateway's place has no reason in it, or one that is no sentence:
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
// https://cloud.google.com/run/docs/troubleshooting
// https://learn.microsoft.com/troubleshoot/azure/app-service/welcome-app-service
const REASONS = {
  401: "Something in front of the gateway asks for a login.",
  403: "The cloud lets nobody, or not this network, call the gateway.",
  404: "There is no gateway at this address. It may have been removed, or moved.",
  408: "The request took too long to arrive. Try again.",
  413: "The request is too large.",
  429: "The gateway has more requests than it may take at a time. Try again shortly.",
  500: "The gateway has failed. Its log has the reason.",
  502: "The gateway has failed or is starting. Try again; its log has the reason.",
  503: "The gateway is busy, starting or switched off. Try again shortly.",
  504: "The gateway took too long to answer. Try again: a first request starts the model.",
};
const NOT_THE_GATEWAY = "Something else than the gateway has answered: perhaps a proxy, or the login page of a network.";

let form = null; // the form of the chosen model
let sent = null; // AbortController of the request that waits for its answer
let asked = false; // whether there was a request

// --- The models and their forms

// The JSON of an answer, or {refusal: what to say, wait: seconds until it is worth another attempt}.
async function read(path) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-cache" });
  } catch {
    return { refusal: navigator.onLine ? "The gateway cannot be reached." : "This computer has no network.", wait: 10 };
  }
  const content = await answer.json().catch(() => null);
  if (answer.ok && content) return { content };
  const message = content?.error?.message ?? (answer.ok ? NOT_THE_GATEWAY : REASONS[answer.status]) ?? "The gateway has not answered.";
  const seconds = Number(answer.headers.get("retry-after") || 5);
  return { refusal: `${message} Status ${answer.status}.`, wait: answer.status >= 500 || answer.status === 429 ? seconds : 0 };
}

// Reads until there is an answer, and says meanwhile what it waits for. null: there will be none.
async function readPatiently(path, stillWanted = () => true) {
  for (;;) {
    const { content, refusal, wait } = await read(path);
    if (!stillWanted()) return null;
    if (content) return content;
    showStatus(wait ? `${refusal} The next attempt is in ${wait} s.` : refusal);
    if (!wait) return null;
    await new Promise((done) => setTimeout(done, wait * 1000));
  }
}

function showStatus(...parts) {
  byId("status").replaceChildren(...parts);
  byId("status").hidden = !parts.join("");
}

class Form {
  constructor({ model_version: version, ...contract }) {
    this.contract = contract;
    this.version = version; // of the contract, and later of the last answer
    this.controls = new Map(); // by the field's name
    this.fromExample = new Set(); // names of optional fields with the example's value
    this.boxes = { required: [], optional: [] };
    // Where nothing is required, no field is hidden.
    const hides = contract.fields.some((field) => field.required);
    for (const field of contract.fields) {
      const control = controls[field.type](field, this.id(field.name));
      control.box = labelledBox(field, control, this.id(field.name));
      this.controls.set(field.name, control);
      this.boxes[field.required || !hides ? "required" : "optional"].push(control.box);
    }
    this.optional = contract.fields.filter((field) => !field.required).map((field) => field.name);
  }

  id(name) { return `field-${name}`; }

  show() {
    const { name, title, question } = this.contract;
    document.title = title;
    byId("title").textContent = title;
    byId("question").textContent = question;
    byId("predict-path").textContent = `models/${name}/predict`;
    byId("contract-link").href = `models/${name}`;
    byId("required").replaceChildren(...this.boxes.required);
    byId("optional").replaceChildren(...this.boxes.optional);
    byId("optional-section").hidden = !this.boxes.optional.length;
    byId("optional-note").textContent = "";
    byId("optional-section").open = this.fromExample.size > 0;
  }

  fill(values) {
    this.fromExample.clear();
    for (const [name, control] of this.controls) {
      control.fill(values[name]);
      if (this.optional.includes(name) && name in values) this.fromExample.add(name);
    }
    byId("optional-section").open = this.fromExample.size > 0;
    byId("optional-note").textContent = "";
  }

  // The example's optional values are those of one case: another case does not keep them.
  forgetExample() {
    for (const name of this.fromExample) this.controls.get(name).fill(undefined);
    if (this.fromExample.size) byId("optional-note").textContent = "The example's values were those of another case, and have been removed.";
    this.fromExample.clear();
  }

  // The name of the field that an element, or a place in the gateway's answer, belongs to.
  nameAt(element) { return [...this.controls].find(([, control]) => control.box.contains(element))?.[0]; }
  nameIn(place) {
    const path = place.replace("instances[0].", "");
    return this.controls.has(path) ? path : [...this.controls.keys()].find((name) => path.startsWith(`${name}[`));
  }

  filled(names = [...this.controls.keys()]) {
    return names.map((name) => [name, this.controls.get(name).json()]).filter(([, json]) => json !== undefined);
  }

  body() {
    const members = this.filled().map(([name, json]) => `${JSON.stringify(name)}:${json}`);
    return `{"instances":[{${members.join(",")}}]}`;
  }
}

function labelledBox(field, control, id) {
  const label = make("label", { htmlFor: id }, field.label);
  if (field.unit) label.append(" ", make("span", {}, `(${field.unit})`));
  const hint = [control.hint, field.help].filter(Boolean).flatMap((part, index) => (index ? ["; ", part] : [part]));
  const described = [`${id}-error`];
  const box = make("div", { className: control.wide ? "wide" : "" }, label, ...(control.parts ?? [control.input]));
  if (hint.length) {
    box.append(make("p", { className: "hint", id: `${id}-hint` }, ...hint));
    described.push(`${id}-hint`);
  }
  box.append(make("p", { className: "error", id: `${id}-error` }));
  control.input.setAttribute("aria-describedby", described.join(" "));
  control.input.required = field.required;
  return box;
}

const forms = new Map(); // by the model's name: a reader who comes back finds the fields as they were

async function choose(name) {
  byId("choice").value = name;
  sent?.abort();
  byId("model").hidden = true;
  showStatus("Reading the model…");
  if (!forms.has(name)) {
    const contract = await readPatiently(`models/${name}`, () => byId("choice").value === name);
    if (!contract) return;
    if (!forms.has(name)) forms.set(name, new Form(contract));
  }
  form = forms.get(name);
  form.show();
  asked = false;
  changed(START);
  showStatus("");
  byId("model").hidden = false;
}

// Another version of a model may have other fields and another answer: the form follows, with the values that it has.
async function isRenewed() {
  const former = form;
  const { name } = former.contract;
  const { content } = await read(`models/${name}`);
  if (!content || form !== former) return false;
  const renewed = new Form(content);
  if (JSON.stringify(renewed.contract) === JSON.stringify(former.contract)) return false;
  form = renewed;
  forms.set(name, form);
  for (const [field, control] of form.controls) {
    const json = former.controls.get(field)?.json();
    if (json !== undefined && typeOf(former, field) === typeOf(form, field)) control.fill(JSON.parse(json));
  }
  form.show();
  changed("The model has a new version, and this form is its own. Look at the fields, and predict again.");
  return true;
}

const typeOf = ({ contract }, name) => contract.fields.find((field) => field.name === name).type;

async function start() {
  const listed = await readPatiently("models");
  if (!listed) return;
  const names = listed.models.map((model) => model.name);
  byId("choice").replaceChildren(...listed.models.map(({ name, title }) => make("option", { value: name }, title ? withCode(title, name) : name)));
  byId("choice-section").hidden = names.length < 2;
  const choice = async () => {
    const wanted = location.hash.slice(1);
    if (!wanted || names.includes(wanted)) return choose(wanted || names[0]);
    sent?.abort();
    byId("model").hidden = true;
    byId("choice").value = "";
    document.title = byId("title").textContent = "Predictions";
    byId("question").textContent = "";
    const links = names.flatMap((name, index) => [index ? ", " : "", make("a", { href: `#${name}` }, name)]);
    showStatus(`There is no model ${wanted} here. There ${names.length > 1 ? "are" : "is"}: `, ...links);
  };
  byId("choice").addEventListener("change", () => { location.hash = byId("choice").value; });
  addEventListener("hashchange", choice);
  await choice();
}

// --- What the form shows

function showUsed() {
  const filled = form.filled(form.optional).length;
  byId("optional-used").textContent = filled ? `(${filled} of ${form.optional.length} values, used for the prediction)` : "(none given)";
}

// No verdict stays beside fields that it does not belong to, and no answer arrives for them later.
function changed(text) {
  sent?.abort();
  for (const name of form.controls.keys()) showError(form.id(name), "");
  byId("form-error").textContent = "";
  showNoPrediction(text);
  showUsed();
}

function showNoPrediction(text) {
  const { answer } = form.contract;
  byId("answer-title").textContent = answerTitle(answer);
  byId("figure").replaceChildren("–");
  byId("figure").hidden = answer.kind === "tensors";
  byId("answer").replaceChildren();
  byId("verdict").textContent = text;
  byId("verdict").className = "soft";
  byId("note").textContent = "";
  for (const id of ["facts", "json-section", "command-section"]) byId(id).hidden = true;
}

function showError(id, reason) {
  byId(`${id}-error`).textContent = reason;
  byId(id).setAttribute("aria-invalid", String(reason !== ""));
}

function showFieldError(name, reason) {
  showError(form.id(name), `${sentence(reason)}.`);
  if (form.boxes.optional.includes(form.controls.get(name).box)) byId("optional-section").open = true;
}

// Whether the browser holds what can be sent; all other rules are the gateway's.
function sendable() {
  for (const [name, control] of form.controls) {
    const problem = control.problem();
    if (problem) showFieldError(name, problem);
  }
  const key = byId("key").value.trim();
  if (keyNeeded && !key) showError("key", "Enter the key of this gateway.");
  else if (keyNeeded && /[^\x21-\x7e]/.test(key)) showError("key", "A key has no blanks and no special characters. Copy it again.");
  return !focusInvalid();
}

function focusInvalid() {
  const first = document.querySelector('[aria-invalid="true"]');
  first?.focus();
  return first;
}

// Whether the refusal fits this form.
function showRefusal(answer, error) {
  const elsewhere = [];
  let fits = true;
  for (const { field, reason } of error?.fields ?? []) {
    const name = form.nameIn(field);
    if (name) showFieldError(name, reason);
    else elsewhere.push(`${field} ${reason}.`);
    fits &&= Boolean(name);
  }
  if (answer.status === 401 && error && keyNeeded) {
    sessionStorage.removeItem("key");
    showError("key", "This is not the key of this gateway, or not any more.");
  } else if (!error?.fields?.length) {
    const seconds = answer.headers.get("retry-after");
    const wait = /^\d+$/.test(seconds ?? "") ? ` (in ${seconds} s)` : "";
    elsewhere.push(error?.message ?? REASONS[answer.status] ?? "The gateway has not answered with a prediction.", `Status ${answer.status}${wait}.`);
    const id = answer.headers.get("x-request-id");
    if (id) elsewhere.push(`Request ${id}.`);
  }
  byId("form-error").textContent = elsewhere.join(" ");
  focusInvalid();
  return fits;
}

// Whether the prediction fits this form.
function showPrediction({ predictions: [prediction], model, model_version: version }, requestId) {
  const { answer } = form.contract;
  let shown;
  try { shown = answers[answer.kind](prediction, answer); } catch { return false; }
  const { figure, unit, parts, verdict = "", note = "" } = shown;
  byId("figure").replaceChildren(figure, ...(unit ? [" ", make("small", {}, unit)] : []));
  byId("figure").classList.toggle("long", byId("figure").textContent.length > 8);
  byId("answer").replaceChildren(...parts);
  byId("verdict").textContent = verdict;
  byId("verdict").className = "verdict";
  byId("note").textContent = note;
  byId("version").textContent = `${model} ${version.slice(0, 12)}`;
  byId("version").title = version;
  byId("request").textContent = requestId;
  byId("json").textContent = abbreviated(JSON.stringify(prediction, null, 2));
  const command = curlCommand();
  byId("command").textContent = command;
  byId("facts").hidden = byId("json-section").hidden = false;
  byId("command-section").hidden = command.length > SHOWN; // A shell takes no image as a word.
  if (matchMedia("(max-width: 56rem)").matches) byId("result").scrollIntoView({ block: "nearest" });
  return true;
}

// The request of this form for a POSIX shell, in which a quote ends the word that it is in.
function curlCommand() {
  const lines = [`curl ${new URL(predictPath(), location.href).href}`, "-H 'content-type: application/json'"];
  if (keyNeeded) lines.push('-H "x-api-key: $KEY"');
  return [...lines, `-d '${form.body().replaceAll("'", "'\\''")}'`].join(" \\\n  ");
}

// --- The request

const predictPath = () => `models/${form.contract.name}/predict`;

async function ask(signal) {
  const headers = { "content-type": "application/json" };
  const key = byId("key").value.trim();
  if (keyNeeded) headers["x-api-key"] = key;
  const answer = await fetch(predictPath(), { method: "POST", headers, signal, body: form.body() });
  const text = await answer.text();
  let content = null;
  // A front end's answer is HTML, or JSON of another form.
  try { content = JSON.parse(text); } catch { }
  const refused = typeof content?.error?.message === "string" ? content.error : null;
  if (answer.ok && !content?.predictions?.length) return showRefusal(answer, { message: NOT_THE_GATEWAY });
  // Kept once it is known to be right.
  if (answer.ok && keyNeeded) sessionStorage.setItem("key", key);
  if (answer.ok && form.version !== content.model_version) {
    form.version = content.model_version;
    await isRenewed();
  }
  const fits = answer.ok ? showPrediction(content, answer.headers.get("x-request-id")) : showRefusal(answer, refused);
  if (!fits && !(await isRenewed())) byId("form-error").textContent ||= "Another version of the model has answered, for which this page has no form yet. Try again in a minute.";
}

async function answered() {
  const request = sent = new AbortController();
  const slow = setTimeout(() => { byId("verdict").textContent = "Still waiting. A first request starts the model, which may take a minute."; }, 3000);
  const end = setTimeout(() => request.abort(new DOMException("", "TimeoutError")), SECONDS * 1000);
  try {
    await ask(request.signal);
  } catch (error) {
    // An aborted request belongs to fields that have changed since.
    if (error.name === "AbortError") return;
    if (error.name === "TimeoutError") byId("form-error").textContent = `The gateway has not answered within ${SECONDS} seconds.`;
    else if (navigator.onLine) byId("form-error").textContent = "The gateway cannot be reached: there is no connection, or nothing answers at its address.";
    else byId("form-error").textContent = "This computer has no network.";
  } finally {
    clearTimeout(slow);
    clearTimeout(end);
    sent = null;
  }
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sent) return;
  asked = true;
  changed("");
  showError("key", "");
  if (sendable()) {
    // Not disabled: a disabled button loses the focus of the keyboard.
    byId("ask").setAttribute("aria-disabled", "true");
    byId("ask").textContent = "Predicting…";
    await answered();
    byId("ask").removeAttribute("aria-disabled");
    byId("ask").textContent = "Predict";
  }
  if (byId("form-error").textContent || document.querySelector('[aria-invalid="true"]')) showNoPrediction("No prediction: see the form.");
});
byId("form").addEventListener("input", (event) => {
  if (event.target.id === "key") return showError("key", "");
  const name = form.nameAt(event.target);
  if (!form.optional.includes(name)) form.forgetExample();
  form.fromExample.delete(name);
  changed(asked ? CHANGED : START);
});
function fill(values) {
  form.fill(values);
  changed(asked ? CHANGED : START);
}
byId("example").addEventListener("click", () => fill(form.contract.example));
byId("empty").addEventListener("click", () => fill({}));

if (keyNeeded) {
  byId("key-section").hidden = false;
  byId("key").value = sessionStorage.getItem("key") ?? "";
}
start();
