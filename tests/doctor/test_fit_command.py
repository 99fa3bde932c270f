"""`movielora fit`: JSON, the page in 80 columns, memory as users write it, models that are not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import main
from movielora.doctor.fit import parse_memory
from movielora.errors import ConfigError

QWEN3 = {
    "model_type": "qwen3",
    "vocab_size": 151_936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
KEYS = {"per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "use_qlora"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose model folder holds a config.json and no weights."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(QWEN3))
    path = tmp_path / "config.yaml"
    path.write_text(f"model_name_or_path: {model}\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--config", str(config), "--memory", "24GiB")
    assert {"peak_bytes", "parts", "recommended"} <= set(found)
    assert found["peak_bytes"] == sum(found["parts"].values())
    assert set(found["recommended"]) == KEYS
    chosen = found["recommended"]
    assert chosen["per_device_train_batch_size"] * chosen["gradient_accumulation_steps"] == 16
    assert [each["memory_bytes"] >> 30 for each in found["by_memory"]] == [8, 12, 16, 24, 48, 80]


def test_four_bit_that_only_costs_speed_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = answer(capsys, "--config", str(config), "--memory", "24GiB", "--set", "use_qlora=true")
    assert any("use_qlora: true only costs speed" in note for note in wide["notes"])
    assert wide["recommended"]["use_qlora"] is False
    narrow = answer(capsys, "--config", str(config), "--memory", "6GiB", "--set", "use_qlora=true")
    assert not any("only costs speed" in note for note in narrow["notes"])


def test_a_config_that_does_not_fit_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--config", str(config), "--memory", "8GiB", "--set", "per_device_train_batch_size=16")
    assert found["fits"] is False
    assert any("does not fit" in note for note in found["notes"])
    none = answer(capsys, "--config", str(config), "--memory", "1GiB")
    assert none["recommended_fits"] is False
    assert any("lower cutoff_len" in note for note in none["notes"])


def test_the_page_fits_80_columns(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--config", str(config), "--memory", "24GiB")
    assert code == 0
    assert "base weights" in out
    assert "per_device_train_batch_size:" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_embedded_base_needs_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text("model_name_or_path: tiny\n")
    found = answer(capsys, "--config", str(path))
    assert found["parts"]["base_weights"] < 10**6


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GiB", 24 << 30),
        ("24 gib", 24 << 30),
        ("0.5GiB", 1 << 29),
        ("512MiB", 512 << 20),
        ("24GB", 24 * 10**9),
        (" 1TB ", 10**12),
    ],
)
def test_memory_with_a_unit_is_read(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("24", "--memory 24GiB"),
        ("lots", "--memory 24GiB"),
        ("", "--memory 24GiB"),
        ("24KiB", "--memory 24GiB"),
        ("-4GiB", "--memory 24GiB"),
        ("0GiB", "--memory 24GiB"),
        ("nanGiB", "--memory 24GiB"),
        ("1e3GiB", "--memory 24GiB"),
    ],
)
def test_memory_without_sense_is_one_sentence_and_a_fix(text: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_memory(text)
    assert fix in caught.value.next_step
    assert "\n" not in caught.value.message


def test_a_blank_memory_is_not_taken_for_none(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = run(capsys, "--config", str(config), "--memory", "")
    assert (code, out) == (2, "")
    assert said.startswith("error: --memory '' is no amount of memory\n")


def test_a_decimal_unit_is_read_and_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--config", str(config), "--memory", "24GB")
    assert found["memory_bytes"] == 24 * 10**9
    assert any("write --memory 24GiB" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mixtral", "num_local_experts": 8}, "mixture of experts"),
        ({"hidden_size": None}, "holds a size that is no number"),
    ],
)
def test_a_model_that_cannot_be_estimated(
    config: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], words: str
) -> None:
    model = config.parent / "model" / "config.json"
    model.write_text(json.dumps(QWEN3 | change))
    code, out, err = run(capsys, "--config", str(config), "--json")
    assert code == 2
    assert words in json.loads(out)["error"]["message"]
    assert words in err


def test_a_model_that_is_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, words in [
        ("no-such-owner/no-such-model", "offline mode is on"),
        ("./no/such/folder", "neither a folder nor a Hugging Face name"),
    ]:
        path = tmp_path / "config.yaml"
        path.write_text(f"model_name_or_path: {name}\n")
        code, _, err = run(capsys, "--config", str(path))
        assert code == 2
        assert words in " ".join(err.split())
