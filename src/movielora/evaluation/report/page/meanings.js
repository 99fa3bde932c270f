// What each column means: as a title on its head, and as a list below its table for screens without a pointer.

const MEANINGS = {
  model: ["Model", "What answered: the models, and simple baselines that know only the data."],
  interval: ["95%", "The chosen metric with its interval from resampling; the fine dashed line is the candidate's."],
  auc: ["AUC", "Of all pairs of a liked and a disliked film, the share in which the liked one scores higher: .5 is chance, 1 is perfect."],
  accuracy: ["Accuracy", "Share of rows answered right."],
  f1: ["F1", "Harmonic mean of precision and recall of Yes. Always saying Yes scores high if most films are liked."],
  uauc: ["uAUC", "AUC among the films of one user, averaged over users who have both answers: .5 is chance. Knowing who is lenient does not help here."],
  log_loss: ["Log loss", "Mean of −ln P(the true answer), of Yes against No: lower is better, .693 is a coin."],
  ece: ["ECE", "Expected calibration error: how far P(Yes) is from the share that was liked, on average. Lower is better."],
  answer_mass: ["Mass", "P(Yes) + P(No) among all words: near 0 the model would rather say something else."],
  rows: ["rows", "Test rows in this group."],
  difference: ["", "The difference in AUC between the two, as a bar with its 95% interval; right of the line the candidate is better."],
  difference_value: ["+ or −", "The same difference as a number."],
  own_auc: ["AUC", "The candidate's AUC in this group."],
  bucket: ["", "Broken: right before, wrong now. Fixed: wrong before, right now."],
  film: ["Film asked about", "The film that the user is asked about; click a row for the history that was shown."],
  user: ["User", "The user's id in the data, if it is known."],
  truth: ["Truth", "Yes if the user liked the film."],
  p_yes: ["P(Yes)", "Probability of Yes, of Yes and No: above .5 the answer is Yes."],
  says: ["says", "The answer, and whether it is right."],
  log_odds: ["log-odds", "ln(P(Yes) / P(No)): above 0 the answer is Yes."],
  temperature: ["T", "Temperature: log-odds are divided by it. Above 1 the model was overconfident."],
  cut: ["Cut", "The log-odds above which Yes gives the best F1."],
  f1_at_cut: ["F1", "F1 at log-odds 0 → F1 at the cut."],
};

/** The head of a column: `key` of MEANINGS, under another name if one is given. */
function columnHead(key, attributes = {}, name = MEANINGS[key][0]) {
  return element("th", { scope: "col", ...attributes }, named(key, name));
}
const named = (key, name = MEANINGS[key][0]) => element("abbr", { title: MEANINGS[key][1] }, name);

/** Every column of a table in words, folded away; `names` are those that differ from MEANINGS. */
function columnWords(keys, names = {}) {
  return element("details", { class: "meanings" }, element("summary", {}, "What the columns mean"),
    element("dl", {}, ...keys.flatMap((key) => [element("dt", {}, names[key] || MEANINGS[key][0]), element("dd", {}, MEANINGS[key][1])])));
}
