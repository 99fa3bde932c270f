// Which rows are shown, in which order, and the address that says so.

const SORTS = {
  confidence: "Most confident first", disagreement: "Widest gap first", row: "File order", film: "Film", user: "User",
};
const fresh = () => ({ bucket: null, q: "", user: null, slices: {}, box: null, sort: "confidence", row: null, metric: "auc", way: null });
let state = fresh();
let selected = new Int32Array(0);
const listeners = [];
const onSelection = (listener) => listeners.push(listener);

/** Change the state, the rows, everything drawn, and the address. */
function update(change) {
  state = { ...state, ...change };
  refresh();
}

function refresh() {
  selected = sortRows(matchingRows());
  writeAddress();
  for (const listener of listeners) listener();
}

function matchingRows() {
  const conditions = [];
  const bucket = state.bucket === null ? -1 : data.buckets.indexOf(state.bucket);
  if (bucket >= 0) conditions.push((row) => bucketOf[row] === bucket);
  if (state.user !== null) {
    const user = data.users.indexOf(state.user);
    conditions.push((row) => rows.user[row] === user);
  }
  for (const [by, name] of Object.entries(state.slices)) {
    const way = data.ways.find((each) => each.by === by);
    const member = way ? way.names.indexOf(name) : -1;
    conditions.push((row) => member >= 0 && way.members[row].includes(member));
  }
  if (state.box) {
    const [left, right, low, high] = state.box;
    conditions.push((row) => rows.reference[row] >= left && rows.reference[row] <= right && rows.candidate[row] >= low && rows.candidate[row] <= high);
  }
  if (state.q.trim()) conditions.push(searcher(state.q));
  const found = [];
  for (let row = 0; row < rowCount; row += 1) {
    if (conditions.every((holds) => holds(row))) found.push(row);
  }
  return found;
}

let foldedTitles = null;
/** A row matches if its film, a film of its history (its title in either order of words), its text or its user holds the
 * words. */
function searcher(words) {
  foldedTitles = foldedTitles || data.titles.map((title, place) => `${title}\n${data.other_titles[place] || ""}`.toLowerCase());
  const needle = words.trim().toLowerCase();
  const titleHit = Uint8Array.from(foldedTitles, (title) => (title.includes(needle) ? 1 : 0));
  return (row) =>
    (rows.film[row] >= 0 && titleHit[rows.film[row]] === 1) ||
    rows.history[row].some((title) => titleHit[title] === 1) ||
    (rows.user[row] >= 0 && data.users[rows.user[row]].toLowerCase() === needle) ||
    (rows.text[row] || "").toLowerCase().includes(needle);
}

function sortRows(found) {
  const gap = (row) => Math.abs(rows.candidate[row] - rows.reference[row]);
  const film = (row) => (rows.film[row] < 0 ? "" : data.titles[rows.film[row]]);
  const user = (row) => (rows.user[row] < 0 ? "" : data.users[rows.user[row]]);
  const text = new Intl.Collator("en", { numeric: true });
  const orders = {
    confidence: (a, b) => bucketOf[a] - bucketOf[b] || Math.abs(rows.candidate[b]) - Math.abs(rows.candidate[a]) || a - b,
    disagreement: (a, b) => bucketOf[a] - bucketOf[b] || gap(b) - gap(a) || a - b,
    row: (a, b) => a - b,
    film: (a, b) => text.compare(film(a), film(b)) || a - b,
    user: (a, b) => text.compare(user(a), user(b)) || a - b,
  };
  return Int32Array.from(found.sort(orders[state.sort]));
}

function writeAddress() {
  const written = new URLSearchParams();
  const plain = fresh();
  for (const key of ["bucket", "q", "user", "sort", "row", "metric", "way"]) {
    if (state[key] !== plain[key] && state[key] !== "") written.set(key, key === "row" ? numberOf(state.row) : state[key]);
  }
  for (const [by, name] of Object.entries(state.slices)) written.append("slice", `${by}:${name}`);
  if (state.box) written.set("box", state.box.map((edge) => edge.toFixed(3)).join(","));
  const hash = written.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

/** The state that an address asks for; what it asks for that does not exist is left out. */
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const found = fresh();
  if (data.buckets.includes(asked.get("bucket"))) found.bucket = asked.get("bucket");
  if (Object.hasOwn(SORTS, asked.get("sort"))) found.sort = asked.get("sort");
  if (Object.hasOwn(METRIC_NAMES, asked.get("metric"))) found.metric = asked.get("metric");
  if (data.ways.some((way) => way.by === asked.get("way"))) found.way = asked.get("way");
  if (data.users.includes(asked.get("user"))) found.user = asked.get("user");
  found.q = asked.get("q") || "";
  for (const pair of asked.getAll("slice")) {
    const [by, name] = [pair.slice(0, pair.indexOf(":")), pair.slice(pair.indexOf(":") + 1)];
    const way = data.ways.find((each) => each.by === by);
    if (way && way.names.includes(name)) found.slices[by] = name;
  }
  const box = (asked.get("box") || "").split(",").map(Number);
  if (box.length === 4 && box.every(Number.isFinite)) found.box = box;
  const number = asked.get("row");
  const row = number !== null && /^\d+$/.test(number) ? rowNumbered(Number(number)) : -1;
  if (row >= 0 && row < rowCount) found.row = row;
  return found;
}

function toggleSlice(by, name) {
  const slices = { ...state.slices };
  if (slices[by] === name) delete slices[by];
  else slices[by] = name;
  update({ slices });
}

/** The conditions in force, each with what removes it. */
function filtersInForce() {
  const found = [];
  if (state.bucket) found.push({ name: BUCKET_NAMES[state.bucket], remove: { bucket: null } });
  for (const [by, name] of Object.entries(state.slices)) {
    const { [by]: _, ...others } = state.slices;
    found.push({ name: `${data.ways.find((way) => way.by === by).title}: ${name}`, remove: { slices: others } });
  }
  if (state.user !== null) found.push({ name: `User ${state.user}`, remove: { user: null } });
  if (state.box) found.push({ name: "Selected in the scatter", remove: { box: null } });
  if (state.q.trim()) found.push({ name: `“${state.q.trim()}”`, remove: { q: "" } });
  return found;
}
