"""No library chatter: progress bars, notices and warnings that a user of movielora can do nothing about."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from functools import cache

_LIBRARIES = ("transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "huggingface_hub", "torch")


@cache
def quiet_libraries() -> None:
    """Call before the first use of transformers. Errors still come through, as exceptions."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Notices of what a later version will rename: for us to follow, not for the user to read.
    for category in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # read when datasets is imported, if it is
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if "datasets" in sys.modules:
        sys.modules["datasets"].disable_progress_bars()
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
