"""Scores in batches, with the prompts' common opening used again, against one full forward a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from movielora.examples.example import Example, Film
from movielora.model.adapter import prepare_adapter
from movielora.model.prefix_cache import PrefixCache, shared_length
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import SILENT
from movielora.prompt.spec import SYSTEM
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import TokenizedExamples
from movielora.scoring.answer_position import answer_loss, batches_by_tokens, collate, score


def _examples(base: Path, rows: int = 40, system: str = SYSTEM) -> TokenizedExamples:
    tokenizer = load_tokenizer(str(base))
    titles = [f"The {word} of number {number}" for number, word in enumerate(["Sea", "Long Night", "End"] * 10)]
    records = []
    for row in range(rows):
        films = titles[row % 7 : row % 7 + row % 5 + 1]  # of unlike length
        history = tuple(Film(title, 3.5) for title in films)
        records.append(Example(history, titles[row % 11], row % 3 == 0, f"row {row}", system=system))
    return tokenize_records(records, PromptTemplate(tokenizer), tokenizer, cutoff_len=1024, reporter=SILENT)


def _model(base: Path, dtype: torch.dtype = torch.float32) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    torch.manual_seed(0)
    model = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return prepare_adapter(model).eval()


def _row_by_row(
    model: Any, examples: TokenizedExamples, counted: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """log-odds, answer mass and mean loss from full logits at every position, one unpadded row at a time."""
    yes, no, end = examples.answer_ids
    log_odds, mass, losses = [], [], []
    for row in range(len(examples)):
        answer = yes if examples.labels[row] == 1 else no
        ids = torch.tensor([[*examples.prompt(row).tolist(), answer]])
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0].double()
        said = logits[-2].log_softmax(-1)
        log_odds.append((logits[-2, yes] - logits[-2, no]).item())
        mass.append((said[yes].exp() + said[no].exp()).item())
        if counted is None or counted[row]:
            losses += [-said[answer].item(), -logits[-1].log_softmax(-1)[end].item()]
    return np.array(log_odds), np.array(mass), float(np.mean(losses))


@pytest.mark.parametrize("switched", [True, False], ids=["adapter", "base"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_fp32_scores_are_row_by_row_to_1e_5(tiny_base: Path, switched: bool, batch_size: int) -> None:
    examples, model = _examples(tiny_base), _model(tiny_base)
    assert shared_length(examples, np.arange(len(examples))) > 16  # or the opening would not be tried
    if not switched:
        model.base_model.disable_adapter_layers()
    scores, loss = score(model, examples, np.arange(len(examples)), batch_size=batch_size)
    log_odds, mass, expected_loss = _row_by_row(model, examples)
    np.testing.assert_allclose(scores.log_odds, log_odds, atol=1e-5)
    np.testing.assert_allclose(scores.answer_mass, mass, rtol=1e-4)
    assert loss == pytest.approx(expected_loss, rel=1e-6)


def test_bf16_scores_stray_no_further_than_bf16_itself(tiny_base: Path) -> None:
    """bf16 keeps 8 bits, so the order of its sums shows; the truth is the same weights computed in fp32."""
    examples, model = _examples(tiny_base), _model(tiny_base, torch.bfloat16)
    rows = np.arange(len(examples))
    batched = score(model, examples, rows, batch_size=7)[0].log_odds
    single = np.concatenate([score(model, examples, rows[row : row + 1], batch_size=1)[0].log_odds for row in rows])
    exact, _ = score(model.float(), examples, rows, batch_size=7)

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.sqrt(np.mean((one - other) ** 2)))

    assert distance(batched, exact.log_odds) < 1.25 * distance(single, exact.log_odds)
    assert distance(batched, single) < 1.5 * distance(single, exact.log_odds)


def test_bf16_log_odds_are_not_rounded_to_the_logits_grid(tiny_base: Path) -> None:
    examples, model = _examples(tiny_base), _model(tiny_base, torch.bfloat16)
    scores, _ = score(model, examples, np.arange(len(examples)), batch_size=8)
    on_grid = torch.tensor(scores.log_odds).bfloat16().double().numpy()
    assert np.count_nonzero(scores.log_odds != on_grid) > len(examples) // 2
    assert np.all(scores.answer_mass <= 1 + 1e-6)


def test_rows_come_back_in_their_order_and_only_those_asked(tiny_base: Path) -> None:
    examples, model = _examples(tiny_base), _model(tiny_base)
    whole, _ = score(model, examples, np.arange(40), batch_size=5)
    chosen = np.array([31, 2, 17, 5])
    counted_rows: list[int] = []
    some, _ = score(model, examples, chosen, batch_size=5, on_batch=counted_rows.append)
    np.testing.assert_allclose(some.log_odds, whole.log_odds[chosen], atol=1e-5)
    assert sum(counted_rows) == 4


def test_the_same_rows_give_the_same_bits(tiny_base: Path) -> None:
    examples, model = _examples(tiny_base), _model(tiny_base)
    first, _ = score(model, examples, np.arange(40), batch_size=5)
    again, _ = score(model, examples, np.arange(40), batch_size=5)
    assert np.array_equal(first.log_odds, again.log_odds)


def test_no_common_opening_no_reuse(tiny_base: Path) -> None:
    examples = _examples(tiny_base, rows=6)
    ids = np.array(examples.ids)
    ids[examples.offsets[:-1]] = [5, 6, 7, 8, 9, 10]  # every prompt starts with another token
    unlike = TokenizedExamples(ids, examples.offsets, examples.labels, examples.dropped_lines, examples.answer_ids)
    model = _model(tiny_base)
    assert shared_length(unlike, np.arange(6)) == 0
    scores, _ = score(model, unlike, np.arange(6), batch_size=3)
    np.testing.assert_allclose(scores.log_odds, _row_by_row(model, unlike)[0], atol=1e-5)


def test_equal_prompts_keep_a_token_of_their_own(tiny_base: Path) -> None:
    examples = _examples(tiny_base, rows=12)
    same = np.array([3, 3, 3])
    assert shared_length(examples, same) == examples.lengths[3] - 1
    scores, _ = score(_model(tiny_base), examples, same, batch_size=2)
    assert np.allclose(scores.log_odds, scores.log_odds[0], atol=1e-5)


def test_an_opening_belongs_to_the_model_s_state(tiny_base: Path) -> None:
    """Adapter on and off give other keys and values: they are made again for every call."""
    examples, model = _examples(tiny_base), _model(tiny_base)
    rows = np.arange(len(examples))
    with torch.inference_mode():
        on = PrefixCache.of(model, examples, rows)
        with model.disable_adapter():
            off = PrefixCache.of(model, examples, rows)
    assert on.length == off.length
    assert not torch.allclose(on.layers[-1][0], off.layers[-1][0])


def test_batches_hold_tokens_not_rows() -> None:
    lengths = np.array([100, 10, 10, 10, 10, 10, 10, 10, 10, 20])  # mean 20, two rows: 40 tokens
    batches = [lengths[places].tolist() for places in batches_by_tokens(lengths, 2)]
    assert batches == [[100], [20, 10], [10, 10, 10, 10], [10, 10, 10]]
    assert list(batches_by_tokens(np.empty(0, np.int64), 2)) == []


def test_scores_do_not_depend_on_the_answers_and_only_known_ones_count(tiny_base: Path) -> None:
    """The same bits with all answers known, some unknown and none known; the loss is the mean over the known rows."""
    examples, model = _examples(tiny_base), _model(tiny_base)
    rows = np.arange(len(examples))
    labelled, _ = score(model, examples, rows, batch_size=7)
    known = rows % 4 != 1
    for labels in (np.where(known, examples.labels, -1), np.full(len(rows), -1)):
        partly = replace(examples, labels=labels.astype(np.int8))
        found, loss = score(model, partly, rows, batch_size=7)
        assert np.array_equal(found.log_p_yes, labelled.log_p_yes)
        assert np.array_equal(found.log_p_no, labelled.log_p_no)
        if (labels < 0).all():
            assert np.isnan(loss)
        else:
            expected = _row_by_row(model, replace(examples, labels=labels.astype(np.int8)), counted=known)[2]
            assert loss == pytest.approx(expected, rel=1e-6)


def test_unknown_answers_are_left_out_of_the_loss_that_training_minimises(tiny_base: Path) -> None:
    examples, model = _examples(tiny_base), _model(tiny_base)
    labels = examples.labels.astype(np.int8)
    labels[1] = -1
    batch = collate(replace(examples, labels=labels), [0, 1, 2])
    assert batch.answers[1].tolist() == [-100, -100]
    apart = [collate(examples, [row]) for row in (0, 2)]
    with torch.inference_mode():
        together = answer_loss(model, batch.input_ids, batch.prompt_lengths, batch.answers)
        expected = sum(answer_loss(model, one.input_ids, one.prompt_lengths, one.answers) for one in apart)
    assert together.item() == pytest.approx(expected.item(), rel=1e-5)
