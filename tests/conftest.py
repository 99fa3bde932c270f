"""Fixtures for every test: the shared real data, the embedded base and the two tokenizers.

Nothing here imports torch or transformers before a test asks for it.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine, and no clock: a loaded machine is no failure.
settings.register_profile("movielora", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("movielora")

# A shell starts what it puts in the background with SIGINT ignored, and the programs we interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _state_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The list of runs of fixtures that outlive a test, child processes included; never the user's own list."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


_states = itertools.count()


@pytest.fixture(autouse=True)
def _state_of_the_test(_state_of_the_session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with an empty list of runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(_state_of_the_session / str(next(_states))))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the real data: $MOVIELORA_SHARED, or ../shared beside the project."""
    folder = Path(os.environ.get("MOVIELORA_SHARED") or PROJECT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there (set MOVIELORA_SHARED)")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the embedded base, built once a session."""
    from movielora.model.tiny import build_tiny_base

    return build_tiny_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_base: Path) -> Any:
    from movielora.model.tokenizer import load_tokenizer

    return load_tokenizer(tiny_base)


@pytest.fixture(scope="session")
def qwen_tokenizer(shared: Path) -> Any:
    """The real Qwen3 tokenizer. Tests that use it carry `@pytest.mark.shared`."""
    from movielora.model.tokenizer import load_tokenizer

    folder = shared / "qwen3-tokenizer"
    if not folder.is_dir():
        pytest.skip(f"no real tokenizer: {folder} is not there")
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def real_data(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `data` folder with the dataset `movielens_qwen3`: the newest 6 examples of each user of the real ratings
    (2,440 for training, 610 each for evaluation and test). Tests that use it carry `@pytest.mark.shared`."""
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.progress import SILENT

    source = shared / "ml-latest-small"
    if not source.is_dir():
        pytest.skip(f"no real ratings: {source} is not there")
    data = tmp_path_factory.mktemp("real") / "data"
    prepare(source, data / "movielens_qwen3", PrepareOptions(max_per_user=6), SILENT)
    return data
