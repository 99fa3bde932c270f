"""One prompt: the template's own text, the same for both record forms; no text from data becomes a control token."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movielora.errors import ModelError
from movielora.examples.example import Example
from movielora.examples.importers.records import read_records
from movielora.examples.importers.rendered_text import own_text
from movielora.progress import SILENT
from movielora.prompt.render import assemble_input, film_texts, render, render_input
from movielora.prompt.spec import INSTRUCTION, SYSTEM, PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.sources.titles import one_line

HOSTILE = (
    "<|im_end|>",
    "<|im_start|>assistant",
    "<think>",
    "</think>",
    "</tool_call>",
    "<tool_response>",
    "<|endoftext|>",
    "<|vision_start|>",
    "<<|im_end|>|im_end|>",
    "<|im_<|im_end|>end|>",
    "{{ 7*7 }}",
    "{% for x in y %}",
    "\n",
    "\r\n",
    '"',
    "'",
    "\\",
    "\x00",
    "\x1b[31m",
    "\u2028",
    "\ud83c",
    "🎬",
    "👩‍👩‍👧",
    "Ame\u0301lie",
    "\u0338",
    ">\u0338",
    "\ue000user text",
    "ﷺ",
    "ẛ̣",
    "한글",
)
# Titles made of hostile pieces and of anything at all, lone surrogates included.
HOSTILE_TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), min_size=1, max_size=6).map("".join)

# What Qwen3's template makes of a training conversation, written out by hand from its documentation.
WHOLE = (
    "<|im_start|>system\n{system}<|im_end|>\n"
    "<|im_start|>user\n{user}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n{answer}<|im_end|>\n"
)
PROMPT = WHOLE.partition("{answer}")[0]


@pytest.fixture(params=["tiny", pytest.param("qwen", marks=pytest.mark.shared)])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Each test runs with the embedded tokenizer and with the real one."""
    return request.getfixturevalue(f"{request.param}_tokenizer")


def record(
    input: str = "",  # noqa: A002 - the field's name in a record
    instruction: str = INSTRUCTION,
    system: str = SYSTEM,
    turns: Any = (),
    label: bool = True,
) -> Example:
    return Example(None, None, label, "here", text=own_text(input, instruction, system, turns))


def input_of(example: Example) -> str:
    return render(example, PromptSpec()).input


def ids_of(tokenizer: Any, *records: Example) -> list[list[int]]:
    template = PromptTemplate(tokenizer)
    found = tokenize_records(records, template, tokenizer, cutoff_len=1 << 20, reporter=SILENT)
    return [found.prompt(row).tolist() for row in range(len(records))]


def test_render_input_by_hand() -> None:
    assert render_input(["Heat (1995)", "Up"], [4.5, 3.0], "Ran") == (
        "Rated films:\n"
        "1. Heat (1995): 4.5\n"
        "2. Up: 3\n"
        "Candidate film: Ran\n"
        "Will this user like the candidate film? Answer Yes or No."
    )
    assert render_input(["Heat"], None, "Ran").split("\n")[1] == "1. Heat"


def test_a_title_is_always_one_line() -> None:
    assert one_line(" a\n\tb\u2028c\u3000\x0bd\r\n") == "a b c d"
    assert render_input(["x\ny"], [1], "p\n2. q: 5\nr").split("\n")[:3] == [
        "Rated films:",
        "1. x y: 1",
        "Candidate film: p 2. q: 5 r",
    ]


def test_assembling_ready_pieces_is_rendering() -> None:
    titles, ratings = ["A", "B  C"], [1.0, 2.5]
    assert assemble_input(film_texts(titles, ratings), "D") == render_input(titles, ratings, "D")


def test_decoding_the_prompt_gives_the_templates_text(tokenizer: Any) -> None:
    asked = record(input=render_input(["Heat (1995)", "Amélie"], [4.5, 3.0], "七人の侍 🎬"))
    (ids,) = ids_of(tokenizer, asked)
    assert tokenizer.decode(ids) == PROMPT.format(system=SYSTEM, user=f"{INSTRUCTION}\n{input_of(asked)}")


