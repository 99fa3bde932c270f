// The table of rows: only those in view exist as elements, so 9,000 scroll like 20.

const grid = { scroller: null, inner: null, cursor: 0, height: 40 };
const OVERSCAN = 8;
const PRINTED = 40;

function buildGrid() {
  grid.inner = element("div", { class: "inner", role: "rowgroup" });
  grid.scroller = element("div", { class: "scroller", tabindex: "0", role: "table", "aria-label": "Rows", onscroll: drawRows },
    element("div", { class: "row head", role: "row" }, ...[["mark", "bucket"], ["film", "film"], ["user", "user"], ["truth", "truth"], ["score", "p_yes", `${reference.title} P(Yes)`], ["score", "p_yes", `${candidate.title} P(Yes)`], ["score third", "p_yes", strongest ? `${strongest.name} P(Yes)` : ""]]
      .map(([kind, key, name]) => element("span", { role: "columnheader", class: kind, title: `${name ?? MEANINGS[key][0]}: ${MEANINGS[key][1]}` }, name ?? MEANINGS[key][0]))),
    grid.inner);
  place("grid", grid.scroller, columnWords(["bucket", "film", "user", "truth", "p_yes"], { bucket: "Broken, Fixed" }));
  const sort = document.getElementById("sort");
  sort.append(...Object.entries(SORTS).map(([key, name]) => element("option", { value: key }, name)));
  sort.addEventListener("change", () => update({ sort: sort.value }));
  const search = document.getElementById("search");
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => update({ q: search.value }), 80);
  });
  document.getElementById("export").addEventListener("click", exportCsv);
  window.addEventListener("resize", drawRows);
  window.addEventListener("beforeprint", () => drawSpan(0, Math.min(PRINTED, selected.length)));
  window.addEventListener("afterprint", drawRows);
}

function drawTools() {
  segments("bucket-choice", [{ key: null, name: "All", count: data.samples },
    ...data.buckets.map((key, place_) => ({ key, name: BUCKET_NAMES[key], count: data.bucket_counts[place_] }))], state.bucket, (key) => update({ bucket: key }));
  const search = document.getElementById("search");
  if (search.value.trim() !== state.q.trim()) search.value = state.q;
  document.getElementById("sort").value = state.sort;
  const right = (scores) => selected.reduce((sum, row) => sum + (saidYes(scores, row) === (liked[row] === 1) ? 1 : 0), 0) / selected.length;
  const parts = [element("strong", {}, `${counted(selected.length)} of ${counted(rowCount)}`)];
  if (selected.length && selected.length < rowCount) parts.push(` rows; right in them: ${reference.name} ${percent(right(rows.reference))}, ${candidate.name} ${percent(right(rows.candidate))}`);
  else parts.push(" rows");
  place("counted", ...parts);
  const filters = filtersInForce();
  place("chips", ...filters.map((filter) => element("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${filter.name}`, onclick: () => update(filter.remove) },
    filter.name, element("span", { "aria-hidden": "true" }, "×"))),
    filters.length > 1 ? element("button", { type: "button", class: "chip clear", onclick: () => update({ bucket: null, slices: {}, user: null, box: null, q: "" }) }, "Clear all") : null);
}

function resetRows() {
  grid.cursor = Math.max(0, state.row === null ? 0 : selected.indexOf(state.row));
  const wanted = grid.cursor * rowHeight();
  const view = grid.scroller.clientHeight;
  if (wanted < grid.scroller.scrollTop || wanted > grid.scroller.scrollTop + view - 2 * rowHeight()) grid.scroller.scrollTop = Math.max(0, wanted - view / 3);
  drawRows();
}

const rowHeight = () => (window.matchMedia("(max-width: 720px)").matches ? 64 : 40);

function drawRows() {
  const height = rowHeight();
  const first = Math.max(0, Math.floor(grid.scroller.scrollTop / height) - OVERSCAN);
  const last = Math.min(selected.length, Math.ceil((grid.scroller.scrollTop + grid.scroller.clientHeight) / height) + OVERSCAN);
  drawSpan(first, last);
}

