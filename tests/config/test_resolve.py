"""A YAML file and `--set` become one config: numbers, every problem at once, where paths are looked for, and back."""

from __future__ import annotations

import re
import shlex
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from movielora.config import resolve_config
from movielora.config.yaml_file import parse_yaml
from movielora.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_config(text: str | bytes, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_config


def problems_of(path: Path | None, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        resolve_config(path, overrides)
    assert caught.value.exit_code == 2
    assert caught.value.problems, caught.value.message
    assert not any("\n" in problem for problem in caught.value.problems)
    return caught.value.problems


def refusal_of(path: Path) -> str:
    """The sentence about a file that holds no config at all."""
    with pytest.raises(ConfigError) as caught:
        resolve_config(path)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("written", ["3e-4", "3.0e-4", "3E-4", "0.0003", "3.e-4", "+3e-4", "30e-5"])
def test_every_way_to_write_a_number_is_a_number(write: Any, written: str) -> None:
    assert resolve_config(write(f"learning_rate: {written}\n")).values.learning_rate == 3e-4
    assert resolve_config(None, [f"learning_rate={written}"]).values.learning_rate == 3e-4


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_every_float_python_prints_is_read_as_that_number(number: float) -> None:
    assert parse_yaml(repr(number)) == number


@given(st.text(string.ascii_letters + "._/-", min_size=1).filter(lambda text: yaml.safe_load(f"- {text}") == [text]))
def test_a_word_that_plain_yaml_reads_as_text_stays_text(word: str) -> None:
    assert parse_yaml(word) == word


def test_numbers_in_quotes_and_dates_stay_text(write: Any) -> None:
    values = resolve_config(write("dataset: '3e-4'\noutput_dir: 2024-12-31\ntrain_file: 2024-99-99\n")).values
    assert (values.dataset, values.output_dir, values.train_file) == ("3e-4", "2024-12-31", "2024-99-99")


def test_everything_wrong_is_said_at_once_with_line_key_and_nearest_key(write: Any) -> None:
    path = write(
        "lerning_rate: 1\n"  # 1
        "lora_rank: many\n"  # 2
        "fp16: true\n"  # 3
        "bf16: true\n"  # 4
        "eval_strategy: no\n"  # 5
        "load_best_model_at_end: true\n"  # 6
        "inference:\n"  # 7
        "  batch_siz: 4\n"  # 8
        "  max_samples: 0\n"  # 9
        "seed: 1\n"  # 10
        "seed: 2\n"  # 11
        "lora_target: lm_head\n"  # 12
        "zzz: 1\n"  # 13
        "metric_for_best_model: bleu\n"  # 14
    )
    found = problems_of(path, "max_steps=0", "cutof_len=5", "warmup_ratio=2", "no_equals")
    said = "\n".join(found)
    assert len(found) == 14
    for expected in (
        r"config\.yaml line 1: unknown key `lerning_rate`; did you mean `learning_rate`\?",
        r"config\.yaml line 2: `lora_rank: many` is not valid: a whole number at least 1",
        r"config\.yaml line 3: `fp16` and `bf16` exclude each other",
        r"config\.yaml line 6: `load_best_model_at_end: true` needs evaluations",
        r"config\.yaml line 8: unknown key `inference\.batch_siz`; did you mean `inference\.batch_size`\?",
        r"config\.yaml line 9: `inference\.max_samples: 0` is not valid: a whole number at least 1 or null",
        r"config\.yaml line 11: `seed` is set twice, first on line 10",
        r"config\.yaml line 12: `lora_target` must not name `lm_head`",
        r"config\.yaml line 13: unknown key `zzz`$",
        r"config\.yaml line 14: `metric_for_best_model: bleu` is no metric; choose one of accuracy, .*auc",
        r"^--set max_steps: `max_steps: 0` trains nothing",
        r"^--set cutof_len: unknown key `cutof_len`; did you mean `cutoff_len`\?",
        r"^--set warmup_ratio: `warmup_ratio: 2` is not valid: a number at least 0 and below 1",
        r"^--set no_equals: write it as key=value",
    ):
        assert re.search(expected, said, re.MULTILINE), expected


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("lora_r", "lora_rank"),
        ("gradient_acumulation_steps", "gradient_accumulation_steps"),
        ("eval_stratgy", "eval_strategy"),
        ("test_file", "inference.test_file"),
        ("inference.show_example", "inference.show_examples"),
    ],
)
def test_the_nearest_known_key_is_named(unknown: str, nearest: str) -> None:
    assert problems_of(None, f"{unknown}=1") == (
        f"--set {unknown}: unknown key `{unknown}`; did you mean `{nearest}`?",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: {}", "line 1: `dataset: {}` is not valid: text"),
        ("dataset:\n  name: x", "line 2: unknown key `dataset.name`; did you mean `dataset`?"),
        ("inference: 5", "line 1: `inference` is a block of keys such as `inference.test_file`, not `5`"),
        ("inference: [a]", "line 1: `inference` is a block of keys"),
        ("inference:\n  batch_size: {a: 1}", "line 2: `inference.batch_size: {a: 1}` is not valid: a whole number"),
        ("learning_rate:", "line 1: `learning_rate: null` is not valid: a number above 0"),
        ("learning_rate: 1e400", "line 1: `learning_rate: .inf` is not valid: a number above 0"),
        ("trust_remote_code: true", "is refused: movielora never runs code that comes with weights"),
        ("report_to: wandb", "line 1: `report_to: wandb` is not valid: a list of tensorboard, none"),
        ("lora_target: 'q_proj,,v_proj'", "line 1: `lora_target` holds an empty name"),
        ("1: 2", "line 1: unknown key `1`"),
        ("&a {b: *a}", "line 1: unknown key `b"),
        ("inference: &a\n  b: *a", "line 2: unknown key `inference.b`"),
    ],
)
def test_one_problem_is_one_sentence(write: Any, text: str, said: str) -> None:
    (problem,) = problems_of(write(text))
    assert said in problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- a\n- b", "config.yaml must hold `key: value` lines"),
        ("just words", "config.yaml must hold `key: value` lines"),
        ("a: 1\nb: c: d", "config.yaml line 2 is not YAML: mapping values are not allowed here"),
        ("a: [1\n", "is not YAML"),
        ("? [a]\n: b", "config.yaml line 1 is not YAML: found unhashable key"),
        ("x: !!python/object/apply:os.getpid []", "config.yaml line 1 is not YAML: could not determine a constructor"),
        ("lora_rank: " + "9" * 5000, "is not YAML"),
        ("[" * 100_000, "config.yaml is not YAML: it is nested too deeply"),
        ("a\0b", "config.yaml is not YAML: unacceptable character #x0000"),
        (b"a: \xff", "config.yaml is not UTF-8 text"),
        ("#" * (1 << 20) + "\n", "is larger than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_sentence(write: Any, content: str | bytes, said: str) -> None:
    assert said in refusal_of(write(content))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "none.yaml") == f"config file {tmp_path / 'none.yaml'} does not exist"
    assert refusal_of(tmp_path) == f"{tmp_path} is a folder, and a config is a YAML file"


