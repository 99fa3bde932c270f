"""`movielora audit` from the command line: its figures, its JSON, its page, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.cli import main
from movielora.examples.importers.records import read_records
from movielora.prompt.render import render, render_input
from movielora.prompt.spec import PromptSpec

# The keys the issue promises, in its order, and those that were added behind them.
PROMISED = ["samples", "unit", "min", "mean", "max", "percentiles", "cutoff_len", "over_cutoff"]
PROMISED += ["recommended_cutoff_len", "seconds"]
ADDED = {"over_recommended", "cuts_nothing_cutoff_len", "saved_share", "candidates_shown"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A folder with a config and a dataset of 40 training, 3 evaluation and 2 test rows; row n has n % 20 films."""
    folder = tmp_path_factory.mktemp("audit")
    dataset = folder / "data" / "mine"
    dataset.mkdir(parents=True)
    rows = [
        {
            "instruction": "Judge.",
            "input": render_input([f"Film {film} [red]" for film in range(row % 20)], None, "Ran\x1b[2J"),
            "output": "Yes" if row % 2 else "No",
        }
        for row in range(40)
    ]
    (dataset / "train.json").write_text(json.dumps(rows))
    (dataset / "eval.json").write_text(json.dumps(rows[:3]))
    (dataset / "test_raw.jsonl").write_text(
        '{"history_titles": ["Heat"], "history_ratings": [4], "candidate_title": "Ran", "label": "Yes"}\n' * 2
    )
    (folder / "configs").mkdir()
    (folder / "configs" / "c.yaml").write_text(
        f"model_name_or_path: {tiny_base}\ndataset: mine_train\ncutoff_len: 200\n"
    )
    return folder


