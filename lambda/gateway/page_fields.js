"use strict";
// One control for each type of field in a contract. A control has:
//   input      the element that the label names, with the field's id
//   parts      all elements below the label, if there are more
//   hint       what may be written, or an element that says it
//   wide       whether it takes the whole width of the form
//   json()     the value as JSON text; undefined when the control is empty
//   fill(value)  shows a value of the contract; undefined empties the control
//   problem()  why the control cannot be sent as it is; "" when it can
// Whether a value is valid is the gateway's decision: the page has no rules of its own.

const byId = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// A label with its code, unless the code is the same word.
const withCode = (label, code) => (label.toLowerCase() === code.toLowerCase() ? label : `${label} (${code})`);

function range({ minimum, maximum }, written = (limit) => limit) {
  if (minimum === undefined && maximum === undefined) return "";
  if (maximum === undefined) return `at least ${written(minimum)}`;
  return minimum === undefined ? `at most ${written(maximum)}` : `${written(minimum)} to ${written(maximum)}`;
}

// A number is sent as it is typed: a JavaScript number would round an integer above 2^53.
function numberJson(text) {
  const typed = text.trim();
  if (!typed) return undefined;
  if (!Number.isFinite(Number(typed))) return JSON.stringify(typed); // the gateway returns the reason
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(typed) ? typed : String(Number(typed));
}

function simpleControl(input, json, written = String) {
  return {
    input,
    json: () => (input.value.trim() ? json(input.value.trim()) : undefined),
    fill: (value) => { input.value = value === undefined ? "" : written(value); },
    // A browser has no value for a date or time that is typed in part: it would count as left out.
    problem: () => (input.validity.badInput ? "it is not complete" : ""),
  };
}

function numberControl(field, id) {
  const inputMode = field.type === "number" || field.minimum < 0 ? "decimal" : "numeric";
  return { ...simpleControl(make("input", { id, type: "text", inputMode }), numberJson), hint: range(field) };
}

function selectControl(field, id, options, json) {
  const none = make("option", { value: "" }, field.required ? "Choose…" : "Not given");
  return simpleControl(make("select", { id }, none, ...options.map(([value, label]) => make("option", { value }, label))), json);
}

const SEARCHED = 12; // A longer list is searched by name; a shorter one may be a scale, and keeps its order.

function categoryControl(field, id) {
  const values = Object.entries(field.values);
  if (values.length > SEARCHED) values.sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }));
  return selectControl(field, id, values.map(([code, label]) => [code, withCode(label, code)]), JSON.stringify);
}

function dateControl(field, id) {
  const input = make("input", { id, type: field.type, min: field.minimum ?? "", max: field.maximum ?? "" });
  return { ...simpleControl(input, JSON.stringify), hint: range(field) };
}

function textControl(field, id) {
  const most = field.max_length;
  const input = most > 100 ? make("textarea", { id, rows: 4 }) : make("input", { id, type: "text" });
  const hint = make("span");
  const count = () => {
    const length = [...input.value].length;
    hint.textContent = length ? `${length} of at most ${most} characters` : `at most ${most} characters`;
  };
  input.addEventListener("input", count);
  count();
  return {
    input,
    hint,
    // Blanks are part of a text.
    json: () => (input.value ? JSON.stringify(input.value) : undefined),
    fill: (value) => { input.value = value ?? ""; count(); },
    problem: () => "",
  };
}

// The browser's offset from UTC at a moment on its own clock, as RFC 3339 writes it.
function offsetAt(moment) {
  const minutes = -new Date(moment || Date.now()).getTimezoneOffset();
  const two = (number) => String(number).padStart(2, "0");
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function timestampControl(field, id) {
  const input = make("input", { id, type: "datetime-local", step: "any" });
  const offset = make("input", { type: "text", id: `${id}-offset`, value: offsetAt(), spellcheck: false });
  offset.setAttribute("aria-label", `${field.label}: offset from UTC`);
  let own = true; // whether the offset is this browser's, and follows its clock
  input.addEventListener("input", () => { if (own && input.value) offset.value = offsetAt(input.value); });
  offset.addEventListener("input", () => { own = false; });
  return {
    input,
    parts: [make("div", { className: "timestamp" }, input, offset)],
    wide: true,
    hint: [range(field), "with the offset from UTC, as +01:00 or Z"].filter(Boolean).join("; "),
    json() {
      if (!input.value) return undefined;
      const seconds = input.value.length === 16 ? ":00" : ""; // A browser leaves them out when they are zero.
      return JSON.stringify(`${input.value}${seconds}${offset.value.trim()}`);
    },
    fill(value) {
      const [, moment, zone] = /^(.*?)(Z|z|[-+]\d\d:\d\d)$/.exec(value ?? "") ?? [null, "", offsetAt()];
      // A browser keeps milliseconds, and refuses what is finer.
      input.value = moment.replace(/[tT ]/, "T").replace(/(\.\d{3})\d+$/, "$1");
      offset.value = zone;
      own = !value;
    },
    problem: () => (input.validity.badInput ? "it is not complete" : ""),
  };
}

function vectorControl(field, id) {
  const input = make("textarea", { id, rows: Math.min(4, Math.ceil(field.length / 8)), spellcheck: false });
  const hint = make("span");
  const limits = range(field);
  const numbers = () => input.value.split(/[\s,;[\]]+/).filter(Boolean);
  const count = () => {
    const given = numbers().length;
    const wanted = given ? `${given} of ${field.length} numbers` : `${field.length} numbers, separated by blanks or commas`;
    hint.textContent = limits ? `${wanted}; each ${limits}` : wanted;
  };
  input.addEventListener("input", count);
  count();
  return {
    input,
    hint,
    json: () => (input.value.trim() ? `[${numbers().map(numberJson).join(",")}]` : undefined),
    fill: (value) => { input.value = (value ?? []).join(", "); count(); },
    problem: () => "",
  };
}

const controls = {
  number: numberControl,
  integer: numberControl,
  boolean: (field, id) => selectControl(field, id, [["true", "Yes"], ["false", "No"]], (value) => value),
  category: categoryControl,
  text: textControl,
  date: dateControl,
  time: dateControl,
  timestamp: timestampControl,
  vector: vectorControl,
  image: imageControl,
};
