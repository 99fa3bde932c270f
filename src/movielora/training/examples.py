"""The examples of a training as token ids, and which of them it trains on and evaluates on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.config import Config
from movielora.dataset.find import TrainingSplits
from movielora.errors import DataError
from movielora.examples.columns import user_numbers
from movielora.examples.example_set import NO_LABEL, YES_LABEL, Labels, sample_rows
from movielora.examples.load import ExampleLoader
from movielora.examples.shown_candidates import warn_of_shown_candidates
from movielora.progress import Reporter
from movielora.prompt.asked_words import with_common_texts
from movielora.prompt.spec import PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.token_cache import clear_cache
from movielora.prompt.token_sets import PromptTokens
from movielora.prompt.tokenize import tokenize_split
from movielora.prompt.trained_on import TrainedOn, rows_of_training

# More rows than this losing history to the cutoff means the cutoff is wrong, not the rows.
_MOST_CUT = 0.2


@dataclass(frozen=True)
class TrainingExamples:
    """`train_rows` and `eval_rows` are the rows used, ascending; `spec` is what their prompts were rendered by, and
    `trained_on` what is recorded of them.

    `eval_users` (eval rows,) numbers the user of each row, and is None if no user is known.
    """

    spec: PromptSpec
    trained_on: TrainedOn
    train: PromptTokens
    train_rows: NDArray[np.int64]
    evaluation: PromptTokens | None
    eval_rows: NDArray[np.int64]
    eval_users: NDArray[np.int64] | None


def load_examples(
    config: Config, files: TrainingSplits, tokenizer: Any, reporter: Reporter, *, clear_token_cache: bool = False
) -> TrainingExamples:
    """Tokenize both splits by the config's prompt spec; texts that all training rows bring become the spec's.

    Raises DataError if they cannot be read, an example does not fit, or too many lose history to the cutoff.
    """
    cache_dir = Path(config.preprocessing_cache_dir)
    if clear_token_cache:
        reporter.note(f"Removed {clear_cache(cache_dir)} token caches from {cache_dir}")
    loader = ExampleLoader(reporter=reporter, columns=files.columns)
    spec = PromptSpec.of_split(config, loader, files.train)
    with reporter.phase("Recording the rows"):
        trained_on = rows_of_training(config, files, loader, spec)
    spec = with_common_texts(spec, trained_on.words)
    loader = loader.showing(spec.history_len)  # of the evaluation's dataset too, which may be prepared otherwise
    template = PromptTemplate(tokenizer, spec)

    for path in (files.train, files.evaluation):
        if path is not None and (prepared := loader.open_prepared(path)) is not None:
            warn_of_shown_candidates(prepared, reporter)

    def load(path: Path, like: PromptTokens | None = None) -> PromptTokens:
        examples = tokenize_split(
            path, loader, template, tokenizer,
            cutoff_len=config.cutoff_len, cache_dir=cache_dir, reporter=reporter, like=like,
        )  # fmt: skip
        check_truncation(examples, path, config, reporter)
        return examples

    train = load(files.train)
    evaluation = load(files.evaluation, like=train) if files.evaluation else None
    eval_rows = sample_rows(len(evaluation or ()), config.max_eval_samples, config.seed)
    users = user_numbers(loader.open(files.evaluation).select(eval_rows)) if files.evaluation else None
    if evaluation is not None:
        _check_best_metric(config, evaluation.labels[eval_rows], users, files.evaluation)
    return TrainingExamples(
        template.spec,
        trained_on,
        train,
        sample_rows(len(train), config.max_samples, config.seed),
        evaluation,
        eval_rows,
        users,
    )


def _check_best_metric(config: Config, labels: Labels, users: NDArray[np.int64] | None, path: Path | None) -> None:
    """Raises DataError if the evaluation rows do not define the metric that decides: auc needs both answers, uauc a
    user who has both. Undefined, it would never improve, and early stopping would end the training."""
    if config.best_metric == "uauc":
        if users is not None and set(users[labels == YES_LABEL].tolist()) & set(users[labels == NO_LABEL].tolist()):
            return
        why, instead = "names no users" if users is None else "has no user with both answers", "auc"
    elif config.best_metric == "auc":
        if (labels == YES_LABEL).any() and (labels == NO_LABEL).any():
            return
        why, instead = "does not hold both answers, Yes and No", "log_loss"
    else:
        return
    raise DataError(
        f"`metric_for_best_model: {config.best_metric}` cannot be computed: {path} {why}",
        f"--set metric_for_best_model={instead}",
    )


def check_truncation(examples: PromptTokens, path: Path, config: Config, reporter: Reporter) -> None:
    """Report how many rows lost history; raise DataError if more than a fifth did, unless that is allowed."""
    if not examples.rows_cut:
        return
    share = examples.rows_cut / len(examples)
    said = (
        f"{examples.rows_cut:,} of {len(examples):,} examples of {path} ({share:.1%}) "
        f"lost history to `cutoff_len: {config.cutoff_len}`"
    )
    if share > _MOST_CUT and not config.allow_truncation:
        raise DataError(
            said, "movielora audit --config … recommends a cutoff; --set allow_truncation=true trains anyway"
        )
    reporter.warn(said)
