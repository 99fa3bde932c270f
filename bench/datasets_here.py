"""The data and models that benchmarks work on: the real ones if they are there, else synthetic ones."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from movielora.progress import SILENT
from places import PROJECT, SHARED, WORK


def dataset() -> Path:
    """The prepared dataset folder: of ml-latest-small, or of synthetic ratings if that is absent."""
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

    real = SHARED / "ml-latest-small"
    folder = WORK / ("movielens" if real.is_dir() else "synthetic")
    if not (folder / "meta.json").is_file():
        source = real
        if not real.is_dir():
            source = WORK / "synthetic_ratings"
            write_synthetic_movielens(source, SyntheticSize())
        prepare(source, folder, PrepareOptions(), SILENT)
    return folder


def synthetic_ratings(count: int, films: int = 87_000, ratings_a_user: int = 160) -> Path:
    """`count` random ratings of `films` films, laid out as ml-latest; written once."""
    import numpy as np
    import polars as pl

    folder = WORK / f"synthetic-{count}"
    if (folder / "movies.csv").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    ratings = {
        "userId": np.sort(random.integers(1, count // ratings_a_user + 1, size=count, dtype=np.int32)),
        "movieId": random.integers(1, films + 1, size=count, dtype=np.int32),
        "rating": random.integers(1, 11, size=count, dtype=np.int8) / np.float32(2),
        "timestamp": random.integers(800_000_000, 1_600_000_000, size=count, dtype=np.int32),
    }
    pl.DataFrame(ratings).write_csv(folder / "ratings.csv")
    ids = np.arange(1, films + 1)
    titles = [f"Synthetic Film {film} ({1930 + film % 90})" for film in ids]
    pl.DataFrame({"movieId": ids, "title": titles, "genres": ["Drama"] * films}).write_csv(folder / "movies.csv")
    return folder


def large_dataset(count: int) -> Path:
    """`count` synthetic ratings, prepared without a cap a user and without the JSON export; kept."""
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare

    folder = WORK / f"large-{count}"
    if not (folder / "meta.json").is_file():
        prepare(synthetic_ratings(count), folder, PrepareOptions(export="none"), SILENT)
    return folder


def tokenizer_folder() -> Path:
    """The real Qwen3 tokenizer, or the embedded base's if that is absent."""
    real = SHARED / "qwen3-tokenizer"
    return real if real.is_dir() else tiny_base()


def tiny_base() -> Path:
    from movielora.model.tiny import build_tiny_base

    return build_tiny_base(WORK)


def qwen_shape(layers: int) -> Path | None:
    """A randomly initialised model of Qwen3-0.6B's shape with `layers` layers; None without the shared folder."""
    script = SHARED / "make_qwen3_shape.py"
    if not script.is_file():
        return None
    folder = WORK / f"qwen3-{layers}-layers"
    if not (folder / "tokenizer.json").is_file():
        command = [sys.executable, str(script), str(folder), "--layers", str(layers)]
        subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)
    return folder


def layers_of(base: Path) -> int:
    return int(json.loads((base / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"])


def training_records(*, quick: bool) -> Path:
    """A JSON array of records: the training split, or the far smaller evaluation split."""
    return dataset() / ("eval.json" if quick else "train.json")


def first_prompts(tokens: Any) -> Any:
    """The ids of the first 16 prompts: a trainer's first batch."""
    import numpy as np

    return tokens.prompts(np.arange(min(16, len(tokens))))


def record_count(records: Path) -> int:
    """How many a file of a prepared dataset holds, as its `meta.json` says."""
    return int(json.loads((records.parent / "meta.json").read_text(encoding="utf-8"))["counts"][records.stem])


def tokenized(base: Path, records: Path, count: int, cutoff_len: int = 4096) -> Any:
    """The first `count` records of a file as movielora's token ids."""
    from movielora.examples.importers.records import read_records
    from movielora.model.tokenizer import load_tokenizer
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.text_tokens import tokenize_records

    tokenizer = load_tokenizer(str(base))
    first = islice(read_records(records), count)
    return tokenize_records(first, PromptTemplate(tokenizer), tokenizer, cutoff_len=cutoff_len, reporter=SILENT)


def conversation(system: str, instruction: str, text: str) -> list[dict[str, str]]:
    """A record as a chat template takes it."""
    return [{"role": "system", "content": system}, {"role": "user", "content": f"{instruction}\n{text}"}]


def encode_plainly(records: Path) -> list[list[int]]:
    """The ids of every prompt in a JSON array of records, by the tokenizer's own two calls."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder())
    texts = []
    for row in json.loads(records.read_text(encoding="utf-8")):
        messages = conversation(row["system"], row["instruction"], row["input"])
        texts.append(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        )
    return list(tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"])


def answer_trainer(
    config: Any, placement: Any, base: Path, examples: Any, folder: Path, steps: int, *, evaluates: bool = False
) -> Any:
    """movielora's trainer over all `examples`, or one that `evaluates` them; it saves nothing into `folder`."""
    import numpy as np

    from movielora.model.base import load_base
    from movielora.model.lora import lora_config
    from movielora.model.tokenizer import load_tokenizer
    from movielora.prompt.spec import PromptSpec
    from movielora.runs.paths import RunPaths
    from movielora.training.loop.arguments import training_arguments
    from movielora.training.loop.trainer import AnswerTrainer

    arguments = training_arguments(config, folder, placement, steps)
    arguments.save_strategy = "no"
    rows = np.arange(len(examples))
    return AnswerTrainer(
        model=load_base(str(base), placement),
        args=arguments,
        train=examples,
        train_rows=rows[:2] if evaluates else rows,
        evaluation=examples if evaluates else None,
        eval_rows=rows if evaluates else rows[:0],
        peft_config=lora_config(config),
        tokenizer=load_tokenizer(str(base)),
        paths=RunPaths(folder),
        keep_checkpoints=None,
        identity={},
        spec=PromptSpec(),
        steps_per_epoch=steps,
    )


def completion_rows(examples: Any, order: Any) -> list[dict[str, list[int]]]:
    """The examples as TRL takes them, in `order`: the same token ids, with the answer's two marked."""
    yes, no, end = examples.answer_ids
    rows = []
    for row in order:
        prompt = examples.prompt(row).tolist()
        answer = [yes if examples.labels[row] else no, end]
        rows.append({"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)})
    return rows


def peer_lora(dropout: float = 0.0) -> Any:
    """PEFT's own config with movielora's defaults: r = 16 on all linear layers."""
    from peft import LoraConfig

    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=64, lora_dropout=dropout, target_modules=targets)


def random_adapter(base: Path) -> Path:
    """An adapter for `base` that changes its answers: both LoRA matrices random."""
    folder = WORK / f"adapter-{base.name}"
    if (folder / "adapter_model.safetensors").is_file():
        return folder
    from movielora.machine.library_output import quiet_libraries

    quiet_libraries()
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model = get_peft_model(model, peer_lora())
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)
    return folder
