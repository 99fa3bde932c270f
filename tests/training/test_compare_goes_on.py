"""Whether a comparison folder may go on: only with scores of the very same thing, whole, and one at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compare_request import compare_request
from movielora.config import ResolvedConfig
from movielora.errors import OutputError
from movielora.evaluation.comparison.compare import compare
from movielora.evaluation.comparison.request import CompareRequest
from movielora.model.lora import base_of_adapter
from movielora.progress import SILENT
from movielora.storage.lock import FolderLock

_ROWS, _CHUNK = 20, 8


@pytest.fixture
def parts(trained: Any, tmp_path: Path) -> dict[str, Path]:
    """Copies of the adapter and of its base, to be changed."""
    run = Path(trained[1].run_dir)
    shutil.copytree(base_of_adapter(run), tmp_path / "base")
    shutil.copytree(run, tmp_path / "adapter", ignore=shutil.ignore_patterns("checkpoint-*", "logs", "comparison*"))
    return {"base": tmp_path / "base", "adapter": tmp_path / "adapter", "folder": tmp_path / "comparison"}


@pytest.fixture
def request_for(parts: dict[str, Path], tiny_config: Callable[..., ResolvedConfig]) -> Callable[..., CompareRequest]:
    def make(**overrides: Any) -> CompareRequest:
        settings = {"model_name_or_path": parts["base"], "inference.chunk_size": _CHUNK, **overrides}
        return compare_request(
            tiny_config(**settings), adapter=parts["adapter"], output_dir=parts["folder"], max_samples=_ROWS,
            calibrate=False,
        )  # fmt: skip

    return make


def interrupt(folder: Path) -> None:
    """As if it had been killed behind its first chunk."""
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "predictions.jsonl").write_text("".join(lines[: _CHUNK + 3]), encoding="utf-8")
    (folder / "comparison.json").unlink()
    change_json(folder / ".written.json", **{"predictions.jsonl": []})  # its hash is listed at the end


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_what_the_scores_depend_on_is_named_where_it_changed(
    request_for: Callable[..., CompareRequest], parts: dict[str, Path]
) -> None:
    compare(request_for(), SILENT)
    interrupt(parts["folder"])
    torn = (parts["folder"] / "predictions.jsonl").read_bytes()
    template = parts["base"] / "chat_template.jinja"

    def refused(named: str, **overrides: Any) -> None:
        with pytest.raises(OutputError) as caught:
            compare(request_for(**overrides), SILENT)
        assert f"holds a comparison of other inputs ({named} changed)" in caught.value.message
        assert "--overwrite" in caught.value.next_step
        assert (parts["folder"] / "predictions.jsonl").read_bytes() == torn

    for path, changes, named in (
        (parts["adapter"] / "adapter_config.json", {"lora_alpha": 1}, "adapter_config"),
        (parts["base"] / "config.json", {"rope_theta": 500.0}, "base"),
    ):
        before = path.read_bytes()
        change_json(path, **changes)
        refused(named)
        path.write_bytes(before)
    before = template.read_bytes()
    template.write_bytes(before.replace(b"'<|im_start|>assistant\\n' }}", b"'<|im_start|>assistant \\n' }}"))
    assert template.read_bytes() != before
    refused("prompt")
    template.write_bytes(before)
    refused("prompt, cutoff_len", cutoff_len=1000)
    refused("placement", bf16=True)

    # 4-bit is off on a CPU where nothing is said, so saying it changes nothing.
    again = compare(request_for(use_qlora="null"), SILENT)
    assert again["samples"] == _ROWS


def test_a_comparison_from_before_liger_was_recorded_goes_on(
    request_for: Callable[..., CompareRequest], parts: dict[str, Path]
) -> None:
    """What it recorded names no `liger`; other kernels in training than now are said."""
    compare(request_for(), SILENT)
    interrupt(parts["folder"])
    assert "liger" not in json.loads((parts["folder"] / "inputs.json").read_text(encoding="utf-8"))["placement"]
    record = json.loads((parts["adapter"] / "run.json").read_text(encoding="utf-8"))
    change_json(parts["adapter"] / "run.json", placement=record["placement"] | {"liger": True})
    warned: list[str] = []

    class Listening:
        phase, note, warn = SILENT.phase, SILENT.note, staticmethod(warned.append)

    assert compare(request_for(), Listening())["samples"] == _ROWS
    assert [said for said in warned if "sdpa attention and Liger's kernels and is scored with sdpa attention" in said]


def test_a_finished_comparison_is_not_torn_by_the_same_command(
    request_for: Callable[..., CompareRequest], parts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(request_for(), SILENT)
    predictions = parts["folder"] / "predictions.jsonl"
    before = predictions.read_bytes()
    assert len(before.splitlines()) % _CHUNK

    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError("nothing is to be scored")

    monkeypatch.setattr("movielora.scoring.scorer.score", fails)
    again = compare(request_for(), SILENT)
    assert predictions.read_bytes() == before
    assert {**again, "provenance": None} == {**first, "provenance": None}


def test_two_comparisons_do_not_write_between_each_other(
    request_for: Callable[..., CompareRequest], parts: dict[str, Path]
) -> None:
    parts["folder"].mkdir()
    held = FolderLock.acquire(parts["folder"] / ".compare.lock")
    assert held is not None
    with pytest.raises(OutputError, match=r"another comparison is running in .*comparison"):
        compare(request_for(), SILENT)
    assert not (parts["folder"] / "predictions.jsonl").exists()
    held.release()
    assert compare(replace(request_for(), overwrite=True), SILENT)["samples"] == _ROWS


def test_the_folder_is_free_after_an_error(request_for: Callable[..., CompareRequest], parts: dict[str, Path]) -> None:
    weights = parts["adapter"] / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(Exception, match="cannot be read"):
        compare(request_for(), SILENT)
    weights.write_bytes(whole)
    assert compare(replace(request_for(), overwrite=True), SILENT)["samples"] == _ROWS
