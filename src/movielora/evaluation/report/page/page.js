// Everything drawn once, everything drawn again when the selection changes, and the keys.

function drawWords() {
  place("caveats", ...data.caveats.map((sentence) => element("li", {}, sentence)));
  place("provenance", ...data.provenance.flatMap(([label, value]) => [element("dt", {}, label),
    element("dd", {}, value.includes("\n") ? element("details", {}, element("summary", {}, "show"), element("pre", {}, value)) : element("code", {}, value))]));
  place("truth-legend", ...[["yes", "liked"], ["no", "disliked"]].map(([key, name]) =>
    element("span", {}, element("span", { class: `dot truth-${key}`, "aria-hidden": "true" }), name)));
}

function drawFixed() {
  drawWords();
  drawDifferences();
  drawReliability();
  drawRankCurves();
  drawHistogram("histogram-reference", reference, data.shapes.reference);
  drawHistogram("histogram-candidate", candidate, data.shapes.candidate);
  drawConfusion();
  drawFitted();
  drawCurves();
  buildScatter();
  buildGrid();
}

function onKey(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (state.row !== null) closeDrawer();
    else if (typing) event.target.blur();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    j: () => moveCursor(1),
    k: () => moveCursor(-1),
    "/": () => document.getElementById("search").focus(),
    Enter: () => { if (!event.target.closest("button, a, summary") && selected.length) openRow(grid.cursor); },
  };
  if (!Object.hasOwn(actions, event.key)) return;
  if (event.key !== "Enter") event.preventDefault();
  actions[event.key]();
}

state = readAddress();
drawFixed();
onSelection(drawLeaders);
onSelection(drawSlices);
onSelection(drawTools);
onSelection(resetRows);
onSelection(drawScatter);
onSelection(drawDrawer);
refresh();
if (location.hash.length > 1 && (filtersInForce().length || state.row !== null)) document.getElementById("rows-section").scrollIntoView();
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => { state = readAddress(); refresh(); });
window.addEventListener("resize", drawScatter);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawScatter);
document.documentElement.dataset.ready = "true";
