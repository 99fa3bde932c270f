"""`movielora config` from the command line: resolved values, their origin, the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import main
from movielora.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["config", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_every_key_is_shown_with_its_value_and_origin_in_80_columns(config: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("lora_rank: 8\ntemplate: qwen\ninference: {batch_size: 4}\n")
    code, out, _ = config("-c", str(path), "--set", "learning_rate=1e-3")
    assert code == 0
    lines = out.rstrip().split("\n")
    assert max(map(len, lines)) <= 80
    table = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert table["lora_rank"] == ["8", "file"]
    assert table["learning_rate"] == ["0.001", "--set"]
    assert table["lora_alpha"] == ["64", "default"]
    assert table["inference.batch_size"] == ["4", "file"]
    assert table["output_dir"] == ['"output/qwen3-movielens-qlora"', "default"]
    assert set(Config.model_fields) - set(table) == {"inference"}
    assert "`template: qwen` has no effect: the model's own chat template is used" in " ".join(out.split())


def test_a_long_value_is_folded_and_not_cut(config: Any) -> None:
    long = "deep/" * 40 + "end"
    code, out, _ = config("--set", f"output_dir={long}")
    assert code == 0
    assert max(map(len, out.rstrip().split("\n"))) <= 80
    assert f'"{long}"' in "".join(out.replace("--set", "").split())


def test_json_is_one_object_with_values_and_origins(config: Any) -> None:
    code, out, _ = config("--config", str(CONFIGS / "tiny_cpu.yaml"), "--set", "inference.max_samples=5", "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == ["config", "origins"]
    assert found["config"]["model_name_or_path"] == "tiny"
    assert found["config"]["inference"]["max_samples"] == 5
    assert found["origins"]["model_name_or_path"] == "file"
    assert found["origins"]["inference.max_samples"] == "--set"
    assert found["origins"]["seed"] == "default"


def test_the_schema_is_a_json_schema_of_every_key(config: Any) -> None:
    code, out, _ = config("--schema")
    assert code == 0
    schema = json.loads(out)
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["lora_rank"]["default"] == 16
    for key, part in schema["properties"].items():
        assert part.get("description") or key == "inference", key  # a block, described where it is defined


def test_the_schema_is_indented_for_a_reader_and_one_line_for_a_program(config: Any) -> None:
    _, page, _ = config("--schema")
    _, line, _ = config("--schema", "--json")
    assert '\n  "properties": {\n' in page
    assert line.count("\n") == 1
    assert json.loads(line) == json.loads(page)


def test_all_problems_are_told_on_stderr_and_as_json_with_exit_2(config: Any, tmp_path: Path) -> None:
    path = tmp_path / "[bold]c.yaml"
    path.write_text("lora_rank: x\nlerning_rate: 1\n")
    code, out, err = config("-c", str(path), "--set", "seed=-1", "--json")
    assert code == 2
    assert "[bold]c.yaml has 3 problems" in err
    error = json.loads(out)["error"]
    assert error["message"] == f"{path} has 3 problems"
    assert (len(error["problems"]), error["exit_code"]) == (3, 2)
    assert all(problem in err for problem in (*error["problems"], error["next"]))
    for said in ("line 1: `lora_rank: x`", "line 2: unknown key `lerning_rate`", "--set seed: `seed: -1`", "next:"):
        assert said in err, said


def test_a_missing_file_is_one_sentence(config: Any) -> None:
    code, out, err = config("-c", "none.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: config file none.yaml does not exist\n")
