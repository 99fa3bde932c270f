// The leader table with its whiskers, the differences in words, and the slices.

const TABLE_METRICS = ["auc", "accuracy", "f1", "uauc", "log_loss", "ece"];

function drawLeaders() {
  const metric = state.metric;
  segments("metric-choice", TABLE_METRICS.map((key) => ({ key, name: METRIC_NAMES[key] })), metric, (key) => update({ metric: key }));
  const sign = LOWER_IS_BETTER.has(metric) ? 1 : -1;
  const worth = (model) => (model.metrics[metric] === null ? Infinity : sign * model.metrics[metric]);
  const ranked = [...models].sort((a, b) => worth(a) - worth(b));
  const contenders = models.filter((model) => model.role !== "control");
  const best = Object.fromEntries(TABLE_METRICS.map((key) => [key, bestOf(contenders, key)]));
  const place_ = whiskerScale(metric);
  const head = element("tr", {}, columnHead("model"),
    element("th", { scope: "col", class: "whisker", title: MEANINGS.interval[1] }, axis(place_)),
    ...TABLE_METRICS.map((key) => columnHead(key, { class: key === metric ? "figure chosen" : "figure" })));
  const body = ranked.map((model) => element("tr", { "data-role": model.role, "data-key": model.key },
    element("th", { scope: "row" }, element("span", { class: `dot ${model.role}`, "aria-hidden": "true" }),
      element("span", {}, model.title), model.how ? element("small", { title: model.how }, model.how) : null),
    element("td", { class: "whisker" }, whisker(model, metric, place_)),
    ...TABLE_METRICS.map((key) => leaderFigure(model, key, best[key], metric))));
  place("leaders", element("table", { class: "leaders" },
    element("caption", { class: "hidden" }, `Every model and baseline with 95% intervals, by ${METRIC_NAMES[metric]}`),
    element("thead", {}, head), element("tbody", {}, ...body)),
    CHANCE[metric] === undefined ? null : element("p", { class: "note", id: "chance-note" }, `The dashed grey line is chance: ${METRIC_NAMES[metric]} ${figure(CHANCE[metric], 1)}.`),
    columnWords(["model", "interval", ...TABLE_METRICS]));
}

function leaderFigure(model, key, best, chosen) {
  const isBest = best !== null && model.metrics[key] === best;
  const span = model.intervals[key];
  const title = span ? `95% ${figure(span[0])} to ${figure(span[1])}` : null;
  return element("td", { class: `figure${key === chosen ? " chosen" : ""}${isBest ? " best" : ""}`, title },
    figure(model.metrics[key]), isBest ? element("span", { class: "hidden" }, " (best)") : null);
}

function bestOf(contenders, key) {
  const known = contenders.map((model) => model.metrics[key]).filter((value) => value !== null);
  if (!known.length) return null;
  return LOWER_IS_BETTER.has(key) ? Math.min(...known) : Math.max(...known);
}

const WHISKER_WIDTH = 240;
// What guessing gets.
const CHANCE = { auc: 0.5, uauc: 0.5 };

function whiskerScale(metric) {
  const ends = models.flatMap((model) => [model.metrics[metric], ...(model.intervals[metric] || [])]).filter((value) => value !== null);
  if (CHANCE[metric] !== undefined) ends.push(CHANCE[metric]);
  const [low, high] = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  const margin = (high - low || 0.1) * 0.06;
  return Object.assign(scale(low - margin, high + margin, 4, WHISKER_WIDTH - 4), { low, high });
}

function axis(toX) {
  const ticks = niceTicks(toX.low, toX.high, 4);
  return drawn("svg", { viewBox: `0 0 ${WHISKER_WIDTH} 16`, "aria-hidden": "true", class: "axis" },
    ...ticks.map((tick) => drawn("text", { x: toX(tick), y: 12, "text-anchor": "middle" }, figure(tick, 2))));
}

