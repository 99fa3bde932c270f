"""Write comparison.json's caveats as sentences: what a reader needs to know beside the figures."""

from __future__ import annotations

from typing import Any

from movielora.evaluation.saved.comparison_json import entry_of
from movielora.scoring.score_table import ADAPTER, BASE


def describe_rows(comparison: dict[str, Any]) -> str:
    """`8,965 rows of 610 users, 46.6% Yes; 95% intervals from 2,000 resamples of users (seed 20260101)`."""
    data = comparison["data"]
    of_users = f" of {_count(data['users'], 'user')}" if data["users"] is not None else ""
    return (
        f"{_count(data['rows'], 'row')}{of_users}, {data['positive_rate']:.1%} Yes; 95% intervals from "
        f"{data['resamples']:,} resamples of {data['resampled']} (seed {data['seed']})"
    )


def data_warnings(comparison: dict[str, Any]) -> list[str]:
    """What may make these figures too good or unreliable, the most important first; each a sentence."""
    return [
        *_about_training(comparison),
        *_about_rows(comparison["data"]),
        *_about_time(comparison["data"]["splits"]),
        *_about_answers(comparison),
        *_about_baselines(comparison["data"]),
        *_about_shares(comparison["data"]["splits"]["positive_rate"]),
    ]


def _about_training(comparison: dict[str, Any]) -> list[str]:
    """Rows that were trained on, or that nobody knows of; nothing in comparisons of earlier versions."""
    training = comparison["data"].get("training")
    if training is None:
        return []
    found = []
    for run in training["runs"].values():
        name, rows = run["run"], f"of the {run['rows']:,} rows"
        if run["trained"]:
            by = run.get("trained_by", name)
            found.append(f"{run['trained']:,} {rows} were trained on by {by}: its figures are not those of new rows.")
        if run["chosen"]:
            found.append(
                f"{run['chosen']:,} {rows} are evaluation rows of {name}, which its best checkpoint was chosen on: its "
                "figures are too good."
            )
        if run["unknown"]:
            found.append(f"Whether {name} was trained on {run['unknown']:,} {rows} is not known: {run['why_unknown']}.")
        if run["other_dataset"]:
            found.append(f"{run['other_dataset']}.")
    found += [f"{words['sentence']}." for words in training["other_words"].values()]
    if training["in_training_split"]:
        found.append(f"{training['split']}: their figures are too good.")
    if training["eval_rows_left_out"]:
        found.append(
            f"{_count(training['eval_rows_left_out'], 'evaluation row')} were trained on: temperature and threshold "
            "are fitted without them."
        )
    if others := list(comparison["models"].get("others", {})):
        found.append(f"Which rows {' and '.join(others)} learned from is not known.")
    return found


def _about_rows(data: dict[str, Any]) -> list[str]:
    found = []
    if data["one_class"]:
        found.append(f"Every answer is {'Yes' if data['positive_rate'] else 'No'}: AUC is undefined.")
    if data["resampled"] == "rows":
        found.append(
            f"Intervals resample rows, because {data['resampled_because']}: they are too narrow if users repeat."
        )
    if sample := data.get("sample"):
        of_users = "" if sample["users"] is None else f", of {_count(sample['users'], 'user')}"
        found.append(
            f"A sample of {sample['rows']:,} of {sample['of']:,} test rows was compared{of_users} (seed "
            f"{sample['seed']}): as many users as possible, the same rows for every run."
        )
    elif data["rows"] < data["rows_in_test_file"]:  # as versions before samples did
        found.append(f"Only the first {data['rows']:,} of {data['rows_in_test_file']:,} test rows were compared.")
    return found


def _about_time(splits: dict[str, Any]) -> list[str]:
    found = []
    if splits["time_leak"]:
        found.append(
            f"{splits['time_leak']:.1%} of test rows have later training examples by other users: the split leaks "
            "the future across users (prepare --split global-time does not)."
        )
    if splits["time_leak_own"]:
        found.append(f"{splits['time_leak_own']:.1%} of test rows are older than a training example of the same user.")
    if splits["questions_seen_in_training"]:
        found.append(
            f"{_count(splits['questions_seen_in_training'], 'test row')} ask a user about a film that training asks "
            "the same user about."
        )
    found += _about_users(splits)
    if splits["tied_rows"]:
        found.append(
            f"{splits['tied_rows']:.1%} of test rows have the same timestamp as another event of the same user."
        )
    return found


def _about_users(splits: dict[str, Any]) -> list[str]:
    """Are these figures about new users? Nothing without a training split; what is unknown is called unknown.

    Earlier versions counted 0 users of a split that names none.
    """
    shared, users = splits["users_shared_with_training"], splits["users"]
    if "train" not in splits["rows"]:
        return []
    if shared is None or not users["train"] or not users["test"]:
        return ["Whether test users are also in training is unknown: not every row has a user_id."]
    if not shared:
        return [f"No test user is in training ({_count(users['test'], 'user')}): every figure is about new users."]
    rest = users["test"] - shared
    new = f"the other {rest:,} are new" if rest else "this is no test of new users"
    return [f"{shared:,} of {_count(users['test'], 'test user')} are also in training: {new}."]


def _about_answers(comparison: dict[str, Any]) -> list[str]:
    found = []
    for key, counted in comparison["data"]["models"].items():
        name = entry_of(comparison, key)["name"]
        subject = f"The {name}" if name == key and key in (BASE, ADAPTER) else name
        if counted["unanswered_share"]:
            found.append(
                f"{subject} gives Yes and No under half the probability (no answer) in "
                f"{counted['unanswered_share']:.1%} of rows."
            )
        if counted["near_threshold"]:
            found.append(
                f"{subject}: {_count(counted['near_threshold'], 'decision')} within .05 of log-odds 0, where rounding "
                "could change the answer."
            )
        if counted.get("text_agreement") is not None:
            found.append(
                f"{subject}: generated text agrees with the scores in {counted['text_agreement']:.1%} of rows."
            )
    return found


def _about_baselines(data: dict[str, Any]) -> list[str]:
    from movielora.evaluation.baselines.catalogue import BY_KEY

    reasons: dict[str, list[str]] = {}
    for key, reason in data["baselines_left_out"].items():
        reasons.setdefault(reason, []).append(BY_KEY[key].name if key in BY_KEY else key)
    found = [f"Left out, because {reason}: {', '.join(names)}." for reason, names in reasons.items()]
    if data["best_baseline_chosen_on"] == "test":
        found.append("The strongest baseline was chosen on the test rows, which makes it look slightly better.")
    return found


def _about_shares(rates: dict[str, float]) -> list[str]:
    shares = ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items())
    return [f"Share of Yes: {shares}."] if len(rates) > 1 else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def provenance_lines(comparison: dict[str, Any]) -> list[list[str]]:
    """`[label, value]` of how the figures were made; nested values are written as `key: value` lines."""
    data = comparison["data"]
    lines = [[label.replace("_", " "), _written(value)] for label, value in comparison.get("provenance", {}).items()]
    lines += [[f"{split} content sha256", digest] for split, digest in data["splits"].get("sha256", {}).items()]
    lines.append(["bootstrap", f"{data['resamples']} resamples of {data['resampled']}, seed {data['seed']}"])
    return [line for line in lines if line[1]]


def _written(value: Any, indent: str = "") -> str:
    if value is None:
        return ""
    if not isinstance(value, dict):
        return str(value)
    return "\n".join(
        f"{indent}{key}:\n{_written(item, indent + '  ')}" if isinstance(item, dict) else f"{indent}{key}: {item}"
        for key, item in value.items()
    )
