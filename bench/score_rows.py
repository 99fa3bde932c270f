"""Base and adapter asked on real test rows: movielora's comparison against greedy generation, row by row."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from datasets_here import conversation, dataset, layers_of, qwen_shape, random_adapter, tiny_base
from harness import Benchmark, run_benchmark, skip
from report import Goal

_NEW_TOKENS = 8
# How far two log-odds of one row may be apart, and below which a decision may differ: in bf16 logits of 8 are 0.06
# apart, and the peer's are read in bf16.
_TOLERANCE = {"bfloat16": 0.1, "float32": 1e-3}


def _base(options: argparse.Namespace) -> Path:
    base = tiny_base() if options.model == "tiny" else qwen_shape(1 if options.quick else 4)
    if base is None:
        skip("the shared folder with make_qwen3_shape.py is not here (set MOVIELORA_SHARED)")
    return base


def _rows(options: argparse.Namespace) -> int:
    if options.rows or options.quick:
        return options.rows or 4
    return 512 if options.model == "tiny" else 256  # generation takes minutes on the shape


def _dtype(options: argparse.Namespace) -> str:
    return "float32" if options.model == "tiny" else options.dtype or "bfloat16"


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    import peft
    from transformers import AutoModelForCausalLM

    from movielora.examples.example_set import ListedExamples
    from movielora.examples.importers.records import read_records
    from movielora.model.base import Placement, load_base
    from movielora.model.lora import load_adapter
    from movielora.model.tokenizer import load_tokenizer
    from movielora.progress import SILENT
    from movielora.prompt.template import PromptTemplate
    from movielora.scoring.predict import ADAPTER_OFF, ADAPTER_ON, predict
    from movielora.scoring.scorer import Prompts, Scorer

    base, count = _base(options), _rows(options)
    adapter, rows_file = random_adapter(base), dataset() / "test_raw.jsonl"
    _ = (peft.PeftModel, AutoModelForCausalLM.from_pretrained)  # imported before the clock starts, as for the peer
    started = time.perf_counter()
    examples = ListedExamples.of(str(rows_file), islice(read_records(rows_file), count))
    tokenizer = load_tokenizer(str(base))
    model = load_adapter(load_base(str(base), Placement("cpu", _dtype(options), False, "sdpa")), adapter)
    scorer = Scorer(model, 16, Prompts(tokenizer, PromptTemplate(tokenizer), 4096))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "predictions.jsonl"
        columns = {"base": ADAPTER_OFF, "adapter": ADAPTER_ON}
        predict(scorer, examples, output, columns, mode="score", chunk_size=512, reporter=SILENT)
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": {who: [row[who]["log_odds"] for row in rows] for who in ("base", "adapter")}}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from movielora.examples.importers.records import read_records
    from movielora.prompt.render import render
    from movielora.prompt.spec import PromptSpec

    base, count = _base(options), _rows(options)
    adapter, rows_file = random_adapter(base), dataset() / "test_raw.jsonl"
    started = time.perf_counter()
    records = [render(example, PromptSpec()) for example in islice(read_records(rows_file), count)]
    tokenizer = AutoTokenizer.from_pretrained(base)
    yes, no = tokenizer.convert_tokens_to_ids(["Yes", "No"])
    found: dict[str, list[float]] = {}
    for who in ("base", "adapter"):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, _dtype(options)))
        if who == "adapter":
            model = PeftModel.from_pretrained(model, adapter)
        found[who] = [_generate(model.eval(), tokenizer, record, yes, no) for record in records]
    return {"seconds": time.perf_counter() - started, "result": found}


def _generate(model: Any, tokenizer: Any, record: Any, yes: int, no: int) -> float:
    """Eight tokens, greedily; returns logit(Yes) − logit(No) of the first, by which a decision is checked."""
    import torch

    messages = conversation(record.system, record.instruction, record.input)
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, enable_thinking=False, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        said = model.generate(
            **inputs,
            min_new_tokens=_NEW_TOKENS,
            max_new_tokens=_NEW_TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    tokenizer.decode(said.sequences[0, inputs["input_ids"].shape[1] :])
    return float(said.logits[0][0, yes] - said.logits[0][0, no])


def _same(ours: Any, peers: Any, tolerance: float) -> dict[str, Any]:
    """The same decision on every row of both models, but where both log-odds are under `tolerance`, and log-odds no
    further apart."""
    pairs = [(one, other) for who in ("base", "adapter") for one, other in zip(ours[who], peers[who], strict=True)]
    excused = [max(abs(one), abs(other)) < tolerance for one, other in pairs]
    differing = [(one > 0) != (other > 0) for one, other in pairs]
    for (one, other), is_excused, differs in zip(pairs, excused, differing, strict=True):
        assert is_excused or not differs, f"log-odds {one} and {other}"
        assert abs(one - other) < tolerance, f"log-odds {one} and {other}"
    return {
        "answers": len(pairs),
        "excused_answers": sum(excused),
        "excused_answers_that_differ": sum(differing),
        "largest_log_odds_difference": max(abs(one - other) for one, other in pairs),
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=["tiny", "qwen"], default="qwen")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], help="of the shape (bfloat16)")
    parser.add_argument("--rows", type=int, help="test rows (512, of the shape 256; quick: 4)")


def _prepare(options: argparse.Namespace) -> None:
    dataset()
    random_adapter(_base(options))


if __name__ == "__main__":
    first = argparse.ArgumentParser(add_help=False)
    _options(first)
    chosen = first.parse_known_args()[0]
    tiny = chosen.model == "tiny"
    run_benchmark(
        Benchmark(
            name="score-tiny" if tiny else "score",
            question="base and adapter on the same rows, model loading included, against generating row by row",
            sides={"movielora": _movielora, "generate": _peer},
            same=partial(_same, tolerance=_TOLERANCE[_dtype(chosen)]),
            goals=(Goal("ratio", at_least=6 if tiny else 2.2),),
            prepare=_prepare,
            facts=lambda options: {
                "layers": layers_of(_base(options)),
                "dtype": _dtype(options),
                "rows": _rows(options),
            },
            options=_options,
            rounds=3 if tiny else 0,
            own_names=("model",),
        )
    )