@pytest.fixture
def audit(project: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command in this process; gives (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["audit", "--config", str(project / "configs" / "c.yaml"), *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def figures(audit: Any) -> Any:
    def run(*arguments: str) -> dict[str, Any]:
        code, out, err = audit("--json", *arguments)
        assert code == 0, err
        return dict(json.loads(out))

    return run


def whole_lengths(path: Path, tokenizer: Any) -> list[int]:
    """Tokens of each conversation up to and with `<|im_end|>` of the answer, by the template itself."""
    lengths = []
    for example in read_records(path):
        asked = render(example, PromptSpec())
        messages = [
            {"role": "system", "content": asked.system},
            {"role": "user", "content": f"{asked.instruction}\n{asked.input}"},
            {"role": "assistant", "content": "Yes" if example.label else "No"},
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False).removesuffix("\n")
        lengths.append(len(tokenizer(text, add_special_tokens=False)["input_ids"]))
    return lengths


def test_json_has_the_promised_keys_and_the_figures_of_the_template(
    figures: Any, project: Path, tiny_tokenizer: Any
) -> None:
    found = figures()
    assert [key for key in found if key in PROMISED] == PROMISED
    assert set(found) == set(PROMISED) | ADDED
    lengths = sorted(whole_lengths(project / "data/mine/train.json", tiny_tokenizer))
    assert (found["samples"], found["unit"]) == (40, "tokens")
    assert (found["min"], found["max"]) == (lengths[0], lengths[-1])
    assert found["mean"] == pytest.approx(sum(lengths) / 40)
    # Of 40 lengths p50 is the 20th, p90 the 36th, p95 the 38th, p99 and p100 the 40th.
    ranks = {"50": 20, "90": 36, "95": 38, "99": 40, "100": 40}
    assert found["percentiles"] == {name: lengths[rank - 1] for name, rank in ranks.items()}
    assert found["cutoff_len"] == 200
    assert found["over_cutoff"] == sum(length > 200 for length in lengths) > 0
    assert found["recommended_cutoff_len"] == -(-lengths[37] // 64) * 64
    assert found["cuts_nothing_cutoff_len"] == lengths[-1]
    assert found["over_recommended"] == sum(length > found["recommended_cutoff_len"] for length in lengths)
    assert found["seconds"] > 0


def test_over_cutoff_is_what_training_would_cut(figures: Any, project: Path, tiny_tokenizer: Any) -> None:
    from movielora.progress import SILENT
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.text_tokens import tokenize_records

    for cutoff in (150, 190, 230, 1024):
        trained = tokenize_records(
            read_records(project / "data/mine/train.json"),
            PromptTemplate(tiny_tokenizer),
            tiny_tokenizer,
            cutoff_len=cutoff,
            reporter=SILENT,
        )
        assert figures("--cutoff-len", str(cutoff))["over_cutoff"] == trained.rows_cut


def test_options_reach_the_work(figures: Any) -> None:
    assert figures("--split", "eval")["samples"] == 3
    assert figures("--split", "test")["samples"] == 2
    assert figures("--cutoff-len", "64")["cutoff_len"] == 64
    assert figures("--set", "cutoff_len=300")["cutoff_len"] == 300
    assert list(figures("--percentiles", "5, 99.5")["percentiles"]) == ["5", "99.5"]
    sample = figures("--max-samples", "7")
    assert sample["samples"] == 7
    assert {**figures("--max-samples", "7"), "seconds": 0} == {**sample, "seconds": 0}
    assert figures("--max-samples", "4000")["samples"] == 40


def test_characters_are_counted_without_the_template(figures: Any, project: Path) -> None:
    found = figures("--char-only")
    rows = [render(example, PromptSpec()) for example in read_records(project / "data/mine/train.json")]
    lengths = [len(asked.system) + len(asked.instruction) + len(asked.input) for asked in rows]
    assert (found["unit"], found["min"], found["max"]) == ("characters", min(lengths), max(lengths))
    assert found["mean"] == pytest.approx(np.mean(lengths))
    assert [found[key] for key in ("cutoff_len", "over_cutoff", "recommended_cutoff_len")] == [None] * 3


def test_char_only_loads_neither_torch_nor_transformers(project: Path) -> None:
    program = (
        "import sys\nfrom movielora.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(sorted({'torch', 'transformers', 'tokenizers', 'datasets'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, "audit", "--config", str(project / "configs/c.yaml"), "--char-only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "40 examples" in done.stdout
    assert done.stdout.rstrip().split("\n")[-1] == "[]"


def test_what_char_only_cannot_show_is_said(audit: Any) -> None:
    code, _, err = audit("--char-only", "--show-examples", "1")
    assert code == 0
    assert "warning: --show-examples and --cutoff-len need the tokenizer" in err


def test_the_page_is_80_columns_wide_and_says_what_to_do(audit: Any) -> None:
    code, out, _ = audit()
    assert code == 0
    first, *rest = out.rstrip("\n").split("\n")
    assert first.startswith("40 examples of ")  # the path may be as long as it is
    assert max(map(len, rest)) <= 80
    page = "\n".join(rest)
    for part in (
        "min ",
        "mean ",
        "max ",
        "p50 ",
        "p100 ",
        "█",
        "now",
        "recommended",
        "cuts nothing",
        "lose their oldest",
    ):
        assert part in page, part
    counted = [int(line.rsplit(" ", 1)[1]) for line in rest if "–" in line]
    assert sum(counted) == 40


def test_an_example_is_walked_through(audit: Any, figures: Any, tiny_tokenizer: Any) -> None:
    asked = ("--split", "test", "--show-examples", "1")
    (example,) = figures(*asked)["examples"]
    assert example["place"].endswith("test_raw.jsonl line 1")
    assert example["input"].startswith("Rated films:\n1. Heat: 4\nCandidate film: Ran\n")
    assert example["answer"] == "Yes<|im_end|>"
    assert example["dropped"] == []
    ids, position = example["token_ids"], example["answer_position"]
    assert tiny_tokenizer.decode(ids[: position + 1]) == example["prompt"]
    assert tiny_tokenizer.decode(ids[position + 1 :]) == "Yes<|im_end|>"

    code, out, _ = audit(*asked)
    assert code == 0
    for part in (
        "test_raw.jsonl line 1",
        "<|im_start|>assistant",
        f"answer position {position}",
        "cut 0 history lines",
    ):
        assert part in out, part


def test_a_walked_example_shows_the_lines_that_would_be_cut(figures: Any) -> None:
    examples = figures("--cutoff-len", "200", "--show-examples", "20")["examples"]
    cut = [example for example in examples if example["dropped"]]
    assert cut
    for example in cut:
        assert len(example["token_ids"]) <= 200
        assert example["dropped"][0] == "1. Film 0 [red]"
        assert example["dropped"][0] not in example["prompt"].split("\n")
        assert example["dropped"][0] in example["input"].split("\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--percentiles", "50,x"], "--percentiles 50,x: separate numbers with commas"),
        (["--percentiles", ""], "--percentiles : separate numbers with commas"),
        (["--percentiles", "101"], "--percentiles 101.0: give numbers from 0 to 100"),
        (["--percentiles", "nan"], "--percentiles nan: give numbers from 0 to 100"),
        (["--set", "dataset=gone"], "dataset `gone` is not there"),
        (["--set", "cutof_len=3"], "did you mean `cutoff_len`?"),
        (["--split", "eval", "--set", "eval_strategy=no"], "the config has no evaluation file"),
        (["--split", "weekend"], "'weekend' is not one of"),
        (["--max-samples", "0"], "Invalid value for '--max-samples'"),
        (["--set", "model_name_or_path=/nowhere/at/all"], "neither a folder nor a Hugging Face name"),
    ],
)
def test_a_request_that_cannot_be_carried_out_ends_in_2(
    audit: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, err = audit(*arguments)
    assert code == 2
    assert out == ""
    assert said in " ".join(err.replace("│", " ").split())


@pytest.mark.shared
def test_2000_real_examples_with_the_real_tokenizer(
    real_data: Path, shared: Path, qwen_tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).resolve().parents[2] / "configs" / "qwen3_movielens_qlora.yaml"
    sets = [f"model_name_or_path={shared / 'qwen3-tokenizer'}", f"dataset_dir={real_data}"]
    with pytest.raises(SystemExit) as ended:
        main(["audit", "-c", str(config), "--set", sets[0], "--set", sets[1], "--max-samples", "2000", "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 2000
    # All 78,271 examples of the default preparation: about 435 tokens, p95 468, at most 875 with films of long titles.
    assert 300 < found["min"] <= found["percentiles"]["50"] <= found["percentiles"]["95"] <= found["max"] < 1024
    assert found["over_cutoff"] == 0
    rows = [render(row, PromptSpec()) for row in read_records(real_data / "movielens_qwen3" / "train.json")]
    chosen = np.sort(np.random.default_rng(42).choice(len(rows), 2000, replace=False))[:50]
    sample = real_data / "sample.jsonl"
    sample.write_text(
        "".join(
            json.dumps({"instruction": rows[row].instruction, "input": rows[row].input, "output": "Yes"}) + "\n"
            for row in chosen
        )
    )
    lengths = whole_lengths(sample, qwen_tokenizer)
    assert found["min"] <= min(lengths) <= max(lengths) <= found["max"]
    assert abs(np.mean(lengths) - found["mean"]) < 25
