"""The simple answers that a recommender must beat, fitted on the training split only.

Each baseline gives a P(Yes) for every row of the evaluation and test splits, and is measured by the same code as the
models. On `ml-latest-small` (default split, 8,965 test rows) they reach AUC .50 to .80; a LoRA adapter's usual .75
loses to two lines of arithmetic, which a tool that prints base against adapter alone would hide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from movielora.evaluation.baselines.features import Questions
from movielora.evaluation.baselines.matrix_factorisation import factorised_log_odds
from movielora.evaluation.baselines.training_counts import FilmNames, Tally, user_names
from movielora.scoring.log_odds import Bools, Floats, log_odds_of

# A share of 0 or 1 in fifteen films is not certainty; this keeps the log loss finite and is far from any threshold.
_SURE = 1e-6


@dataclass(frozen=True)
class Baseline:
    """`key` names it in JSON, `name` for people, `how` says in a line what it does."""

    key: str
    name: str
    how: str

    @property
    def spoken(self) -> str:
        """The name inside a sentence: "the history's like-share"."""
        name = self.name.removeprefix("The ")
        return f"the {name[0].lower()}{name[1:]}"


BASELINES = (
    Baseline("majority", "The more common answer", "the training split's share of Yes, for every row"),
    Baseline("popularity", "Candidate's popularity", "logistic regression on the candidate's training count"),
    Baseline("like_rate", "Candidate's like-rate", "share of the candidate's training answers that are Yes, smoothed"),
    Baseline("history_like_share", "History's like-share", "share of the films shown that the user liked"),
    Baseline("history_mean", "History's mean rating", "logistic regression on the mean of the stars shown"),
    Baseline("user_item_log_odds", "Like-share + like-rate", "log-odds of the like-share and the like-rate, added"),
    Baseline("matrix_factorisation", "Matrix factorisation", "user and film biases and 8 factors from the ids"),
    Baseline("mean_and_like_rate", "Two-feature logistic", "logistic regression: history mean, candidate like-rate"),
    Baseline(
        "six_features",
        "Six-feature logistic",
        "logistic regression: history mean, like-share, last-5 mean and spread, candidate like-rate and count",
    ),
)
BY_KEY = {baseline.key: baseline for baseline in BASELINES}


@dataclass(frozen=True)
class Fitted:
    """`log_odds[key][split]`, each (rows,), for the splits asked for; `left_out[key]` is the reason."""

    log_odds: dict[str, dict[str, Floats]]
    left_out: dict[str, str]


@dataclass(frozen=True)
class _Features:
    """Columns of one split, each (rows,); the training rows are left out of their own like-rate."""

    like_rate: Floats
    count: Floats  # ln(1 + training answers of the candidate)
    like_share: Floats
    mean: Floats
    last_mean: Floats
    spread: Floats


def fit_baselines(train: Questions | None, splits: dict[str, Questions]) -> Fitted:
    """Fit on `train` and score `splits` ("test", and "eval" where there is one).

    A baseline that needs what a split lacks (the training file, stars in the histories, user and film ids) is left
    out and named, never approximated.
    """
    every = [*splits.values()] if train is None else [train, *splits.values()]
    reasons = {
        "train": "there is no training file" if train is None else "",
        "stars": "" if all(split.has_ratings.all() for split in every) else "some histories show no ratings",
        "ids": _missing_ids(every),
    }
    fitted: dict[str, dict[str, Floats]] = {}
    left_out: dict[str, str] = {}
    models = _Models(train, splits)
    for baseline in BASELINES:
        needs, score = models.recipe(baseline.key)
        missing = next((reasons[need] for need in needs if reasons[need]), "")
        if missing:
            left_out[baseline.key] = missing
        else:
            fitted[baseline.key] = {name: _bounded(log_odds) for name, log_odds in score().items()}
    return Fitted(fitted, left_out)


class _Models:
    """The features of every split, computed once and when first asked for, and a method a baseline."""

    def __init__(self, train: Questions | None, splits: dict[str, Questions]) -> None:
        self._train, self._splits = train, splits
        self._known: dict[str, _Features] = {}

    def recipe(self, key: str) -> tuple[tuple[str, ...], Callable[[], dict[str, Floats]]]:
        return {
            "majority": (("train",), self._majority),
            "popularity": (("train",), lambda: self._logistic(lambda f: [f.count])),
            "like_rate": (("train",), lambda: self._each(lambda f: log_odds_of(f.like_rate))),
            "history_like_share": (("stars",), self._like_share),
            "history_mean": (("train", "stars"), lambda: self._logistic(lambda f: [f.mean])),
            "user_item_log_odds": (("train", "stars"), self._user_item),
            "matrix_factorisation": (("train", "ids"), self._factorised),
            "mean_and_like_rate": (("train", "stars"), lambda: self._logistic(lambda f: [f.mean, f.like_rate])),
            "six_features": (
                ("train", "stars"),
                lambda: self._logistic(lambda f: [f.mean, f.like_rate, f.like_share, f.last_mean, f.count, f.spread]),
            ),
        }[key]

    @property
    def _fitting_rows(self) -> Questions:
        if self._train is None:
            raise ValueError("a baseline that needs the training split was asked for without one")
        return self._train

    @property
    def _general_rate(self) -> float:
        return float(np.clip(self._fitting_rows.labels.mean(), _SURE, 1 - _SURE))

    def _features(self) -> dict[str, _Features]:
        if not self._known:
            train = self._fitting_rows
            films = FilmNames.shared_by(train, *self._splits.values())
            tally = Tally.of(films.of(train), train.labels)
            for name, split in {"train": train, **self._splits}.items():
                own = train.labels if name == "train" else None
                self._known[name] = self._features_of(split, films.of(split), tally, own)
        return self._known

    def _features_of(self, split: Questions, films: list[str], tally: Tally, own: Bools | None) -> _Features:
        # An empty history says nothing of the user: it gets the training split's middle.
        def filled(column: Floats, middle: Floats) -> Floats:
            return np.where(split.history_length == 0, _mean(middle), column)

        train = self._fitting_rows
        return _Features(
            like_rate=tally.like_rates(films, self._general_rate, own),
            count=np.log1p(tally.counts(films)),
            like_share=filled(split.like_share, train.like_share),
            mean=filled(split.mean, train.mean),
            last_mean=filled(split.last_mean, train.last_mean),
            spread=filled(split.spread, train.spread),
        )

    def _each(self, score: Callable[[_Features], Floats]) -> dict[str, Floats]:
        return {name: score(self._features()[name]) for name in self._splits}

    def _majority(self) -> dict[str, Floats]:
        constant = float(log_odds_of(np.array(self._general_rate)))
        return {name: np.full(len(split), constant) for name, split in self._splits.items()}

    def _like_share(self) -> dict[str, Floats]:
        # Untrained: an empty history is even odds.
        return {
            name: log_odds_of(np.where(split.history_length == 0, 0.5, split.like_share))
            for name, split in self._splits.items()
        }

    def _user_item(self) -> dict[str, Floats]:
        """logit(user) + logit(film) − logit(everybody), the independent-evidence sum; the like-share is smoothed by
        one liked and one disliked film, since a sum of infinities says nothing."""
        general = float(log_odds_of(np.array(self._general_rate)))

        def score(name: str) -> Floats:
            features, length = self._features()[name], self._splits[name].history_length
            user = (features.like_share * length + 1) / (length + 2)
            return log_odds_of(user) + log_odds_of(features.like_rate) - general

        return {name: score(name) for name in self._splits}

    def _factorised(self) -> dict[str, Floats]:
        train = self._fitting_rows
        films = FilmNames(by_id=True)
        asked = {name: (user_names(split), films.of(split)) for name, split in self._splits.items()}
        return factorised_log_odds(user_names(train), films.of(train), train.labels, asked)

    def _logistic(self, columns: Callable[[_Features], list[Floats]]) -> dict[str, Floats]:
        features = self._features()
        fitting = np.column_stack(columns(features["train"]))
        asked = {name: np.column_stack(columns(features[name])) for name in self._splits}
        return logistic_log_odds(fitting, self._fitting_rows.labels, asked)


def logistic_log_odds(fitting: Floats, labels: Bools, asked: dict[str, Floats]) -> dict[str, Floats]:
    """Logistic regression on standardised columns (rows, features), L2 with C = 1; log-odds for each of `asked`.

    Where the training labels are all the same there is nothing to fit, and every row gets that answer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        constant = np.inf if labels[0] else -np.inf
        return {name: np.full(len(rows), constant) for name, rows in asked.items()}
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(fitting, labels)
    return {name: np.asarray(model.decision_function(rows), dtype=np.float64) for name, rows in asked.items()}


def _missing_ids(splits: list[Questions]) -> str:
    for what, columns in (("user_id", [s.users for s in splits]), ("movie_id", [s.movie_ids for s in splits])):
        missing = sum(name is None for column in columns for name in column)
        if missing:
            return f"{what} is missing in {missing:,} rows"
    return ""


def _bounded(log_odds: Floats) -> Floats:
    limit = float(log_odds_of(np.array(1 - _SURE)))
    return np.clip(log_odds, -limit, limit)


def _mean(column: Floats) -> float:
    known = column[np.isfinite(column)]
    return float(known.mean()) if len(known) else 0.0
