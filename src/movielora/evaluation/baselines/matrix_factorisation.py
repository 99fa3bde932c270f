"""Matrix factorisation of the training answers, small: biases by ridge logistic regression, factors by SVD.

Koren, Bell & Volinsky, *Computer* 42 (2009): answer ≈ general + user + film + ⟨user factors, film factors⟩. Both
steps are scikit-learn's; on 78,271 answers they take about a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.scoring.log_odds import Bools, Floats, Ints, probability

_FACTORS = 8
_BIAS_C = 0.5
# dp/dlogit of a logistic is p(1 − p), at most 1/4: a residual of probability is about four of log-odds.
_LOG_ODDS_PER_RESIDUAL = 4.0

ScorePairs = Callable[[list[str], list[str]], Floats]


def fit_factors(users: list[str], films: list[str], labels: Bools) -> ScorePairs:
    """Fit on training names and labels, (rows,) each; the result gives log-odds of any users and films, (rows,).

    A user or film that training never saw has bias 0 and factors 0.
    """
    from scipy import sparse
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        constant = np.inf if labels[0] else -np.inf
        return lambda users, films: np.full(len(users), constant)
    user_code, film_code = _codes(users), _codes(films)
    user_at, film_at = _places(users, user_code), _places(films, film_code)

    def one_hot(at_user: Ints, at_film: Ints) -> Any:
        """(rows, users + films): a 1 for the user and a 1 for the film, none for the unseen."""
        rows = np.arange(len(at_user))
        known_user, known_film = at_user >= 0, at_film >= 0
        places = np.r_[at_user[known_user], len(user_code) + at_film[known_film]]
        ones = (np.ones(len(places)), (np.r_[rows[known_user], rows[known_film]], places))
        return sparse.csr_matrix(ones, shape=(len(rows), len(user_code) + len(film_code)))

    biases = LogisticRegression(C=_BIAS_C, max_iter=300).fit(one_hot(user_at, film_at), labels)
    residual = labels - probability(biases.decision_function(one_hot(user_at, film_at)))
    table = sparse.csr_matrix((residual, (user_at, film_at)), shape=(len(user_code), len(film_code)))
    rank = min(_FACTORS, min(table.shape) - 1)
    user_factors, film_factors = np.zeros((len(user_code), 1)), np.zeros((len(film_code), 1))
    if rank >= 1:
        svd = TruncatedSVD(rank, random_state=0)
        user_factors, film_factors = svd.fit_transform(table), svd.components_.T

    def score(users: list[str], films: list[str]) -> Floats:
        at_user, at_film = _places(users, user_code), _places(films, film_code)
        match = (user_factors[at_user] * film_factors[at_film]).sum(axis=1)
        match[(at_user < 0) | (at_film < 0)] = 0.0
        bias = biases.decision_function(one_hot(at_user, at_film))
        return np.asarray(bias + _LOG_ODDS_PER_RESIDUAL * match)

    return score


def _fit(training: Features) -> Score:
    score = fit_factors(training.users, training.films, training.labels)
    return lambda split: score(split.users, split.films)


BASELINES = (
    Baseline(
        "matrix_factorisation",
        "Matrix factorisation",
        "user and film biases and 8 factors from the ids",
        needs=("train", "ids"),
        fit=_fit,
    ),
)


def _codes(names: list[str]) -> dict[str, int]:
    code: dict[str, int] = {}
    for name in names:
        code.setdefault(name, len(code))
    return code


def _places(names: list[str], code: dict[str, int]) -> Ints:
    """The place of each name, −1 if it is unseen."""
    return np.array([code.get(name, -1) for name in names], dtype=np.int64)
