"""No library chatter: progress bars, notices and warnings that a user of movielora can do nothing about."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import ExitStack

from movielora.machine.process_settings import set_default_variable, set_once

_LIBRARIES = ("transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "huggingface_hub", "torch")


def quiet_libraries() -> None:
    """Call before the first use of transformers; undone at the end of the recipe (`process_settings.py`).

    Errors still come through, as exceptions.
    """
    set_once("quiet libraries", _quiet)


def _quiet(undo: ExitStack) -> None:
    set_default_variable("TOKENIZERS_PARALLELISM", "true")
    set_default_variable("HF_HUB_DISABLE_TELEMETRY", "1")
    set_default_variable("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # read when datasets is imported, if it is
    filters = warnings.catch_warnings()
    undo.enter_context(filters)
    # Notices of what a later version will rename: for us to follow, not for the user to read.
    for category in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    # Of the loggers first: transformers' own function below sets the level of one of them.
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
    _quiet_transformers(undo)
    _quiet_datasets(undo)


def _quiet_transformers(undo: ExitStack) -> None:
    from transformers.utils import logging as transformers_logging

    undo.callback(transformers_logging.set_verbosity, transformers_logging.get_verbosity())
    transformers_logging.set_verbosity_error()
    if transformers_logging.is_progress_bar_enabled():
        undo.callback(transformers_logging.enable_progress_bar)
        transformers_logging.disable_progress_bar()


def _quiet_datasets(undo: ExitStack) -> None:
    datasets = sys.modules.get("datasets")
    if datasets is not None and not datasets.are_progress_bars_disabled():
        undo.callback(datasets.enable_progress_bars)
        datasets.disable_progress_bars()
