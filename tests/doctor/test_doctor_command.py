"""`movielora doctor` as a user runs it: one real run, JSON, exit codes, 80 columns, and every bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import main
from movielora.doctor.checks.folders import check_disk
from movielora.doctor.examine import CHECKS


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def one(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> dict[str, str]:
    """The only check of that name, as JSON."""
    _, out, _ = run(capsys, "--only", name, "--json", *arguments)
    (found,) = json.loads(out)["checks"]
    return found


@pytest.fixture
def config(tmp_path: Path, tiny_base: Path) -> Any:
    """Write a config with these values over a whole one."""
    rows = [{"instruction": "Will the user like it?", "input": "1. A film: 4.0\nCandidate film: B", "output": "Yes"}]
    for name in ("train", "eval"):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))

    def write(**values: object) -> str:
        whole = {
            "model_name_or_path": str(tiny_base),
            "train_file": str(tmp_path / "train.json"),
            "output_dir": str(tmp_path / "out"),
        }
        path = tmp_path / "config.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in (whole | values).items()))
        return str(path)

    return write


def test_one_whole_run_with_a_config(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--config", config(), "--json")
    answer = json.loads(out)
    assert set(answer) == {"status", "verdict", "checks", "flash_attention", "outlook"}
    assert set(answer["flash_attention"]) == {"installed", "usable", "reason", "wheel", "url", "command"}
    assert [check["name"] for check in answer["checks"]] == list(CHECKS)
    assert all(set(check) == {"name", "status", "found", "needed", "fix"} for check in answer["checks"])
    by_name = {check["name"]: check for check in answer["checks"]}
    for name in ("python", "torch", "bitsandbytes", "transformers", "model", "data", "write_permission"):
        assert by_name[name]["status"] == "ok", by_name[name]
    assert code == (1 if answer["status"] == "failure" else 0)
    for check in answer["checks"]:
        if check["status"] in ("warning", "failure"):
            assert check["fix"], check


def test_what_the_training_costs_is_printed(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--config", config())
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "CPU core" in lines["time"] or "on " in lines["time"]
    assert {"saving", "download", "disk"} <= set(lines)
    assert max(map(len, out.splitlines())) <= 80
    assert "disk " not in run(capsys)[1].replace("disk_", "")


def test_too_little_disk_for_the_checkpoints_is_a_failure() -> None:
    found = check_disk("disk_output", Path("/"), lambda folder: 8 << 30, needed=9 << 30)
    assert (found.status, found.needed) == ("failure", "9.0 GiB")
    assert check_disk("disk_output", Path("/"), lambda folder: 8 << 30, needed=7 << 30).status == "ok"


def test_only_what_is_asked_for_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--only", "python", "--only", "cuda_toolkit")
    assert code == 0
    assert "[✓] python" in out
    assert "torch_gpu_code" not in out
    assert out.rstrip().endswith("Ready: all is well.")


def test_an_unknown_check_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--only", "bitsandbyte")
    assert code == 2
    assert "did you mean bitsandbytes?" in err


def test_strict_counts_warnings(config: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("CUDA_HOME", "/nowhere")
    assert run(capsys, "--only", "cuda_toolkit")[0] == 0
    assert run(capsys, "--only", "cuda_toolkit", "--strict")[0] == 1


def test_the_page_is_quiet_when_well_and_fits_80_columns(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    only = [part for name in ("python", "disk_output", "model") for part in ("--only", name)]
    long = config(model_name_or_path="a-folder-with-a-rather-long-name-that-is/not/" + "there/" * 12)
    code, out, _ = run(capsys, *only, "--config", long)
    assert code == 1
    assert max(map(len, out.splitlines())) <= 80
    assert "→ correct model_name_or_path" in out
    assert out.splitlines()[-1] == "[✗] Not ready: 1 check failed (model)."


def test_flash_attention_asked_for_on_a_cpu_machine(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    found = one(capsys, "gpu", "--config", config(flash_attn="flash_attention_2"))
    assert found["status"] == "failure"
    assert "flash_attn: flash_attention_2" in found["needed"]
    assert "--set flash_attn=auto" in found["fix"]


def test_a_wrong_bitsandbytes_override(
    config: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNB_CUDA_VERSION", "999")
    found = one(capsys, "bitsandbytes", "--config", config(use_qlora=True))
    assert (found["status"], found["fix"]) == ("failure", "unset BNB_CUDA_VERSION")


def test_a_broken_flash_attention_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "flash_attn"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "raise ImportError('x.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    _, out, _ = run(capsys, "--only", "flash_attention", "--json")
    answer = json.loads(out)
    (found,) = answer["checks"]
    assert found["status"] == "warning"
    assert "without the C++11 ABI" in found["found"]
    assert found["fix"]
    assert (answer["flash_attention"]["installed"], answer["flash_attention"]["usable"]) == ("unknown", False)


@pytest.mark.parametrize("damage", ["no config", "truncated", "unknown architecture"])
def test_a_damaged_model_folder(
    config: Any, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "model"))
    settings = folder / "config.json"
    if damage == "no config":
        settings.unlink()
    elif damage == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        settings.write_text(settings.read_text().replace('"model_type": "qwen3"', '"model_type": "qwen99"'))
    found = one(capsys, "model", "--config", config(model_name_or_path=str(folder)))
    words = {"no config": "has no config.json", "truncated": "is cut short", "unknown architecture": "qwen99"}
    assert found["status"] == "failure"
    assert words[damage] in found["found"]
    assert found["fix"]


def test_data_that_is_not_there(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = one(capsys, "data", "--config", config(train_file="nowhere.json"))
    assert found["status"] == "failure"
    assert "nowhere.json" in found["found"]
    assert found["fix"]


def test_a_model_name_without_network(
    config: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = one(capsys, "model", "--config", config(model_name_or_path="no-such-owner/no-such-model"))
    assert found["status"] == "failure"
    assert "offline mode is on" in found["found"]
    assert "unset HF_HUB_OFFLINE" in found["fix"]
