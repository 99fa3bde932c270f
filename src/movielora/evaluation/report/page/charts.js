// The plain charts: reliability, ROC, precision and recall, histograms, confusion matrices, training curves.

const SIDE = 300;
const EDGE = { left: 38, right: 10, top: 10, bottom: 32 };
const toX01 = scale(0, 1, EDGE.left, SIDE - EDGE.right);
const toY01 = scale(0, 1, SIDE - EDGE.bottom, EDGE.top);

/** The models whose curves are drawn; their shapes are counted over every row, also if the page holds a sample. */
const curved = [["reference", reference], ["candidate", candidate], ["baseline", strongest]].filter(([role, model]) => model && data.shapes[role]);

function caption(title, ...children) {
  return element("figcaption", {}, element("strong", {}, title), ...children);
}

function legend() {
  return element("span", { class: "legend" }, ...curved.map(([role, model]) =>
    element("span", {}, element("span", { class: `dot ${role}`, "aria-hidden": "true" }), model.title)));
}

function square(label, xTitle, yTitle) {
  const svg = drawn("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": label });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(
      drawn("line", { class: "grid", x1: toX01(tick), x2: toX01(tick), y1: toY01(0), y2: toY01(1) }),
      drawn("line", { class: "grid", x1: toX01(0), x2: toX01(1), y1: toY01(tick), y2: toY01(tick) }));
    if (tick % 0.5 === 0) {
      svg.append(drawn("text", { x: toX01(tick), y: toY01(0) + 14, "text-anchor": "middle" }, figure(tick, 1)),
        drawn("text", { x: EDGE.left - 6, y: toY01(tick) + 3, "text-anchor": "end" }, figure(tick, 1)));
    }
  }
  svg.append(drawn("text", { class: "title", x: toX01(0.5), y: SIDE - 4, "text-anchor": "middle" }, xTitle),
    drawn("text", { class: "title", x: 10, y: toY01(0.5), "text-anchor": "middle", transform: `rotate(-90 10 ${toY01(0.5)})` }, yTitle));
  return svg;
}

function drawReliability() {
  const svg = square("Reliability diagram: share of liked films against P(Yes)", "P(Yes)", "share liked");
  svg.append(drawn("line", { class: "diagonal", x1: toX01(0), y1: toY01(0), x2: toX01(1), y2: toY01(1) }));
  for (const [role, model] of curved) {
    const bins = data.calibration.reliability[model.key] || [];
    svg.append(drawn("polyline", { class: `curve ${role}`, points: bins.map((bin) => `${toX01(bin.mean_p_yes)},${toY01(bin.share_yes)}`).join(" ") }));
    for (const bin of bins) {
      svg.append(drawn("circle", { class: `point ${role}`, cx: toX01(bin.mean_p_yes), cy: toY01(bin.share_yes), r: 1.5 + 9 * Math.sqrt(bin.rows / data.samples) },
        drawn("title", {}, `${model.title}, P(Yes) ${figure(bin.low, 2)} to ${figure(bin.high, 2)}: ${counted(bin.rows)} rows, ${percent(bin.share_yes)} liked`)));
    }
  }
  const ece = curved.map(([, model]) => `${model.name} ${figure(model.metrics.ece)}`).join(", ");
  place("reliability", caption("Reliability", legend()), svg,
    element("p", { class: "note" }, `ECE of ${data.calibration.ece_bins} bins: ${ece}. On the diagonal, P(Yes) means what it says.`));
}

function drawRankCurves() {
  if (!data.shapes.reference.roc) {
    const note = () => element("p", { class: "note" }, "Every answer is the same: this curve is undefined.");
    place("roc", caption("ROC"), note());
    place("precision-recall", caption("Precision and recall"), note());
    return;
  }
  const likedShare = data.positive / data.samples;
  const roc = square("ROC curves", "disliked films answered Yes", "liked films answered Yes");
  const recall = square("Precision and recall curves", "recall", "precision");
  roc.append(drawn("line", { class: "diagonal", x1: toX01(0), y1: toY01(0), x2: toX01(1), y2: toY01(1) }));
  recall.append(drawn("line", { class: "diagonal", x1: toX01(0), x2: toX01(1), y1: toY01(likedShare), y2: toY01(likedShare) }));
  const path = (points) => points.map(([x, y]) => `${toX01(x).toFixed(1)},${toY01(y).toFixed(1)}`).join(" ");
  for (const [role] of curved) {
    const found = data.shapes[role];
    roc.append(drawn("polyline", { class: `curve ${role}`, points: path(found.roc) }));
    recall.append(drawn("polyline", { class: `curve ${role}`, points: path(found.recall) }));
  }
  const areas = curved.map(([, model]) => `${model.name} ${figure(model.metrics.auc)}`).join(", ");
  place("roc", caption("ROC", legend()), roc, element("p", { class: "note" }, `Area: ${areas}.`));
  place("precision-recall", caption("Precision and recall", legend()), recall,
    element("p", { class: "note" }, `Answering Yes to all has precision ${figure(likedShare, 2)}.`));
}

