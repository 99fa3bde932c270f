"""Ids joined from columns: those of the exported text, of plain tokenizing, and of the last release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movielora.dataset.films import films_of
from movielora.dataset.timelines import build_timelines
from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.example_set import ListedExamples
from movielora.examples.importers.records import read_records
from movielora.examples.importers.rendered_text import own_text
from movielora.examples.load import ExampleLoader
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import SILENT
from movielora.prompt.column_pieces import _distinct
from movielora.prompt.column_tokens import ColumnTokens, tokenize_columns
from movielora.prompt.lengths import count_characters
from movielora.prompt.render import render
from movielora.prompt.spec import PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import ANSWER_TOKENS, PromptTokens
from movielora.prompt.tokenize import tokenize_examples
from movielora.sources.ratings import Movie

_NO_CUTOFF = 1 << 20
# SHA-256 over ids (uint32), offsets (int64) and labels (bool) of ml-latest-small's default examples, titles as given,
# taken from the release before examples were columns.
_AS_GIVEN = {
    "train": "b6bd960e98c1d9de200ee0b96f6fad4de3c3f158b7179ad2550cae5027dbb43b",
    "eval": "ec932e8d200271bfeff31eab606eb34561146867425c297a0c3a0481e30473f9",
    "test": "387417ba256faa36914db4f5b536bd86e6a4f47bdea0e830de148804d42dfd91",
}
# The same with `cutoff_len: 352`, over ids, offsets and dropped lines (uint16).
_AS_GIVEN_CUT = {
    "train": "06aea8af2779a11aff137c2e28d987cb60b110584696e8a02071d22585ae1138",
    "eval": "34e03fc0d11065321ddf1729af0d911b8ebfd1943a551ef1883f08f3e51caf3d",
    "test": "ae92048a54ae689a40f0794fa1bb42186340251a7aaf5ea4bef1dacb6f3c160e",
}
# Of the same examples with titles in natural order, taken when that became the default of a new dataset; the ids were
# then equal to those of the exported text, tokenized plainly.
_NATURAL = {
    "train": "f9513f130b37b540514f5e371b2aaef6be981c8506fabb330e97a55d07bffe86",
    "eval": "c38da8049c51c837fa3d46125a7efb96bfc5614940c160d8e3048a7323084a88",
    "test": "61de8a23dc3b20776c4c80b3358be10ef01bb2b13cb65beb22830100db82c9fb",
}
_NATURAL_CUT = {
    "train": "c04d3ed68988b30d74e05efee0fed1b3aa9227a2635d5bf08ac06761d8c737e7",
    "eval": "4948b3633386696e7bd14d3f2c1a45801bd20f5beb83d152d0a6c1b0f172d409",
    "test": "7a2e0e167bda777df3bbfcc5ed5264be2d2fb70b1b3c11002dc84b632cefd24d",
}


@pytest.fixture(params=["tiny", pytest.param("qwen", marks=pytest.mark.shared)])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_tokenizer")


def timelines_of(ratings: list[tuple[int, int, float]], titles: dict[int, str], history_len: int) -> TimelineExamples:
    """Every rating after a user's first `history_len`; `ratings` are (user, film, stars) in time order."""
    frame = pl.DataFrame(
        {
            "user_id": [user for user, _, _ in ratings],
            "movie_id": [film for _, film, _ in ratings],
            "rating": [stars for _, _, stars in ratings],
            "timestamp": list(range(len(ratings))),
        },
        schema={"user_id": pl.Int64, "movie_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64},
    )
    films = films_of(frame, {film: Movie(title, ()) for film, title in titles.items()})
    timelines = build_timelines(frame, films)
    position = np.arange(len(ratings))
    rank = position - timelines.starts[timelines.user_index(position)]
    return TimelineExamples("rows", timelines, films, position[rank >= history_len], history_len, 4.0)


def small(history_len: int = 3) -> TimelineExamples:
    random = np.random.default_rng(5)
    ratings = [
        (user, int(film), float(random.integers(1, 11)) / 2)
        for user in range(6)
        for film in random.permutation(12)[: 4 + user]
    ]
    return timelines_of(
        ratings, {film: f"Film {film}: the {film}th ({1980 + film})" for film in range(11)}, history_len
    )


def tokens_of(
    examples: TimelineExamples, tokenizer: Any, cutoff_len: int = _NO_CUTOFF, spec: PromptSpec | None = None
) -> ColumnTokens:
    template = PromptTemplate(tokenizer, spec)
    found = tokenize_columns(examples, template, tokenizer, cutoff_len=cutoff_len, reporter=SILENT)
    assert found is not None
    return found


def assert_same(found: PromptTokens, wanted: PromptTokens) -> None:
    rows = np.arange(len(wanted))
    for one, two in zip(found.prompts(rows), wanted.prompts(rows), strict=True):
        assert np.array_equal(one, two)
    assert found.lengths.tolist() == wanted.lengths.tolist()
    assert found.labels.tolist() == wanted.labels.tolist()
    assert found.rows_cut == wanted.rows_cut
    assert found.answer_ids == wanted.answer_ids


@pytest.mark.parametrize("cutoff", [_NO_CUTOFF, 110, 104, 98])
def test_joined_ids_are_those_of_each_example_as_text(tokenizer: Any, cutoff: int) -> None:
    examples = small()
    longest = int(tokens_of(examples, tokenizer).lengths.max()) + ANSWER_TOKENS
    cutoff = cutoff if cutoff == _NO_CUTOFF else longest - (110 - cutoff) - 1
    found = tokens_of(examples, tokenizer, cutoff)
    wanted = tokenize_records(list(examples), PromptTemplate(tokenizer), tokenizer, cutoff_len=cutoff, reporter=SILENT)
    assert_same(found, wanted)
    assert (found.rows_cut > 0) == (cutoff != _NO_CUTOFF)
    assert found.dropped_lines.tolist() == wanted.dropped_lines.tolist()
    for row in (0, len(found) - 1):
        assert found.prompt(row).tolist() == wanted.prompt(row).tolist()


def test_titles_in_natural_order_are_in_the_ids_the_lengths_and_the_characters(tokenizer: Any) -> None:
    titles = {0: "Matrix, The (1999)", 1: "Avventura, L' (Adventure, The) (1960)", 2: "Topo, El", 3: "Heat (1995)"}
    ratings = [(user, film, 3.5) for user in range(2) for film in range(4)]
    examples = timelines_of(ratings, titles, 2)
    spec = PromptSpec(titles="natural")
    template = PromptTemplate(tokenizer, spec)
    found = tokens_of(examples, tokenizer, spec=spec)
    texts = [template.pieces(example).text() for example in examples]
    shown = "1. The Matrix (1999): 3.5\n2. L'Avventura (The Adventure) (1960): 3.5\nCandidate film: El Topo\n"
    assert shown in texts[0]
    for row, text in enumerate(texts):
        assert found.prompt(row).tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert count_characters(examples, spec).tolist() == [render(each, spec).characters for each in examples]
    assert found.prompt(0).tolist() != tokens_of(examples, tokenizer).prompt(0).tolist()


def test_ratings_of_any_value_make_no_more_pieces_than_there_are_ratings(tiny_tokenizer: Any) -> None:
    """2,000 films of as many endings and 6,000 distinct ratings: their product is 12 million lines."""
    random = np.random.default_rng(7)
    stars = (random.permutation(6000) / 1200).tolist()
    ratings = [(row // 20, row % 2000, rating) for row, rating in enumerate(stars)]
    examples = timelines_of(ratings, {film: f"Film {film} {'!' * film}" for film in range(2000)}, 18)
    pieces = tokens_of(examples, tiny_tokenizer).pieces
    assert len(pieces.parts) < len(stars) + 3 * 2000 + 100
    few = examples.select(np.arange(0, len(examples), 30))
    template = PromptTemplate(tiny_tokenizer)
    wanted = tokenize_records(list(few), template, tiny_tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT)
    assert_same(tokens_of(few, tiny_tokenizer), wanted)


def test_a_table_and_sorting_find_the_same_distinct_numbers() -> None:
    numbers = np.random.default_rng(3).integers(0, 50, 400)
    by_table, by_sorting = _distinct(numbers, 50), _distinct(numbers, 1 << 40)
    for one, two in zip(by_table, by_sorting, strict=True):
        assert (one.tolist(), one.dtype) == (two.tolist(), two.dtype)
    assert by_table[0][by_table[1]].tolist() == numbers.tolist()


def test_rows_come_in_the_order_asked_for_and_selected_rows_are_the_same_prompts(tiny_tokenizer: Any) -> None:
    found = tokens_of(small(), tiny_tokenizer)
    rows = np.array([5, 0, 5, 2])
    ids, offsets = found.prompts(rows)
    for place, row in enumerate(rows.tolist()):
        assert ids[offsets[place] : offsets[place + 1]].tolist() == found.prompt(row).tolist()
    assert_same(tokens_of(small().select(np.array([2, 3])), tiny_tokenizer), _rows(found, [2, 3]))


def test_another_split_of_the_dataset_takes_the_pieces_that_are_known(tiny_tokenizer: Any) -> None:
    examples = small()
    train, evaluation = examples.select(np.arange(6)), examples.select(np.arange(6, len(examples)))
    template = PromptTemplate(tiny_tokenizer)
    first = tokenize_examples(train, template, tiny_tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT)
    found = tokenize_examples(evaluation, template, tiny_tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT, like=first)
    assert isinstance(first, ColumnTokens)
    assert isinstance(found, ColumnTokens)
    assert found.piece_ids is first.piece_ids
    assert_same(found, tokens_of(evaluation, tiny_tokenizer))
    other = tokenize_examples(
        small(), template, tiny_tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT, like=first
    )  # equal columns, and yet another dataset
    assert isinstance(other, ColumnTokens)
    assert other.piece_ids is not first.piece_ids
    assert_same(other, tokens_of(small(), tiny_tokenizer))


def _rows(tokens: ColumnTokens, rows: list[int]) -> PromptTokens:
    from movielora.prompt.token_sets import TokenizedExamples

    ids, offsets = tokens.prompts(np.array(rows))
    return TokenizedExamples(ids, offsets, tokens.labels[rows], tokens.dropped_lines[rows], tokens.answer_ids)


def test_a_longer_history_than_the_dataset_was_cut_for_shows_what_there_is(tiny_tokenizer: Any) -> None:
    """`prompt_history_len` above the dataset's: users with more ratings show more, others all they have."""
    from dataclasses import replace

    examples = replace(small(), history_len=6)
    assert {len(example.history or ()) for example in examples} == {3, 4, 5, 6}
    wanted = tokenize_records(
        list(examples), PromptTemplate(tiny_tokenizer), tiny_tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT
    )
    assert_same(tokens_of(examples, tiny_tokenizer), wanted)


def test_an_example_that_does_not_fit_without_history_is_named(tiny_tokenizer: Any) -> None:
    with pytest.raises(
        DataError, match=r"rows row \d+ needs \d+ tokens even without history, more than `cutoff_len: 40`"
    ):
        tokens_of(small(), tiny_tokenizer, 40)


SIGNS = [" ", "\t", "\n", "'s", "'S", "(1999)", "7", "!", ":", ". ", "é", "e\u0301", "\u0338"]
TITLES = st.lists(st.sampled_from(SIGNS) | st.characters(), min_size=1, max_size=8).map("".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(titles=st.lists(TITLES.filter(lambda title: title.split()), min_size=5, max_size=5))
def test_any_titles_give_the_ids_of_plain_tokenizing(tokenizer: Any, titles: list[str]) -> None:
    from movielora.sources.titles import one_line

    ratings = [(user, (user + step) % 5, [0.5, 4.0, 5.0, 3.5][step]) for user in range(5) for step in range(4)]
    examples = timelines_of(ratings, {film: one_line(title) for film, title in enumerate(titles)}, 2)
    template = PromptTemplate(tokenizer)
    found = tokens_of(examples, tokenizer)
    for row, example in enumerate(examples):
        text = template.pieces(example).text()
        assert found.prompt(row).tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_tokenizer_that_merges_across_pieces_gets_plain_tokenizing(tiny_tokenizer: Any) -> None:
    """A byte-level BPE without a pre-tokenizer, trained on the very prompts, merges `1.` with the title after it."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [render(example, PromptSpec()).input for example in small()]
    bpe.train_from_iterator(texts + ["Yes", "No"] * 500, trainer)
    merging = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", chat_template=tiny_tokenizer.chat_template
    )
    template = PromptTemplate(merging)
    assert tokenize_columns(small(), template, merging, cutoff_len=_NO_CUTOFF, reporter=SILENT) is None
    found = tokenize_examples(small(), template, merging, cutoff_len=_NO_CUTOFF, reporter=SILENT)
    for row, example in enumerate(small()):
        text = template.pieces(example).text()
        assert found.prompt(row).tolist() == merging(text, add_special_tokens=False)["input_ids"]


def test_characters_are_those_of_the_rendered_texts() -> None:
    texts = [render(example, PromptSpec()) for example in small()]
    wanted = [len(text.system) + len(text.instruction) + len(text.input) for text in texts]
    assert count_characters(small(), PromptSpec()).tolist() == wanted
    listed = ListedExamples("rows", list(small()))
    assert count_characters(listed, PromptSpec()).tolist() == wanted
    turn = own_text("1. A\nB", "C", "Système", (("Hello?", "Hi."),))
    spoken = ListedExamples("rows", [Example(None, None, True, "row 1", text=turn)])
    assert count_characters(spoken, PromptSpec()).tolist() == [6 + 1 + 7 + 9]


@pytest.mark.shared
def test_columns_and_exported_text_give_the_same_ids(tokenizer: Any, real_data: Path) -> None:
    folder = real_data / "movielens_qwen3"
    spec = PromptSpec(titles=ExampleLoader().dataset_titles(folder / "train"))
    assert spec.titles == "natural"
    for name in ("train.json", "eval.json", "test_raw.jsonl"):
        examples = ExampleLoader().open(folder / name)
        assert isinstance(examples, TimelineExamples)
        wanted = tokenize_records(
            read_records(folder / name), PromptTemplate(tokenizer), tokenizer, cutoff_len=340, reporter=SILENT
        )
        assert_same(tokens_of(examples, tokenizer, 340, spec), wanted)


@pytest.mark.shared
@pytest.mark.parametrize("split", ["train", "eval", "test"])
@pytest.mark.parametrize(
    ("spec", "whole", "shortened"),
    [(PromptSpec(), _AS_GIVEN, _AS_GIVEN_CUT), (PromptSpec(titles="natural"), _NATURAL, _NATURAL_CUT)],
    ids=["as_given", "natural"],
)
def test_all_ids_of_the_real_data_are_those_of_the_last_release(
    qwen_tokenizer: Any, full_real_data: Path, split: str, spec: PromptSpec, whole: Any, shortened: Any
) -> None:
    examples = ExampleLoader().open(full_real_data / "ml" / split)
    assert isinstance(examples, TimelineExamples)
    found = tokens_of(examples, qwen_tokenizer, spec=spec)
    ids, offsets = found.prompts(np.arange(len(found)))
    assert _digest(ids, offsets, found.labels.astype(bool)) == whole[split]
    cut = tokens_of(examples, qwen_tokenizer, 352, spec)
    ids, offsets = cut.prompts(np.arange(len(cut)))
    assert _digest(ids, offsets, cut.dropped_lines.astype(np.uint16)) == shortened[split]


@pytest.fixture(scope="module")
def full_real_data(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ml-latest-small as `prepare` makes it by default, without the JSON export."""
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare

    data = tmp_path_factory.mktemp("full") / "data"
    prepare(shared / "ml-latest-small", data / "ml", PrepareOptions(export="none"), SILENT)
    return data


def _digest(*arrays: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