def test_prompt_ids_are_the_templates_own(tokenizer: Any) -> None:
    asked = record(input=render_input(["Heat (1995)"], [4.5], "Ran"))
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{INSTRUCTION}\n{input_of(asked)}"},
    ]
    wanted = tokenizer.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, enable_thinking=False, return_dict=False
    )
    assert ids_of(tokenizer, asked) == [wanted]


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_prompt_and_answer_are_the_template_on_the_whole_conversation(tokenizer: Any, answer: str) -> None:
    asked = record(input=render_input(["Heat (1995)"], [4.5], "Ran"), label=answer == "Yes")
    template = PromptTemplate(tokenizer)
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{INSTRUCTION}\n{input_of(asked)}"},
        {"role": "assistant", "content": answer},
    ]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole == WHOLE.format(system=SYSTEM, user=f"{INSTRUCTION}\n{input_of(asked)}", answer=answer)
    assert template.pieces(asked).text() + f"{answer}<|im_end|>\n" == whole == template.conversation(asked)
    answer_ids = [template.yes_id if asked.label else template.no_id, template.end_id]
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    (ids,) = ids_of(tokenizer, asked)
    assert ids + answer_ids + newline == tokenizer(whole, add_special_tokens=False)["input_ids"]


@pytest.mark.shared
def test_the_answers_ids_of_qwen3(qwen_tokenizer: Any) -> None:
    template = PromptTemplate(qwen_tokenizer)
    assert (template.yes_id, template.no_id, template.end_id) == (9454, 2753, 151645)


def test_both_record_forms_give_the_same_ids(tokenizer: Any, tmp_path: Path) -> None:
    titles, ratings = ["Heat (1995)", 'The "Best"\nFilm <|im_end|>', "Ame\u0301lie 🎬"], [4.5, 0.5, 3]
    rows = [
        {"system": SYSTEM, "instruction": INSTRUCTION, "input": render_input(titles, ratings, "Ran"), "output": "Yes"},
        {"history_titles": titles, "history_ratings": ratings, "candidate_title": "Ran", "label": "No"},
    ]
    path = tmp_path / "both.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trained, tested = ids_of(tokenizer, *read_records(path))
    assert trained == tested


@pytest.mark.shared
def test_real_training_and_test_rows_give_the_templates_own_ids(qwen_tokenizer: Any, real_data: Path) -> None:
    folder = real_data / "movielens_qwen3"
    rows = [*list(read_records(folder / "train.json"))[:300], *list(read_records(folder / "test_raw.jsonl"))[:300]]
    for asked, ids in zip(rows, ids_of(qwen_tokenizer, *rows), strict=True):
        messages = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{INSTRUCTION}\n{input_of(asked)}"},
        ]
        text = qwen_tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        assert qwen_tokenizer(text, add_special_tokens=False)["input_ids"] == ids


def test_a_record_without_system_has_no_system_turn(tokenizer: Any) -> None:
    text = PromptTemplate(tokenizer).pieces(record(system=" ", input="x")).text()
    assert text.startswith("<|im_start|>user\n")


def test_the_templates_system_replaces_the_records(tokenizer: Any) -> None:
    template = PromptTemplate(tokenizer, PromptSpec().replacing("system", "Say Yes."))
    assert template.pieces(record(input="x")).text().startswith("<|im_start|>system\nSay Yes.<|im_end|>\n")
    assert template.conversation(record(input="x")).startswith("<|im_start|>system\nSay Yes.<|im_end|>\n")
    assert (
        PromptTemplate(tokenizer, PromptSpec().replacing("system", ""))
        .pieces(record(input="x"))
        .text()
        .startswith("<|im_start|>user\n")
    )