READY_MADE = Path(__file__).resolve().parents[2] / "configs"
BEGIN = f"a config to begin with: {READY_MADE}/tiny_cpu.yaml"


@pytest.mark.parametrize(
    ("files", "given", "instead"),
    [
        ("", "none.yaml", BEGIN),
        ("", ".", BEGIN),
        ("output/r/config.yaml output/r/run.json", "output/r", "name a file in it: output/r/config.yaml"),
        ("data/ml.csv", "data", BEGIN),
        (
            "data/ml.csv",
            "data/ml.csv",
            "if it holds ratings: movielora prepare --source data/ml.csv --output-dir data/ml",
        ),
        ("notes.txt", "notes.txt", BEGIN),
        ("configs/tiny.yaml configs/large.yaml", "configs/tiny.yml", "did you mean configs/tiny.yaml?"),
        ("configs/tiny.yaml", "tiny.yaml", "did you mean configs/tiny.yaml?"),
        ("configs/tiny.yaml 'b c.yaml'", "else.yaml", "there are 'b c.yaml', configs/tiny.yaml"),
        (
            "a/1.yaml a/2.yaml a/3.yaml a/4.yaml a/5.yaml a/6.yaml a/7.yaml a/.hidden.yaml",
            "a",
            "name a file in it: a/1.yaml, a/2.yaml, a/3.yaml, a/4.yaml, a/5.yaml, and 2 more",
        ),
    ],
)
def test_what_is_no_config_is_followed_by_one_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str, given: str, instead: str
) -> None:
    for name in shlex.split(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("words\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        resolve_config(Path(given))
    assert raised.value.next_step == instead


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "inference:\n", "inference: {}\n"])
def test_an_empty_file_is_the_defaults(write: Any, content: str) -> None:
    assert resolve_config(write(content)).values == resolve_config(None).values


def test_a_byte_order_mark_is_no_key(write: Any) -> None:
    assert resolve_config(write("\ufefflora_rank: 8\n")).values.lora_rank == 8


