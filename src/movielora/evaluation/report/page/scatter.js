// Reference against candidate, a point a row: on a canvas, since 9,000 elements would be slow. A drag selects rows, and so do
// the four numbers below it, for those who do not drag.

const PLOT = { side: 560, left: 44, right: 12, top: 12, bottom: 40 };
const scatter = { canvas: null, box: null, edges: [], toX: null, toY: null, fromX: null, fromY: null };
// An edge this far out is no limit: infinite scores are drawn there.
const FAR = 1e6;
const OPEN = [-FAR, FAR, -FAR, FAR];
// The scores have three decimals, and so have the edges.
const rounded = (value) => Number(value.toFixed(3));

function buildScatter() {
  const [lowX, highX] = data.shapes.reference.span;
  const [lowY, highY] = data.shapes.candidate.span;
  const [left, right] = [PLOT.left, PLOT.side - PLOT.right];
  const [low, high] = [PLOT.side - PLOT.bottom, PLOT.top];
  scatter.toX = scale(lowX, highX, left, right);
  scatter.toY = scale(lowY, highY, low, high);
  scatter.fromX = scale(left, right, lowX, highX);
  scatter.fromY = scale(low, high, lowY, highY);
  const { toX, toY } = scatter;
  const svg = drawn("svg", { viewBox: `0 0 ${PLOT.side} ${PLOT.side}`, role: "img",
    "aria-label": `Scatter of ${counted(rowCount)} rows: ${reference.name} log-odds across, ${candidate.name} log-odds up` });
  for (const tick of niceTicks(lowX, highX, 6)) {
    svg.append(drawn("line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: low, y2: high }),
      drawn("text", { x: toX(tick), y: low + 14, "text-anchor": "middle" }, figure(tick, tick % 1 ? 1 : 0)));
  }
  for (const tick of niceTicks(lowY, highY, 6)) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: right, y1: toY(tick), y2: toY(tick) }),
      drawn("text", { x: left - 6, y: toY(tick) + 3, "text-anchor": "end" }, figure(tick, tick % 1 ? 1 : 0)));
  }
  svg.append(drawn("line", { class: "zero", x1: toX(0), x2: toX(0), y1: low, y2: high }),
    drawn("line", { class: "zero", x1: left, x2: right, y1: toY(0), y2: toY(0) }),
    drawn("text", { class: "title", x: (left + right) / 2, y: PLOT.side - 6, "text-anchor": "middle" }, `${reference.name} log-odds`),
    drawn("text", { class: "title", x: 10, y: (low + high) / 2, "text-anchor": "middle", transform: `rotate(-90 10 ${(low + high) / 2})` }, `${candidate.name} log-odds`));
  scatter.canvas = element("canvas", { "aria-hidden": "true" });
  scatter.box = element("div", { class: "box", hidden: true });
  const plot = element("div", { class: "plot", onpointerdown: startBox }, svg, scatter.canvas, scatter.box);
  place("scatter", caption(`${reference.title} against ${candidate.name}`), plot, edgeInputs(),
    element("p", { class: "note" }, `Drag a box or write its edges to see its rows below. Upper left: ${candidate.name} turned No into Yes; lower right: Yes into No.`));
}

/** The box as numbers, in the order of `state.box`; an empty one is no limit. */
function edgeInputs() {
  const axis = (model, from) => element("span", { class: "axis" }, element("span", { "aria-hidden": "true" }, `${model.name} log-odds`),
    ...["from", "to"].map((end, place_) => element("label", {}, element("span", { class: "hidden" }, `${model.title} log-odds, `), `${end} `,
      scatter.edges[from + place_] = element("input", { type: "number", step: "any", placeholder: place_ ? "highest" : "lowest", onchange: () => moveEdge(from + place_), onblur: () => showBox(state.box) }))));
  return element("div", { class: "edges", role: "group", "aria-label": "Select rows by log-odds" }, axis(reference, 0), axis(candidate, 2));
}