def test_openings_are_rendered_once_and_not_all_remembered(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = PromptTemplate(tokenizer)
    rendered: list[str] = []
    render = tokenizer.apply_chat_template

    def counting(messages: list[dict[str, str]], **options: Any) -> Any:
        rendered.append(messages[0]["content"])
        return render(messages, **options)

    monkeypatch.setattr(tokenizer, "apply_chat_template", counting)
    systems = [f"Person {number}" for number in range(1_100)]
    for system in (*systems, systems[-1], systems[0]):
        assert f"{system}<|im_end|>" in template.pieces(record(system=system)).text()
    assert rendered == [*systems, systems[0]]


def test_earlier_turns_stand_before_the_question_without_thinking(tokenizer: Any) -> None:
    asked = record(input="And Ran?", instruction="", turns=(("Heat?", "Yes"), ("Up?", "No")))
    assert PromptTemplate(tokenizer).pieces(asked).text() == (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        "<|im_start|>user\nHeat?<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n"
        "<|im_start|>user\nUp?<|im_end|>\n<|im_start|>assistant\nNo<|im_end|>\n"
        "<|im_start|>user\nAnd Ran?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


@pytest.mark.parametrize(
    "text",
    ["1. A\n2. B", "Rated:\n1. A\n2. B", "1. A\n2. B\nC", "no list at all", "a\n\n1. A\n\nb\n1. B\n2. C\n\n\nc", "1. "],
)
def test_pieces_join_to_the_text_and_lose_only_the_oldest_lines(tokenizer: Any, text: str) -> None:
    asked = record(instruction="", input=text, system="")
    pieces = PromptTemplate(tokenizer).pieces(asked)
    opening, closing = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert pieces.text() == f"{opening}{text.strip()}{closing}"
    assert "".join(pieces.lines()) == pieces.history
    assert all(line.endswith("\n") for line in pieces.lines()[:-1])
    for dropped in range(len(pieces.lines()) + 1):
        gone = "".join(pieces.lines()[:dropped])
        assert pieces.without(dropped).text() == pieces.text().replace(gone, "", 1)


RULES = "Rules:\n1. Be strict.\n2. Be kind.\n3. Be quick.\n4. Answer."


@pytest.mark.parametrize(
    ("instruction", "text", "history"),
    [
        (RULES, "1. A\n2. B\nCandidate film: C", ("1. A\n", "2. B\n")),
        (RULES, "Candidate film: C", ()),
        (RULES, "", ()),
        (RULES, " \n ", ()),
        ("1. Ame\u0301lie <|im_end|>\n2. Up", "\n\n1. Ame\u0301lie <|im_end|>\nC  ", ("1. Amélie < |im_end|>\n",)),
        ("  \n", "  1. A\n2. B\n", ("1. A\n", "2. B")),
        ("Rules", "5. A", ("5. A",)),
    ],
)
def test_the_history_is_in_the_input_and_never_in_the_instruction(
    tokenizer: Any, instruction: str, text: str, history: tuple[str, ...]
) -> None:
    pieces = PromptTemplate(tokenizer).pieces(record(instruction=instruction, input=text, system=""))
    assert tuple(pieces.lines()) == history
    user = f"{instruction}\n{text}".strip().replace("<|im_end|>", "< |im_end|>").replace("e\u0301", "é")
    assert pieces.text() == (f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% raw %}", "{# gone #}", "{{ messages }}"])
def test_what_looks_like_a_template_stays_text(tokenizer: Any, text: str) -> None:
    asked = record(input=f"Candidate film: {text}", system=f"s {text}", turns=((text, text),))
    assert PromptTemplate(tokenizer).pieces(asked).text().count(text) == 4


def test_clean_leaves_harmless_text_and_spaces_out_control_tokens(qwen_or_tiny_template: Any) -> None:
    clean = qwen_or_tiny_template.clean
    assert clean("Heat (1995) <3 |x| < |im_end|>") == "Heat (1995) <3 |x| < |im_end|>"
    assert clean("a<|im_end|>b") == "a< |im_end|>b"
    assert clean("Ame\u0301lie") == "Amélie"
    assert clean("a\ud83cb") == "a?b"
    assert clean(clean("<<think>think>")) == clean("<<think>think>")


@pytest.fixture(params=["tiny", pytest.param("qwen", marks=pytest.mark.shared)])
def qwen_or_tiny_template(request: pytest.FixtureRequest) -> PromptTemplate:
    return PromptTemplate(request.getfixturevalue(f"{request.param}_tokenizer"))


def control_tokens(tokenizer: Any, ids: list[int]) -> Counter[int]:
    control = set(tokenizer.get_added_vocab().values())
    return Counter(token for token in ids if token in control)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(HOSTILE_TEXTS, min_size=5, max_size=5))
def test_no_text_from_data_adds_or_hides_a_control_token(tokenizer: Any, texts: list[str]) -> None:
    history, candidate, question, answer, system = texts
    turns = (("q", "a"),)
    plain = record(input=render_input(["x"], [3], "y"), turns=turns)
    by_titles = record(input=render_input([history], [3], candidate), turns=turns)
    by_text = record(input=f"{history}\n1. {candidate}\n{question}", instruction=answer, turns=turns)
    around = record(input="x", turns=((question or "q", answer or "a"),), system=f"s{system}")
    wanted, *found = ids_of(tokenizer, plain, by_titles, by_text, around)
    for ids in found:
        assert control_tokens(tokenizer, ids) == control_tokens(tokenizer, wanted)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=st.lists(HOSTILE_TEXTS, min_size=1, max_size=3), candidate=HOSTILE_TEXTS)
def test_hostile_prompt_and_answer_are_still_the_whole_conversation(
    tokenizer: Any, history: list[str], candidate: str
) -> None:
    asked = record(input=render_input(history, None, candidate), label=False)
    template = PromptTemplate(tokenizer)
    text = template.pieces(asked).text()
    assert text + "No<|im_end|>\n" == template.conversation(asked)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_tokenizer_without_chat_template_is_refused(small_tokenizer: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="the tokenizer has no chat template"):
        PromptTemplate(small_tokenizer(chat_template=None))


def test_a_template_that_alters_the_text_is_refused(small_tokenizer: Callable[..., Any]) -> None:
    shouting = "{% for message in messages %}{{ message.content | upper }}{% endfor %}"
    with pytest.raises(ModelError, match="alters the user's text"):
        PromptTemplate(small_tokenizer(chat_template=shouting))


PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["<|im_end|>", "Yes", "No"], None),
        (["<|im_end|>", "Y", "es", "No"], "does not read `Yes<|im_end|>` after the prompt as one token each"),
        (["<|im_end|>", "Yes", "N", "o"], "does not read `No<|im_end|>` after the prompt as one token each"),
        (["<|im_end|>", "other"], "reads `Yes` and `No` as the same token"),
    ],
)
def test_yes_and_no_must_be_one_token_each(
    small_tokenizer: Callable[..., Any], words: list[str], said: str | None
) -> None:
    tokenizer = small_tokenizer(words, chat_template=PLAIN_TEMPLATE)
    if said is None:
        template = PromptTemplate(tokenizer)
        assert tokenizer.convert_ids_to_tokens([template.yes_id, template.no_id, template.end_id]) == [
            "Yes",
            "No",
            "<|im_end|>",
        ]
        return
    with pytest.raises(ModelError) as caught:
        PromptTemplate(tokenizer)
    assert said in caught.value.message
    assert "Qwen3" in caught.value.next_step


def test_a_missing_end_of_turn_token_is_refused(small_tokenizer: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="as one token each"):
        PromptTemplate(small_tokenizer(["<", "|im_end|>", "Yes", "No"], chat_template=PLAIN_TEMPLATE))


@pytest.fixture
def small_tokenizer() -> Callable[..., Any]:
    """A tokenizer of exactly the given words: the longest that fits is taken, whatever else is unknown."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import WordPiece
    from transformers import PreTrainedTokenizerFast

    def make(words: list[str] | None = None, *, chat_template: str | None) -> Any:
        vocabulary = {word: number for number, word in enumerate(["[UNK]", *(words or ["<|im_end|>", "Yes", "No"])])}
        backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=""))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        backend.decoder = decoders.Fuse()
        if "<|im_end|>" in vocabulary:
            backend.add_special_tokens(["<|im_end|>"])
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", chat_template=chat_template)

    return make
