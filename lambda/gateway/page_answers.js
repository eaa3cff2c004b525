// How the answer of each kind of model is shown: the figure, the verdict, and what stands between them.

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replaceAll("_", " ");

function percent(share) {
  const rounded = Math.round(share * 100);
  if (rounded === 100 && share < 1) return ">99%";
  return rounded === 0 && share > 0 ? "<1%" : `${rounded}%`;
}

function bar(share) {
  const filled = make("i", {});
  filled.style.width = `${share * 100}%`;
  const element = make("div", { className: "bar" }, filled);
  element.setAttribute("aria-hidden", "true");
  return element;
}

function rounded(number) {
  if (!Number.isFinite(number)) throw new TypeError("no number");
  const digits = Math.abs(number) < 1 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat("en", digits).format(number);
}

const SHOWN = 4000; // Characters of a nested list; a tensor may have megabytes.

function abbreviated(text) {
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)} … and ${text.length - SHOWN} more characters`;
}

function shapeOf(value) {
  const shape = [];
  for (let each = value; Array.isArray(each); [each] = each) shape.push(each.length);
  return shape.length ? shape.join(" × ") : "one value";
}

// What is above an answer, before and after there is one.
function answerTitle({ kind, label, yes }) {
  if (kind === "tensors") return "Answer";
  return kind === "binary" ? `${sentence(label)}: probability of “${yes}”` : sentence(label);
}

// Each returns {figure, unit, parts, verdict, note} for one prediction. A prediction of another form raises an error.
const answers = {
  binary(prediction, { name, threshold, yes, no }) {
    const limit = make("i", { className: "threshold" });
    limit.style.left = `${threshold * 100}%`;
    const share = bar(prediction.probability);
    share.append(limit);
    return {
      figure: percent(prediction.probability),
      parts: [share],
      verdict: sentence(prediction[name] ? yes : no),
      note: `From ${percent(threshold)} on, the answer is “${yes}”, and else “${no}”.`,
    };
  },

  multiclass(prediction, { name, classes }) {
    const called = (code) => (classes[code] ?? code);
    const rows = prediction.best.map(({ label, probability }) =>
      make("li", {}, make("span", {}, called(label)), make("b", {}, percent(probability)), bar(probability)));
    return {
      figure: called(prediction[name]),
      parts: [make("ol", { className: "best" }, ...rows)],
      note: rows.length < Object.keys(classes).length ? `The best ${rows.length} of ${Object.keys(classes).length}.` : "",
    };
  },

  regression(prediction, { name, unit }) {
    return { figure: rounded(prediction[name]), unit, parts: [] };
  },

  tensors(prediction) {
    const parts = Object.entries(prediction).flatMap(([output, value]) => {
      const list = make("pre", { tabIndex: 0 }, abbreviated(JSON.stringify(value)));
      list.setAttribute("role", "region");
      list.setAttribute("aria-label", `The values of ${output}`);
      return [make("h3", {}, output, " ", make("small", {}, `(${shapeOf(value)})`)), list];
    });
    return { figure: "", parts };
  },
};
