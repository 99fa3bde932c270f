"""An adapter is asked in the prompt that it was trained with: in its own evaluation, and by what asks it later."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare_request import compare_request
from movielora.config import ResolvedConfig
from movielora.dataset.find import TrainingSplits, find_dataset
from movielora.dataset.options import PrepareOptions
from movielora.errors import ConfigError
from movielora.evaluation.comparison.compare import compare
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.prompt.spec import PromptSpec, read_prompt_file, write_prompt_file
from movielora.training.audit import AuditRequest, audit
from movielora.training.examples import load_examples
from movielora.training.identity import run_identity
from movielora.training.train import TrainRequest, train_run

ROWS = 30


def run(resolved: ResolvedConfig) -> Any:
    return train_run(TrainRequest(resolved, argv=("movielora", "train")), SILENT)


def scores(folder: Path, column: str) -> list[float]:
    rows = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(row)[column]["log_odds"] for row in rows]


@pytest.fixture(scope="module")
def shorter(tiny_config: Callable[..., ResolvedConfig], tmp_path_factory: pytest.TempPathFactory) -> ResolvedConfig:
    """A finished run that shows 2 of the dataset's 4 films, in an instruction of its own."""
    folder = tmp_path_factory.mktemp("shorter")
    resolved = tiny_config(
        output_dir=folder / "shorter", prompt_history_len=2, instruction="Judge.", max_steps=4, eval_steps=2
    )
    run(resolved)
    return resolved


def test_the_run_and_its_checkpoints_bring_their_prompt(shorter: ResolvedConfig) -> None:
    root = Path(shorter.values.output_dir)
    for folder in (root, *root.glob("checkpoint-*")):
        spec = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
        assert (spec["history_len"], spec["instruction"]) == (2, "Judge.")


def test_training_evaluates_a_dataset_that_was_prepared_otherwise_in_its_own_prompt(
    tiny_config: Callable[..., ResolvedConfig], tiny_data: Path, tmp_path: Path
) -> None:
    """Evaluation rows of a dataset with other histories show what the training's rows show; `compare` says the same."""
    other = tmp_path / "data" / "other"
    prepare(tiny_data.parent / "ratings", other, PrepareOptions(history_len=8), SILENT)
    resolved = tiny_config(
        output_dir=tmp_path / "run", max_steps=4, eval_steps=2, eval_file=other / "eval.json", max_eval_samples="null"
    )
    trained = run(resolved)
    request = compare_request(resolved, test_file=other / "eval.json", output_dir=tmp_path / "c", calibrate=False)
    compared = compare(request, SILENT)
    assert compared["prompt"]["history_len"] == 4
    assert trained.metrics["eval_log_loss"] == pytest.approx(compared["adapter"]["log_loss"], abs=1e-5)


@pytest.mark.parametrize(
    "key", ["prompt_history_len=3", "prompt_titles=as_given", "system_prompt=Say Yes.", "instruction=Guess."]
)
def test_a_prompt_that_the_adapter_was_not_trained_with_is_refused(
    shorter: ResolvedConfig, tmp_path: Path, key: str
) -> None:
    from movielora.config import resolve_config

    resolved = resolve_config(Path(shorter.values.output_dir) / "config.yaml", [key])
    with pytest.raises(ConfigError) as refused:
        compare(compare_request(resolved, output_dir=tmp_path / "c", max_samples=ROWS), SILENT)
    assert key.split("=")[0] in refused.value.message
    assert "prompt.json" in refused.value.message
    assert not (tmp_path / "c").exists()