function whisker(model, metric, toX) {
  const value = model.metrics[metric];
  const span = model.intervals[metric];
  const svg = drawn("svg", { viewBox: `0 0 ${WHISKER_WIDTH} 24`, role: "img",
    "aria-label": `${METRIC_NAMES[metric]} ${figure(value)}${span ? `, 95% ${figure(span[0])} to ${figure(span[1])}` : ", no interval"}` });
  for (const tick of niceTicks(toX.low, toX.high, 4)) svg.append(drawn("line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: 0, y2: 24 }));
  const chance = CHANCE[metric];
  if (chance !== undefined) svg.append(drawn("line", { class: "chance", x1: toX(chance), x2: toX(chance), y1: 0, y2: 24 }));
  const own = candidate.metrics[metric];
  if (own !== null) svg.append(drawn("line", { class: "candidate-line", x1: toX(own), x2: toX(own), y1: 0, y2: 24 }));
  if (span) svg.append(drawn("line", { class: `range ${model.role}`, x1: toX(span[0]), x2: toX(span[1]), y1: 12, y2: 12 }));
  if (value !== null) svg.append(drawn("circle", { class: `point ${model.role}`, cx: toX(value), cy: 12, r: model.role === "candidate" ? 5 : 4 }));
  return svg;
}

function niceTicks(low, high, most) {
  const rough = (high - low || 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) found.push(Number(tick.toFixed(6)));
  return found;
}

/** A baseline's name inside a sentence; what a user named stays as it is. */
const inSentence = (model) => (data.own_names.includes(model.key) ? model.name : model.name.charAt(0).toLowerCase() + model.name.slice(1));

function drawDifferences() {
  const named = [["candidate_minus_reference", reference], ["candidate_minus_best_baseline", strongest]];
  const lines = named.filter(([key, model]) => data.difference[key] && model).map(([key, model]) => {
    const entry = data.difference[key].auc;
    const verdict = entry.low === null ? "unknown" : entry.low > 0 ? "better" : entry.high < 0 ? "worse" : "level";
    return element("div", { class: `gap ${verdict}` },
      element("span", { class: "what" }, `${candidate.title} minus ${inSentence(model)}`),
      element("strong", {}, `${signed(entry.value)} AUC`),
      element("span", { class: "span" }, entry.low === null ? "no interval" : `95% ${short(entry.low)} to ${short(entry.high)}`));
  });
  const test = data.mcnemar;
  const p = test.p_value < 0.001 ? "p < .001" : `p = ${figure(test.p_value)}`;
  lines.push(element("div", { class: "gap" }, element("span", { class: "what" }, "Rows fixed and broken"),
    element("strong", {}, `${counted(test.fixed)} fixed, ${counted(test.broken)} broken`),
    element("span", { class: "span", title: test.caveat }, `McNemar’s exact test ${p}, if rows were independent`)));
  place("differences", ...lines);
}

function drawSlices() {
  const ways = data.ways.filter((way) => data.slices.some((slice) => slice.by === way.by));
  if (!ways.length) {
    place("slices", element("p", { class: "note" }, "No slice has enough rows to be shown."));
    return;
  }
  const chosen = ways.find((way) => way.by === state.way) || ways.find((way) => way.by === "genre") || ways[0];
  segments("way-choice", ways.map((way) => ({ key: way.by, name: way.title })), chosen.by, (key) => update({ way: key }));
  const shown = data.slices.filter((slice) => slice.by === chosen.by);
  const ends = data.slices.flatMap((slice) => Object.values(sliceEnds(slice))).filter((value) => value !== null);
  const toX = scale(Math.min(0, ...ends), Math.max(0, ...ends), 6, 394);
  const minus = `${candidate.name} minus ${reference.name}, AUC`;
  const heads = Array.from({ length: shown.length > 1 ? 2 : 1 }, () => element("div", { class: "slice head", "aria-hidden": "true" },
    element("span", { class: "name" }, chosen.title), element("span", { class: "n" }, named("rows")), element("span", { class: "plot" }, named("difference", minus)),
    element("span", { class: "value" }, named("difference_value")), element("span", { class: "own" }, named("own_auc"))));
  const list = [element("div", { class: "slice-heads" }, ...heads), element("div", { class: "slice-list" }, ...shown.map((slice) => sliceButton(slice, toX)))];
  const hidden = data.hidden.slices ? ` ${data.hidden.slices} slices under ${data.hidden.under} rows are hidden.` : "";
  place("slices", ...list, element("p", { class: "note" },
    `Whiskers: 95% over ${data.resampled}. A filled bar stays clear after Holm’s correction over all ${data.slices.length} slices.${hidden} Click one to see its rows.`),
    columnWords(["rows", "difference", "difference_value", "own_auc"], { difference: minus }));
}

const sliceEnds = (slice) => { const { value, low, high } = slice.candidate_minus_reference.auc; return { value, low, high }; };

function sliceButton(slice, toX) {
  const { value, low, high } = sliceEnds(slice);
  const { clear } = slice.candidate_minus_reference.auc;
  const bar = drawn("svg", { viewBox: "0 0 400 24", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawn("line", { class: "zero", x1: toX(0), x2: toX(0), y1: 0, y2: 24 }));
  if (value !== null) {
    const way = value < 0 ? "worse" : "better";
    bar.append(drawn("rect", { class: `bar ${way}${clear ? " clear" : ""}`, x: Math.min(toX(0), toX(value)), width: Math.abs(toX(value) - toX(0)), y: 6, height: 12 }));
    if (low !== null) bar.append(drawn("line", { class: "range", x1: toX(low), x2: toX(high), y1: 12, y2: 12 }));
  }
  const pressed = state.slices[slice.by] === slice.slice;
  const span = low === null ? "" : `, 95% ${short(low, 2)} to ${short(high, 2)}`;
  return element("button", { type: "button", class: "slice", "aria-pressed": String(pressed), onclick: () => toggleSlice(slice.by, slice.slice),
    "aria-label": `${slice.slice}, ${counted(slice.n)} rows, ${candidate.name} AUC ${figure(slice.candidate.auc)}, minus ${reference.name} ${signed(value)}${span}` },
    element("span", { class: "name" }, slice.slice), element("span", { class: "n" }, counted(slice.n)), bar,
    element("span", { class: "value" }, signed(value, 2)), element("span", { class: "own" }, figure(slice.candidate.auc)));
}
