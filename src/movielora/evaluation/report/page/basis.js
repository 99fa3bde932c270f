// The data, and the few tools every part uses. Text from data becomes text nodes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.rows;
const rowCount = rows.label.length;
// A row's number in the test file: the page may hold a sample.
const numberOf = (row) => (rows.number ? rows.number[row] : row);
const rowNumbered = (number) => (rows.number ? rows.number.indexOf(number) : number);
const models = data.models;
const byRole = (role) => models.filter((model) => model.role === role);
// The column compared with, and the column judged; their names say what they are ("base", a run, a file of scores).
const [reference, candidate] = ["reference", "candidate"].map((role) => models.find((model) => model.role === role));
// The best baseline, if it is not the reference itself.
const strongest = models.find((model) => model.best) || null;

const BUCKET_NAMES = { broken: "Broken", fixed: "Fixed", both_wrong: "Both wrong", both_right: "Both right" };
const METRIC_NAMES = {
  auc: "AUC", accuracy: "Accuracy", f1: "F1", uauc: "uAUC", log_loss: "Log loss", ece: "ECE", answer_mass: "Mass",
};
const LOWER_IS_BETTER = new Set(["log_loss", "ece", "brier"]);

const liked = Uint8Array.from(rows.label, (letter) => (letter === "1" ? 1 : 0));
const saidYes = (scores, row) => scores[row] > 0;
// The place of each row's bucket in data.buckets: broken, fixed, both wrong, both right.
const bucketOf = Uint8Array.from({ length: rowCount }, (_, row) => {
  const rightBefore = saidYes(rows.reference, row) === (liked[row] === 1);
  const rightNow = saidYes(rows.candidate, row) === (liked[row] === 1);
  return data.buckets.indexOf(
    rightNow ? (rightBefore ? "both_right" : "fixed") : rightBefore ? "broken" : "both_wrong");
});
const probability = (logOdds) => 1 / (1 + Math.exp(-logOdds));

/** An element with attributes and children; strings become text. `on…` attributes are listeners. */
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const place = (id, ...children) => document.getElementById(id).replaceChildren(...children.filter(Boolean));

const plain = (value, digits) => value.toFixed(digits).replace(/^0\./, ".");
/** `.802`, `−.026`, `1.204`; a dash if the data does not define it. */
function figure(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  return value < 0 ? short(value, digits) : plain(value, digits);
}
/** A difference, or an end of its interval: near 0 with as many digits as it takes to show its sign. */
function short(value, digits = 3) {
  const isZero = (shown) => Number(value.toFixed(shown)) === 0;
  let shown = Math.abs(value) >= 10 ** -digits ? digits : digits + 1;
  while (shown < 6 && value !== 0 && isZero(shown)) shown += 1;
  const text = plain(Math.abs(value), isZero(shown) ? digits : shown);
  return value < 0 && !isZero(shown) ? `−${text}` : text;
}
function signed(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  return Number(value.toFixed(6)) > 0 ? `+${short(value, digits)}` : short(value, digits);
}
const percent = (share) => `${Math.round(share * 100)}%`;
const counted = (number) => number.toLocaleString("en-US");
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A linear scale from [low, high] to [from, to]. */
function scale(low, high, from, to) {
  const width = high - low || 1;
  return (value) => from + ((value - low) / width) * (to - from);
}

/** Buttons of which one is pressed. */
function segments(id, choices, chosen, choose) {
  place(id, ...choices.map(({ key, name, count, title }) =>
    element("button", { type: "button", "aria-pressed": String(key === chosen), "data-key": key ?? "", title, onclick: () => choose(key) },
      name, count === undefined ? null : element("span", { class: "count" }, counted(count)))));
}