function drawSpan(first, last) {
  const height = rowHeight();
  grid.inner.style.height = `${selected.length * height}px`;
  grid.scroller.setAttribute("aria-rowcount", selected.length + 1);
  const shown = [];
  for (let index = first; index < last; index += 1) shown.push(rowElement(index, height));
  if (!selected.length) shown.push(element("p", { class: "empty" }, "No row fits these filters."));
  grid.inner.replaceChildren(...shown);
}

function rowElement(index, height) {
  const row = selected[index];
  const bucket = data.buckets[bucketOf[row]];
  const node = element("div", { class: `row ${bucket}${index === grid.cursor ? " cursor" : ""}${row === state.row ? " open" : ""}`, role: "row", "aria-rowindex": index + 2, "data-row": row,
    onclick: () => openRow(index) },
    element("span", { role: "cell", class: "mark" }, BUCKET_NAMES[bucket]),
    element("span", { role: "cell", class: "film" }, filmOf(row)),
    element("span", { role: "cell", class: "user" }, rows.user[row] < 0 ? "" : data.users[rows.user[row]]),
    element("span", { role: "cell", class: `truth ${liked[row] ? "yes" : "no"}` }, liked[row] ? "Yes" : "No"),
    scoreCell(rows.reference[row], liked[row], ""), scoreCell(rows.candidate[row], liked[row], ""),
    rows.best ? scoreCell(rows.best[row], liked[row], " third") : element("span", { role: "cell", class: "score third" }));
  node.style.top = `${index * height}px`;
  return node;
}

const filmOf = (row) => (rows.film[row] >= 0 ? data.titles[rows.film[row]] : (rows.text[row] || `Row ${numberOf(row)}`).slice(0, 120));

/** P(Yes) as a bar that grows from the middle, right for Yes; the figure says it too. */
function scoreCell(logOdds, truth, extra) {
  const p = probability(logOdds);
  const right = logOdds > 0 === (truth === 1);
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("i"));
  Object.assign(bar.firstChild.style, { left: `${100 * Math.min(p, 0.5)}%`, width: `${100 * Math.abs(p - 0.5)}%` });
  return element("span", { role: "cell", class: `score${extra} ${right ? "right" : "wrong"}`, "aria-label": `P(Yes) ${figure(p, 2)}, ${right ? "right" : "wrong"}` },
    bar, element("span", { class: "p" }, p >= 0.995 ? "1.0" : figure(p, 2)));
}

function moveCursor(by) {
  if (!selected.length) return;
  grid.cursor = Math.max(0, Math.min(selected.length - 1, grid.cursor + by));
  if (state.row !== null) {
    openRow(grid.cursor);
    return;
  }
  resetView();
}

function resetView() {
  const height = rowHeight();
  const top = grid.cursor * height;
  const view = grid.scroller.clientHeight - height;
  if (top < grid.scroller.scrollTop) grid.scroller.scrollTop = top;
  if (top + height > grid.scroller.scrollTop + view) grid.scroller.scrollTop = top + height - view;
  drawRows();
}

/** A cell that a spreadsheet would run as a formula begins with an apostrophe. */
function csvCell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function exportCsv() {
  const lines = [["row", "bucket", "label", "user_id", "candidate_title", ...[reference.key, candidate.key].flatMap((key) => [`${key}_log_odds`, `${key}_p_yes`])]];
  for (const row of selected) {
    lines.push([numberOf(row), data.buckets[bucketOf[row]], liked[row] ? "Yes" : "No", rows.user[row] < 0 ? "" : data.users[rows.user[row]], filmOf(row),
      rows.reference[row], probability(rows.reference[row]).toFixed(4), rows.candidate[row], probability(rows.candidate[row]).toFixed(4)]);
  }
  const text = lines.map((line) => line.map(csvCell).join(",")).join("\r\n");
  const link = element("a", { download: `${data.title.replace(/[^\p{L}\p{N}._-]+/gu, "-")}-${selected.length}-rows.csv`, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