function drawHistogram(id, model, shapes) {
  const [low, high] = shapes.span;
  const counts = shapes.histogram;
  const bins = counts[0].length;
  const top = Math.max(...counts[0], ...counts[1]) || 1;
  const [width, height, middle] = [SIDE, 190, 86];
  const toX = scale(low, high, 8, width - 8);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${model.title}: log-odds of liked films above, of disliked films below` });
  counts.forEach((column, label) => column.forEach((count, bin) => {
    const tall = (count / top) * 76;
    const left = toX(low + (bin * (high - low)) / bins);
    const name = label ? "liked" : "disliked";
    svg.append(drawn("rect", { class: label ? "truth-yes" : "truth-no", x: left + 0.5, width: (width - 16) / bins - 1, y: label ? middle - tall : middle + 1, height: tall },
      drawn("title", {}, `${counted(count)} ${name}`)));
  }));
  svg.append(drawn("line", { class: "zero", x1: toX(0), x2: toX(0), y1: 4, y2: 168 }));
  for (const tick of niceTicks(low, high, 6)) svg.append(drawn("text", { x: toX(tick), y: 182, "text-anchor": "middle" }, figure(tick, tick % 1 ? 1 : 0)));
  place(id, caption(`${model.title}: log-odds`), svg, element("p", { class: "note" }, "Right of 0 it says Yes. Liked films above, disliked below."));
}

function drawConfusion() {
  const tables = [[reference, data.shapes.reference], [candidate, data.shapes.candidate]].map(([model, { confusion: cells }]) => {
    const cell = (truth, said) => {
      const share = cells[truth][said] / (cells[truth][0] + cells[truth][1] || 1);
      const shade = element("td", { class: truth === said ? "right" : "wrong" }, counted(cells[truth][said]), element("small", {}, percent(share)));
      shade.style.setProperty("--share", share.toFixed(3));
      return shade;
    };
    return element("table", { class: "confusion" }, element("caption", {}, model.title),
      element("thead", {}, element("tr", {}, element("td", {}), element("th", { scope: "col" }, "says No"), element("th", { scope: "col" }, "says Yes"))),
      element("tbody", {}, element("tr", {}, element("th", { scope: "row" }, "disliked"), cell(0, 0), cell(0, 1)),
        element("tr", {}, element("th", { scope: "row" }, "liked"), cell(1, 0), cell(1, 1))));
  });
  place("confusion", caption("Confusion"), ...tables, element("p", { class: "note" }, "Shares are of each line."));
}

const FITTED = ["temperature", "log_loss", "ece", "cut", "f1_at_cut"];

/** What a temperature and a threshold from the evaluation split would change. */
function drawFitted() {
  const known = [reference, candidate, strongest].filter((model) => model && model.calibrated && model.at_best_f1);
  if (!known.length) {
    place("fitted", caption("Fitted on the evaluation split"), element("p", { class: "note" }, `${capital(data.calibration.reason || "nothing was fitted")}.`));
    return;
  }
  const change = (before, after) => element("td", {}, element("s", {}, `${figure(before)} → `), figure(after));
  place("fitted", caption("Fitted on the evaluation split"),
    element("table", { class: "fitted" },
      element("thead", {}, element("tr", {}, columnHead("model", {}, ""), ...FITTED.map((key) => columnHead(key)))),
      element("tbody", {}, ...known.map((model) => element("tr", {},
        element("th", { scope: "row" }, element("span", { class: `dot ${model.role}`, "aria-hidden": "true" }), model.title),
        element("td", {}, model.calibrated.temperature >= 100 ? "over 100" : model.calibrated.temperature.toFixed(2)),
        change(model.metrics.log_loss, model.calibrated.log_loss), change(model.metrics.ece, model.calibrated.ece),
        element("td", {}, signed(model.at_best_f1.threshold, 2)), change(model.metrics.f1, model.at_best_f1.f1))))),
    element("p", { class: "note" }, "Before → after. T, the temperature, and the cut were fitted on the evaluation split and measured on the test rows."),
    columnWords(FITTED));
}

function drawCurves() {
  if (!data.curves.length) return;
  document.getElementById("training-section").hidden = false;
  place("curves-note", data.losses);
  place("curves", ...data.curves.map((curve) => {
    const [width, height] = [SIDE, 190];
    const steps = curve.points.map(([step]) => step);
    const values = curve.points.map(([, value]) => value);
    const toX = scale(Math.min(...steps), Math.max(...steps), 40, width - 10);
    // The first steps of a loss may tower over the rest: the curve starts above the frame then.
    const ordered = [...values].sort((a, b) => a - b);
    const usual = ordered[Math.floor((ordered.length - 1) * 0.95)];
    const chance = CHANCE[curve.key.replace("eval_", "")] ?? null;
    const top = ordered.at(-1) > 2 * usual ? usual * 1.1 : ordered.at(-1);
    const [low, high] = chance === null ? [ordered[0], top] : [Math.min(chance, ordered[0]), Math.max(chance, top)];
    const toY = scale(low, high, height - 30, 12);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${curve.name} from ${figure(values[0])} to ${figure(values.at(-1))}` });
    for (const tick of niceTicks(low, high, 4)) {
      svg.append(drawn("line", { class: "grid", x1: 40, x2: width - 10, y1: toY(tick), y2: toY(tick) }),
        drawn("text", { x: 34, y: toY(tick) + 3, "text-anchor": "end" }, figure(tick, 2)));
    }
    if (chance !== null) svg.append(drawn("line", { class: "chance", x1: 40, x2: width - 10, y1: toY(chance), y2: toY(chance) }, drawn("title", {}, `chance: ${figure(chance, 1)}`)));
    svg.append(drawn("text", { x: 40, y: height - 12 }, counted(Math.min(...steps))),
      drawn("text", { x: width - 10, y: height - 12, "text-anchor": "end" }, `${counted(Math.max(...steps))} steps`),
      drawn("polyline", { class: "curve candidate", points: curve.points.map(([step, value]) => `${toX(step).toFixed(1)},${toY(Math.min(value, high)).toFixed(1)}`).join(" ") }));
    return element("figure", {}, caption(curve.name), svg);
  }));
}