function moveEdge(edge) {
  const box = [...(state.box || OPEN)];
  const input = scatter.edges[edge];
  box[edge] = input.value === "" ? OPEN[edge] : rounded(input.valueAsNumber);
  const [left, right, low, high] = box;
  const ordered = [Math.min(left, right), Math.max(left, right), Math.min(low, high), Math.max(low, high)];
  update({ box: ordered.every((value, place_) => value === OPEN[place_]) ? null : ordered });
}

function drawScatter() {
  const { canvas, toX, toY } = scatter;
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = canvas.clientWidth || PLOT.side;
  canvas.width = canvas.height = Math.round(width * ratio);
  const pen = canvas.getContext("2d");
  const zoom = canvas.width / PLOT.side;
  const style = getComputedStyle(document.documentElement);
  const colours = ["--no", "--yes"].map((name) => style.getPropertyValue(name).trim());
  const chosen = new Uint8Array(rowCount);
  for (const row of selected) chosen[row] = 1;
  const side = Math.max(2, (rowCount > 3000 ? 2.6 : 4) * zoom);
  const clampX = (value) => Math.max(PLOT.left + 1, Math.min(PLOT.side - PLOT.right - 1, toX(value)));
  const clampY = (value) => Math.max(PLOT.top + 1, Math.min(PLOT.side - PLOT.bottom - 1, toY(value)));
  const all = selected.length === rowCount;
  for (const shown of all ? [1] : [0, 1]) {
    for (let row = 0; row < rowCount; row += 1) {
      if (chosen[row] !== shown) continue;
      pen.globalAlpha = shown ? (rowCount > 3000 ? 0.55 : 0.7) : 0.06;
      pen.fillStyle = colours[liked[row]];
      pen.fillRect(clampX(rows.reference[row]) * zoom - side / 2, clampY(rows.candidate[row]) * zoom - side / 2, side, side);
    }
  }
  showBox(state.box);
}

function showBox(box) {
  scatter.box.hidden = !box;
  scatter.edges.forEach((input, edge) => {
    // Somebody writes there; only edges that changed places are shown at once.
    if (input === document.activeElement && box && rounded(input.valueAsNumber) === box[edge]) return;
    input.value = !box || Math.abs(box[edge]) >= FAR ? "" : String(rounded(box[edge]));
  });
  if (!box) return;
  const share = (pixels) => `${(100 * pixels) / PLOT.side}%`;
  const inside = (pixels) => Math.max(0, Math.min(PLOT.side, pixels));
  const [left, right] = [inside(scatter.toX(box[0])), inside(scatter.toX(box[1]))];
  const [top, bottom] = [inside(scatter.toY(box[3])), inside(scatter.toY(box[2]))];
  Object.assign(scatter.box.style, { left: share(left), width: share(right - left), top: share(top), height: share(bottom - top) });
}

function startBox(event) {
  if (event.button !== 0) return;
  const plot = event.currentTarget;
  const at = (move) => {
    const frame = plot.getBoundingClientRect();
    return [((move.clientX - frame.left) / frame.width) * PLOT.side, ((move.clientY - frame.top) / frame.height) * PLOT.side];
  };
  const [startX, startY] = at(event);
  let box = null;
  plot.setPointerCapture(event.pointerId);
  const move = (moved) => {
    const [x, y] = at(moved);
    if (Math.hypot(x - startX, y - startY) < 4) return;
    box = edges(startX, x, startY, y);
    showBox(box);
  };
  const end = () => {
    plot.removeEventListener("pointermove", move);
    plot.removeEventListener("pointerup", end);
    plot.removeEventListener("pointercancel", end);
    update({ box });
  };
  plot.addEventListener("pointermove", move);
  plot.addEventListener("pointerup", end);
  plot.addEventListener("pointercancel", end);
}

/** The box in log-odds; one that touches the frame takes the points drawn at the frame, however far out they are. */
function edges(x1, x2, y1, y2) {
  const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)];
  const [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)];
  return [
    left <= PLOT.left + 2 ? -FAR : rounded(scatter.fromX(left)), right >= PLOT.side - PLOT.right - 2 ? FAR : rounded(scatter.fromX(right)),
    bottom >= PLOT.side - PLOT.bottom - 2 ? -FAR : rounded(scatter.fromY(bottom)), top <= PLOT.top + 2 ? FAR : rounded(scatter.fromY(top)),
  ];
}
