"""The tokens of a split: joined from the columns of a prepared dataset, or of each record of a file, cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movielora.examples.example_set import ExampleSet
from movielora.examples.load import ExampleLoader
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import Reporter
from movielora.prompt.column_tokens import ColumnTokens, tokenize_columns
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_cache import tokenize_file
from movielora.prompt.token_sets import PromptTokens


def tokenize_split(
    path: Path,
    loader: ExampleLoader,
    template: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    cache_dir: Path,
    reporter: Reporter,
    like: PromptTokens | None = None,
) -> PromptTokens:
    """The prompts of all examples that `path` names; `like` as for `tokenize_examples`.

    Raises DataError as the loader and `tokenize_examples` do.
    """
    prepared = loader.open_prepared(path)
    if prepared is not None:
        return tokenize_examples(prepared, template, tokenizer, cutoff_len=cutoff_len, reporter=reporter, like=like)
    return tokenize_file(
        path, template, tokenizer,
        cutoff_len=cutoff_len, cache_dir=cache_dir, reporter=reporter, columns=loader.columns.of(path),
    )  # fmt: skip


def tokenize_examples(
    examples: ExampleSet,
    template: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    reporter: Reporter,
    like: PromptTokens | None = None,
) -> PromptTokens:
    """The prompts of `examples`, each shortened to fit `cutoff_len` tokens with its answer.

    `like`: prompts of the same template, whose pieces are taken if they are of the same dataset.

    Raises DataError naming an example that does not fit even without history.
    """
    if isinstance(examples, TimelineExamples):
        if template.spec.history_len not in (None, examples.history_len):
            raise ValueError(f"{examples.history_len} films are kept and {template.spec.history_len} are to be shown")
        known = like if isinstance(like, ColumnTokens) and like.are_of_dataset(examples) else None
        joined = tokenize_columns(examples, template, tokenizer, cutoff_len=cutoff_len, reporter=reporter, like=known)
        if joined is not None:
            return joined
        reporter.note("This tokenizer merges words across titles: every prompt is tokenized whole")
    return tokenize_records(examples, template, tokenizer, cutoff_len=cutoff_len, reporter=reporter, name=examples.name)