def test_set_wins_over_the_file_and_the_last_set_over_the_first(write: Any) -> None:
    path = write("lora_rank: 4\nseed: 3\ninference:\n  batch_size: 8\n  max_samples: 10\n")
    resolved = resolve_config(path, ["lora_rank=8", "lora_rank=32", "inference.batch_size=64", "dataset=a=b"])
    assert (resolved.values.lora_rank, resolved.values.seed, resolved.values.dataset) == (32, 3, "a=b")
    assert (resolved.values.inference.batch_size, resolved.values.inference.max_samples) == (64, 10)
    table = resolved.with_origins()
    assert table["lora_rank"] == (32, "--set")
    assert table["seed"] == (3, "file")
    assert table["inference.batch_size"] == (64, "--set")
    assert table["inference.max_samples"] == (10, "file")
    assert table["lora_alpha"] == (64, "default")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("max_samples=null", "max_samples", None),
        ("use_qlora=yes", "use_qlora", True),
        ("lora_target=[q_proj, v_proj]", "lora_target", ["q_proj", "v_proj"]),
        (" lora_rank = 8", "lora_rank", 8),
    ],
)
def test_the_value_of_set_is_yaml(override: str, key: str, value: Any) -> None:
    assert getattr(resolve_config(None, [override]).values, key) == value


def test_set_takes_a_block_too() -> None:
    inference = resolve_config(None, ["inference={batch_size: 8}", "inference.chunk_size=9"]).values.inference
    assert (inference.batch_size, inference.chunk_size) == (8, 9)


@pytest.mark.parametrize(
    "override", ["seed=[1", "seed=0x_", "report_to={[a]: b}", "lora_target=[q, v", "seed=" + "[" * 100_000]
)
def test_a_set_that_is_no_yaml_is_named(override: str) -> None:
    (problem,) = problems_of(None, override)
    assert problem == f"--set {override}: the value is not YAML"


def test_a_relative_path_is_looked_for_here_then_above_the_config(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    config = write("seed: 1\n", "project/configs/c.yaml")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    resolved = resolve_config(config)

    assert resolved.locate("data/train.json") == Path("data/train.json")  # nowhere: as seen from here
    (project / "data").mkdir()
    (project / "data/train.json").touch()
    assert resolved.locate("data/train.json") == project / "data/train.json"
    (elsewhere / "data").mkdir()
    (elsewhere / "data/train.json").touch()
    assert resolved.locate("data/train.json") == Path("data/train.json")  # the working directory wins
    assert resolved.locate(str(project)) == project


def test_the_folder_above_a_config_named_by_a_relative_path_or_a_link(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("seed: 1\n", "project/configs/c.yaml")
    (tmp_path / "project/train.json").touch()
    monkeypatch.chdir(tmp_path / "project/configs")
    assert resolve_config(Path("c.yaml")).locate("train.json") == tmp_path / "project/train.json"


@pytest.mark.parametrize("odd", ["~nobody_of_that_name/x", "x" * 300, "a\0b", "Qwen/Qwen3-0.6B"])
def test_a_path_that_cannot_be_is_given_back(write: Any, odd: str) -> None:
    assert resolve_config(write("seed: 1")).locate(odd) == Path(odd)


def test_a_home_folder_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    resolved = resolve_config(None, ["train_file=~/x"])
    assert resolved.locate(resolved.values.train_file or "") == tmp_path / "x"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["eval_strategy=no"],
        ["eval_strategy=no", "load_best_model_at_end=false"],
        ["learning_rate=3e-4", "adam_epsilon=1e-12", "max_samples=null", "flash_attn=false", "use_qlora=false"],
        ["lora_target=[q_proj, v_proj]", "report_to=none", "output_dir=Füße: 'x' # y", "inference.batch_size=3"],
        ["template=qwen", "packing=true", "inference.use_peft_directly=true"],
        ["dataset=3e-4", "train_file=no", "eval_file=2024-01-01", "output_dir=null"],
        ["dataset='3e-4'", 'train_file="null"', "output_dir=a$$b/~", "inference.adapter_dir=./~x"],
    ],
)
def test_the_resolved_yaml_reads_back_the_same(write: Any, overrides: list[str]) -> None:
    resolved = resolve_config(None, overrides)
    again = resolve_config(write(resolved.to_yaml()))
    silent = {"template", "packing"}
    assert again.values.model_dump(exclude=silent | {"inference"}) == resolved.values.model_dump(
        exclude=silent | {"inference"}
    )
    assert again.no_effect_notes() == []
    assert again.to_yaml() == resolved.to_yaml()


def test_keys_without_effect_are_named_in_one_line_each(write: Any) -> None:
    resolved = resolve_config(write("template: qwen\ndo_train: true\npacking:\n"), ["inference.use_peft_directly=true"])
    assert resolved.no_effect_notes() == [
        "`do_train: true` has no effect: `movielora train` trains",
        "`template: qwen` has no effect: the model's own chat template is used",
        "`inference.use_peft_directly: true` has no effect: the adapter is always loaded with PEFT",
    ]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.sampled_from(["lora_rank", "report_to", "lora_target", "inference", "eval_strategy"]) | st.text(max_size=12)


@settings(max_examples=40)
@given(st.dictionaries(KEYS, st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))))
def test_any_mapping_is_a_config_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=False), encoding="utf-8")
    try:
        resolve_config(path)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 (either outcome is right; anything else is a traceback)
