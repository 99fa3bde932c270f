"""The evaluation in training, `compare`'s adapter column and greedy generation give the same answers, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare_request import compare_request
from movielora.config import ResolvedConfig
from movielora.dataset.find import find_dataset
from movielora.evaluation.comparison.compare import compare
from movielora.progress import SILENT
from movielora.scoring import scorer as scorer_module
from movielora.training.train import TrainRequest, train_run


@pytest.fixture(scope="module")
def evaluated(tiny_config: Callable[..., ResolvedConfig], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training whose evaluations were listened to: (config, result, scores of the last evaluation)."""
    root = tmp_path_factory.mktemp("agreement")
    heard: list[Any] = []
    real_score = scorer_module.score

    def listening(*args: Any, **kwargs: Any) -> Any:
        found = real_score(*args, **kwargs)
        heard.append(found[0])
        return found

    resolved = tiny_config(
        output_dir=root / "run", max_steps=200, eval_steps=200, save_steps=200, max_eval_samples="null"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorer_module, "score", listening)
        result = train_run(TrainRequest(resolved, argv=("test",)), SILENT)
    return resolved, result, heard[-1]


@pytest.fixture(scope="module")
def compared(evaluated: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`compare --mode generate` on the very rows that training evaluated on."""
    resolved, result, _ = evaluated
    output = result.run_dir / "on-eval"
    eval_file = find_dataset(resolved).evaluation
    found = compare(compare_request(resolved, test_file=eval_file, output_dir=output, mode="generate"), SILENT)
    rows = [json.loads(line) for line in (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    return found, rows


def test_scores_in_training_are_the_scores_of_compare(evaluated: Any, compared: Any) -> None:
    in_training = evaluated[2]
    rows = compared[1]
    assert len(rows) == len(in_training.log_odds)
    np.testing.assert_allclose([row["adapter"]["log_odds"] for row in rows], in_training.log_odds, atol=1e-4)
    np.testing.assert_allclose([row["adapter"]["answer_mass"] for row in rows], in_training.answer_mass, atol=1e-4)


def test_metrics_printed_by_training_are_those_of_compare(evaluated: Any, compared: Any) -> None:
    printed, found = evaluated[1].metrics, compared[0]["adapter"]
    for name in ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "answer_mass"):
        assert printed[f"eval_{name}"] == pytest.approx(found[name], abs=1e-4), name


def test_greedy_generation_says_what_the_scores_say(compared: Any) -> None:
    rows = compared[1]
    assert {row["adapter"]["text"] for row in rows} == {"Yes", "No"}  # it learned to answer, and both ways
    for row in rows:
        assert row["adapter"]["prediction"] == ("Yes" if row["adapter"]["log_odds"] > 0 else "No"), row["row"]


def test_base_column_is_the_base_without_adapter(evaluated: Any, compared: Any, tmp_path: Path) -> None:
    """The same rows, scored by the base loaded alone with plain transformers, one row at a time, full logits."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from movielora.examples.importers.records import read_records
    from movielora.model.lora import base_of_adapter
    from movielora.prompt.template import PromptTemplate

    resolved, result, _ = evaluated
    base = base_of_adapter(result.run_dir)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        AutoTokenizer.from_pretrained(base),
    )
    template = PromptTemplate(tokenizer)
    eval_file = find_dataset(resolved).evaluation
    assert eval_file is not None
    for record, row in list(zip(read_records(eval_file), compared[1], strict=True))[:10]:
        ids = tokenizer(template.pieces(record).text(), return_tensors="pt")
        with torch.inference_mode():
            logits = model(**ids).logits[0, -1].float()
        log_odds = (logits[template.yes_id] - logits[template.no_id]).item()
        mass = logits.softmax(0)[[template.yes_id, template.no_id]].sum().item()
        assert row["base"]["log_odds"] == pytest.approx(log_odds, abs=1e-4)
        assert row["base"]["answer_mass"] == pytest.approx(mass, rel=1e-3)


def test_the_saved_adapter_loads_with_plain_peft_and_names_a_loadable_base(evaluated: Any, compared: Any) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    from movielora.examples.importers.records import read_records
    from movielora.prompt.template import PromptTemplate

    resolved, result, _ = evaluated
    model = AutoPeftModelForCausalLM.from_pretrained(result.run_dir, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(result.run_dir)
    template = PromptTemplate(tokenizer)
    eval_file = find_dataset(resolved).evaluation
    assert eval_file is not None
    for record, row in list(zip(read_records(eval_file), compared[1], strict=True))[:10]:
        ids = tokenizer(template.pieces(record).text(), return_tensors="pt")
        with torch.inference_mode():
            logits = model(**ids).logits[0, -1]
        assert row["adapter"]["log_odds"] == pytest.approx(
            (logits[template.yes_id] - logits[template.no_id]).item(), abs=1e-4
        )
