// One row, whole: what was asked, what each model said, the history, the prompt.

let openedFrom = null;

function openRow(index) {
  grid.cursor = index;
  if (state.row === null) openedFrom = document.activeElement;
  state.row = selected[index];
  writeAddress();
  resetView();
  drawDrawer();
  document.getElementById("drawer").focus({ preventScroll: true });
}

function closeDrawer() {
  state.row = null;
  writeAddress();
  drawDrawer();
  drawRows();
  const back = openedFrom && openedFrom.isConnected && openedFrom !== document.body ? openedFrom : grid.scroller;
  back.focus({ preventScroll: true });
}

function drawDrawer() {
  const drawer = document.getElementById("drawer");
  drawer.hidden = state.row === null;
  document.body.classList.toggle("drawer-open", state.row !== null);
  if (state.row === null) return;
  const row = state.row;
  const bucket = data.buckets[bucketOf[row]];
  const user = rows.user[row] < 0 ? null : data.users[rows.user[row]];
  drawer.dataset.bucket = bucket;
  drawer.replaceChildren(
    element("div", { class: "bar" },
      element("span", { class: `mark ${bucket}` }, BUCKET_NAMES[bucket]),
      element("span", { class: "where" }, `row ${counted(numberOf(row))}`),
      element("button", { type: "button", "aria-label": "Previous row", onclick: () => moveCursor(-1) }, "↑"),
      element("button", { type: "button", "aria-label": "Next row", onclick: () => moveCursor(1) }, "↓"),
      element("button", { type: "button", "aria-label": "Close", onclick: closeDrawer }, "×")),
    element("h2", { id: "drawer-title" }, filmOf(row)),
    element("p", { class: "truth-line" }, user === null ? "The user " : element("button", { type: "button", class: "link", onclick: () => update({ user }) }, `User ${user}`),
      liked[row] ? " liked it: " : " did not like it: ", element("strong", { class: liked[row] ? "yes" : "no" }, liked[row] ? "Yes" : "No")),
    answersTable(row), columnWords(ANSWERS), historyList(row), promptBlock(row));
  drawer.scrollTop = 0;
}

const shownLogOdds = (value) => (Math.abs(value) < FAR ? signed(value, 2) : value > 0 ? "+∞" : "−∞");

const ANSWERS = ["says", "p_yes", "log_odds", "answer_mass"];

function answersTable(row) {
  const lines = [[reference, rows.reference, rows.reference_mass], [candidate, rows.candidate, rows.candidate_mass]];
  if (strongest && rows.best) lines.push([strongest, rows.best, null]);
  return element("table", { class: "answers" },
    element("thead", {}, element("tr", {}, columnHead("model", {}, ""), ...ANSWERS.map((key) => columnHead(key)))),
    element("tbody", {}, ...lines.map(([model, scores, mass]) => {
      const right = saidYes(scores, row) === (liked[row] === 1);
      return element("tr", {}, element("th", { scope: "row" }, element("span", { class: `dot ${model.role}`, "aria-hidden": "true" }), model.title),
        element("td", { class: right ? "right" : "wrong" }, `${saidYes(scores, row) ? "Yes" : "No"} ${right ? "✓" : "✗"}`),
        element("td", {}, figure(probability(scores[row]))), element("td", {}, shownLogOdds(scores[row])), element("td", {}, mass && mass[row] !== null ? figure(mass[row], 2) : ""));
    })));
}

function historyList(row) {
  if (!rows.history[row].length) return null;
  const stars = rows.stars[row];
  const items = rows.history[row].map((title, index) => {
    const rated = stars ? stars[index] : null;
    const bar = rated === null ? null : element("span", { class: "stars", role: "img", "aria-label": `${rated} stars` }, element("i"));
    if (bar) bar.firstChild.style.width = `${(100 * rated) / 5}%`;
    return element("li", {}, element("span", { class: "title" }, data.titles[title]), rated === null ? null : element("span", { class: "rating" }, String(rated)), bar);
  });
  return element("div", {}, element("h3", {}, `The ${rows.history[row].length} films shown, oldest first`), element("ol", { class: "history" }, ...items));
}

/** The rendered input of a row, from the pattern that Python took from its one renderer. */
function promptOf(row) {
  if (rows.text[row] !== undefined) return rows.text[row];
  const { before, line, bare_line: bareLine, after } = data.prompt;
  const stars = rows.stars[row];
  const put = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const oneLine = (title) => title.split(/\s+/).filter(Boolean).join(" ");
  const films = rows.history[row].map((title, index) =>
    put(stars ? line : bareLine, { number: index + 1, title: oneLine(data.titles[title]), stars: stars ? stars[index] : "" }));
  return [before + films.join("\n") + put(after, { candidate: oneLine(data.titles[rows.film[row]]) })].join("");
}

function promptBlock(row) {
  return element("details", { class: "prompt" }, element("summary", {}, "The prompt"),
    element("h4", {}, "system"), element("pre", {}, data.prompt.system),
    element("h4", {}, "user"), element("pre", { id: "prompt-text" }, `${data.prompt.instruction}\n${promptOf(row)}`));
}
