"""A model folder is looked at before it is loaded: each damage is one sentence and a cure."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from movielora.errors import ModelError
from movielora.model.base import Placement, load_base
from movielora.model.folder import base_hash, check_weights, read_model_config

PLAIN = Placement("cpu", "float32", quantized=False, attention="sdpa")


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


def test_a_whole_folder_is_accepted(folder: Path) -> None:
    assert read_model_config(folder)["model_type"] == "qwen3"
    assert check_weights(folder) == (folder / "model.safetensors").stat().st_size


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def _cut_in_the_header(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])


def _garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<!DOCTYPE html><html>404</html>")


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _longer(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"more")


def _strange_header(folder: Path) -> None:
    header = json.dumps({"a": ["no", "tensor"]}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _missing_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _damaged_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": 3}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut, "is cut short"),
        (_cut_in_the_header, "is cut short"),
        (_garbage, "no safetensors file"),
        (_empty, "no safetensors file"),
        (_longer, "bytes that its header does not name"),
        (_strange_header, "no safetensors file"),
        (_no_weights, "has no safetensors weights"),
        (_missing_shard, "model-00002-of-00002.safetensors is missing"),
        (_damaged_index, "is damaged"),
    ],
)
def test_damaged_weights(folder: Path, damage: object, words: str) -> None:
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ModelError, match=words) as caught:
        check_weights(folder)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "has no config.json"),
        ("{", "cannot be read"),
        ("[]", "names no model_type"),
        ("{}", "names no model_type"),
    ],
)
def test_damaged_config(folder: Path, text: str | None, words: str) -> None:
    config = folder / "config.json"
    config.unlink() if text is None else config.write_text(text)
    with pytest.raises(ModelError, match=words) as caught:
        load_base(str(folder), PLAIN)
    assert caught.value.next_step


def test_an_unknown_architecture_is_one_sentence(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "qwen3"', '"model_type": "qwen99"'))
    with pytest.raises(ModelError, match="qwen99") as caught:
        load_base(str(folder), PLAIN)
    assert "\n" not in caught.value.message
    assert caught.value.next_step


def test_a_base_is_told_by_its_config_and_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = base_hash(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"never loaded")
    (tmp_path / "README.md").write_text("words")
    assert base_hash(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    second = base_hash(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    assert len({first, second, base_hash(str(tmp_path))}) == 3
    assert base_hash("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"


def test_large_weights_are_told_apart_by_size_and_samples(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    seen = set()
    with weights.open("wb") as file:
        for change in (lambda: file.truncate(80 << 20), lambda: file.write(b"first"), lambda: file.seek(-3, 2),
                       lambda: file.write(b"end"), lambda: file.truncate((80 << 20) + 1)):  # fmt: skip
            change()
            file.flush()
            seen.add(base_hash(str(tmp_path)))
    assert len(seen) == 4  # seeking changes nothing
