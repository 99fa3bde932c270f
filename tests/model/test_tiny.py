"""The embedded base: mended where it is damaged, built by two at once, refused in one sentence where it cannot be."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import OutputError
from movielora.model import tiny
from movielora.model.tiny import build_tiny_base


@pytest.fixture
def cache(tiny_base: Path, tmp_path: Path) -> Path:
    """A cache folder with a base in it."""
    shutil.copytree(tiny_base, tmp_path / tiny_base.name)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "cut_short"),
    [
        ("model.safetensors", False),
        ("model.safetensors", True),
        ("config.json", True),
        ("tokenizer.json", True),
        ("tokenizer_config.json", False),
        ("chat_template.jinja", False),
    ],
)
def test_a_damaged_base_is_mended(cache: Path, tiny_base: Path, name: str, cut_short: bool) -> None:
    file = cache / tiny_base.name / name
    whole = file.read_bytes()
    if cut_short:
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.unlink()
    assert build_tiny_base(cache) == cache / tiny_base.name
    assert contents(cache / tiny_base.name) == contents(tiny_base)
    assert [path.name for path in cache.iterdir()] == [tiny_base.name]


def test_a_whole_base_is_left_alone(cache: Path, tiny_base: Path) -> None:
    before = (cache / tiny_base.name).stat().st_ino
    build_tiny_base(cache)
    assert (cache / tiny_base.name).stat().st_ino == before


@pytest.mark.parametrize("damaged", [False, True])
def test_two_who_build_it_at_once_both_end_well(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    """Each waits for the other before it renames, so that both find none, or the damaged one."""
    processes = multiprocessing.get_context("fork")
    gate, real = processes.Barrier(2), tiny._write

    def write_together(folder: Path, corpus: list[str]) -> None:
        real(folder, corpus)
        gate.wait(timeout=60)

    def work() -> None:
        build_tiny_base(tmp_path)

    if damaged:
        (tmp_path / tiny_base.name).mkdir()
        (tmp_path / tiny_base.name / "config.json").touch()
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # its threads do not live on in a forked process
    monkeypatch.setattr(tiny, "_write", write_together)
    both: list[Any] = [processes.Process(target=work) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=90)
    assert [process.exitcode for process in both] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [tiny_base.name]
    assert contents(tmp_path / tiny_base.name) == contents(tiny_base)


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the embedded base cannot be written to"):
        build_tiny_base(tmp_path / "file" / "cache")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom movielora.errors import OutputError\n"
        "from movielora.model.tiny import build_tiny_base\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    build_tiny_base(Path(sys.argv[1]))\n"
        "except OutputError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "cache")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(f"the embedded base cannot be written to {tmp_path / 'cache'}: ")
    assert list((tmp_path / "cache").iterdir()) == []