def test_training_audit_export_and_comparison_show_the_titles_that_the_dataset_says(
    shorter: ResolvedConfig, tiny_config: Callable[..., ResolvedConfig], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """The reference is the exported text, tokenized whole: a copy of it elsewhere is a file of another tool."""
    saved = read_prompt_file(Path(shorter.values.output_dir))
    assert saved is not None
    assert saved.titles == "natural"
    resolved = tiny_config(output_dir=tmp_path / "run", max_steps=4, eval_steps=2, max_eval_samples="null")
    files = find_dataset(resolved)
    copies = TrainingSplits(*(Path(shutil.copy(path, tmp_path)) for path in (files.train, files.evaluation)))
    shown = load_examples(resolved.values, files, tiny_tokenizer, SILENT)
    as_text = load_examples(resolved.values, copies, tiny_tokenizer, SILENT)
    assert (shown.spec.titles, as_text.spec.titles) == ("natural", "as_given")
    for one, two in ((shown.train, as_text.train), (shown.evaluation, as_text.evaluation)):
        every = np.arange(len(one))
        assert np.array_equal(one.prompts(every)[0], two.prompts(every)[0])
    (trace,) = audit(AuditRequest(resolved, show_examples=1), SILENT).examples
    assert trace.input == json.loads(files.train.read_text(encoding="utf-8"))[0]["input"]
    assert any("The " in tiny_tokenizer.decode(shown.train.prompt(row)) for row in range(20))

    trained = run(resolved)
    request = compare_request(resolved, test_file=files.evaluation, output_dir=tmp_path / "c", calibrate=False)
    compared = compare(request, SILENT)
    assert compared["prompt"]["titles"] == "natural"
    assert trained.metrics["eval_log_loss"] == pytest.approx(compared["adapter"]["log_loss"], abs=1e-5)
    rows = [
        json.loads(line) for line in (tmp_path / "c" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert any(", The (" in title for row in rows for title in row["history_titles"])  # as given: keys for joins


def test_a_dataset_of_an_earlier_version_is_shown_as_given_and_its_runs_are_the_same_runs(
    tiny_config: Callable[..., ResolvedConfig], tiny_data: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """Its meta.json has no word on titles; the identity of a run on it is that of the last release."""
    shutil.copytree(tiny_data, tmp_path / "data")
    path = tmp_path / "data" / "synthetic" / "meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    del meta["titles"], meta["options"]["titles"]
    path.write_text(json.dumps(meta), encoding="utf-8")
    old, asked = tiny_config(dataset_dir=tmp_path / "data"), tiny_config(prompt_titles="as_given")
    base = str(tmp_path / "nowhere")
    identities = [run_identity(each.values, find_dataset(each), base) for each in (old, asked, tiny_config())]
    assert identities[0] == identities[1] != identities[2]
    last_release = [PromptSpec(history_len=4).to_json(), old.values.cutoff_len]
    assert identities[0]["prompt"] == hashlib.sha256(json.dumps(last_release, sort_keys=True).encode()).hexdigest()
    text = tiny_tokenizer.decode(
        load_examples(old.values, find_dataset(old), tiny_tokenizer, SILENT).train.prompts(np.arange(20))[0]
    )
    assert ", The (" in text


def test_two_runs_are_asked_as_each_is_by_itself(trained: Any, shorter: ResolvedConfig, tmp_path: Path) -> None:
    """One shows 4 films and one 2, in either order; and one of an earlier version, which has no prompt.json and was
    shown titles as given."""
    longer, short = tmp_path / "longer", Path(shorter.values.output_dir)
    old = tmp_path / "old"
    for copy in (longer, old):
        shutil.copytree(trained[1].run_dir, copy, ignore=shutil.ignore_patterns("comparison*", "checkpoint-*"))
    spec = read_prompt_file(longer)
    assert spec is not None
    write_prompt_file(longer, replace(spec, titles="as_given"))
    (old / "prompt.json").unlink()
    alone = {}
    for folder in (longer, short, old):
        output = tmp_path / f"{folder.name}-alone"
        compare(compare_request(None, runs=(folder,), output_dir=output, max_samples=ROWS, calibrate=False), SILENT)
        alone[folder.name] = scores(output, "adapter")
    assert alone[longer.name] == alone["old"] != alone[short.name]
    for one, two in ((longer, short), (short, longer), (old, short), (short, old)):
        output = tmp_path / f"{one.name}-{two.name}"
        compare(compare_request(None, runs=(one, two), output_dir=output, max_samples=ROWS, calibrate=False), SILENT)
        assert scores(output, one.name) == alone[one.name]
        assert scores(output, two.name) == alone[two.name]
