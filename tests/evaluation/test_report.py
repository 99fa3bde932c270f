"""report.html as a file: self-contained, small, and safe against what titles say. The browser tests open it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.evaluation.report.build import embed_json, render_report, write_report
from movielora.evaluation.report.curves import training_curves
from movielora.evaluation.report.payload import _short, page_data, prompt_pattern
from movielora.evaluation.report.shapes import score_shapes
from movielora.evaluation.saved.analysis import load_analysis
from movielora.prompt.render import render_input
from movielora.prompt.spec import PromptSpec
from synthetic_comparison import HOSTILE_TITLES, Invented, invent_comparison


@pytest.fixture(scope="module")
def page(invented: Invented) -> str:
    return render_report(load_analysis(invented.folder.root))


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    assert not re.search(r"(src|href)=[\"'](?!#|data:,)", page)
    assert not re.search(r"@import|url\(", page)
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def data_of(page: str) -> Any:
    embedded = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    return json.loads(embedded[1])


def test_above_the_limit_a_stated_sample_is_embedded_and_the_figures_stay(
    invented: Invented, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movielora.evaluation.report.payload._MOST_ROWS", 100)
    analysis = load_analysis(invented.folder.root)
    sampled_page = render_report(analysis)
    assert render_report(analysis) == sampled_page
    whole, sampled = data_of(page), data_of(sampled_page)
    count = len(analysis.table)
    numbers = sampled["rows"]["number"]
    assert len(numbers) == len(set(numbers)) == 100
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) != (0, 99)  # not merely the first
    titles = [sampled["titles"][place] for place in sampled["rows"]["film"]]
    assert titles == [analysis.question(row).candidate for row in numbers]
    assert sampled["rows"]["reference"] == [whole["rows"]["reference"][row] for row in numbers]
    assert sampled["ways"][0]["members"] == [whole["ways"][0]["members"][row] for row in numbers]
    same = set(whole) - {"rows", "titles", "other_titles", "users", "ways", "sampled"}
    assert {key: sampled[key] for key in same} == {key: whole[key] for key in same}
    assert sampled_page.count(f"a random sample of 100 of the {count:,} rows (seed 0)") == 2  # in the data and shown
    assert whole["rows"]["number"] is None
    assert ("A sample of rows</h2>" in sampled_page, "A sample of rows" in page) == (True, False)
    assert 'id="sampled"' not in page


def test_shapes_by_hand() -> None:
    """Two of three liked rows above both disliked ones, one tie: ROC by counting from the highest score down."""
    labels = np.array([True, True, False, True, False])
    found = score_shapes(labels, np.array([2.0, 1.0, -1.0, -1.0, -3.0]))
    third = 1 / 3
    assert found["roc"] == [
        pytest.approx(point, abs=1e-5) for point in ([0, 0], [0, third], [0, 2 * third], [0.5, 1], [1, 1])
    ]
    assert found["recall"] == [
        pytest.approx(point, abs=1e-5) for point in ([third, 1], [2 * third, 1], [1, 0.75], [1, 0.6])
    ]
    assert found["confusion"] == [[2, 0], [1, 2]]
    assert found["span"] == pytest.approx([-3.3, 2.3])
    assert [sum(line) for line in found["histogram"]] == [2, 3]
    assert found["histogram"][1][-3] == 1  # 2.0, of bins 0.14 wide
    one_answer = score_shapes(np.array([True, True]), np.array([0.0, np.inf]))
    assert (one_answer["roc"], one_answer["histogram"][1][-1]) == (None, 1)


def test_infinite_scores_are_one_tie_and_stay_yes_or_no() -> None:
    far = np.array([np.inf, np.inf, 0.0004, -np.inf, -np.inf, np.nan])
    assert _short(far) == [1e6, 1e6, 0.001, -1e6, -1e6, None]
    found = score_shapes(np.array([True, False, True, False]), np.array([np.inf, np.inf, -np.inf, -np.inf]))
    assert found["roc"] == [[0, 0], [0.5, 0.5], [1, 1]]
    assert found["recall"] == [[0.5, 0.5], [1, 0.5]]


@pytest.mark.parametrize("shown", ["natural", "as_given"])
def test_titles_are_those_of_the_prompt_and_searched_in_both_orders(tmp_path: Path, shown: str) -> None:
    invented = invent_comparison(tmp_path, users=8, films=30)
    path = invented.folder.predictions
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = json.loads(lines[0]) | {"candidate_title": "Avventura,  L' (1960)"}
    path.write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n", encoding="utf-8")
    comparison = json.loads(invented.folder.comparison.read_text(encoding="utf-8"))
    comparison["prompt"] = PromptSpec(titles=shown).to_json()  # type: ignore[arg-type]
    invented.folder.comparison.write_text(json.dumps(comparison), encoding="utf-8")
    data = page_data(load_analysis(invented.folder.root))
    place = data["rows"]["film"][0]
    names = ["L'Avventura (1960)", "Avventura,  L' (1960)"]
    assert [data["titles"][place], data["other_titles"].pop(str(place))] == (
        names if shown == "natural" else names[::-1]
    )
    assert list(data["other_titles"].values()) == ["Matrix, The (1999)" if shown == "natural" else "The Matrix (1999)"]


def test_titles_cannot_leave_the_data(page: str) -> None:
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<script>alert(1)" not in page
    assert "onerror=" not in page.replace('onerror=\\"', "")  # only as JSON text, its quotes escaped
    assert set(HOSTILE_TITLES) <= set(data_of(page)["titles"])


def test_embedded_json_is_json_without_angle_brackets() -> None:
    value = {"a": ["</script>", "<!--", "&amp;", "\u2028", "é"]}
    assert json.loads(embed_json(value)) == value
    assert not set("<>&") & set(embed_json(value))


def test_the_same_comparison_gives_the_same_page(invented: Invented, page: str) -> None:
    assert write_report(invented.folder.root).read_text() == page


def test_buckets_on_the_page_are_those_of_the_comparison(invented: Invented, page: str) -> None:
    """The page rounds scores to three decimals; no decision may turn."""
    rows = data_of(page)["rows"]
    analysis = load_analysis(invented.folder.root)
    for role, column in (("reference", "base"), ("candidate", "adapter")):
        assert [value > 0 for value in rows[role]] == analysis.table[column].said_yes().tolist()


def test_the_prompt_pattern_is_the_renderers(page: str) -> None:
    pattern = prompt_pattern()

    def put(text: str, **values: object) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), text)

    titles, stars = ["Heat (1995)", "3 {title} 1"], [4.5, 3.0]
    lines = [
        put(pattern["line"], number=n, title=title, stars=f"{star:g}")
        for n, (title, star) in enumerate(zip(titles, stars, strict=True), 1)
    ]
    written = pattern["before"] + "\n".join(lines) + put(pattern["after"], candidate="Ran (1985)")
    assert written == render_input(titles, stars, "Ran (1985)")
    bare = [put(pattern["bare_line"], number=n, title=title) for n, title in enumerate(titles, 1)]
    written = pattern["before"] + "\n".join(bare) + put(pattern["after"], candidate="Ran (1985)")
    assert written == render_input(titles, None, "Ran (1985)")


def test_curves_of_the_run_if_there_is_one(tmp_path: Path) -> None:
    assert training_curves({}) == []
    assert training_curves({"run_dir": str(tmp_path)}) == []
    lines = [{"step": step, "loss": 1 / step} for step in range(1, 2001)]
    lines += [{"step": 10, "eval_auc": 0.6}, {"step": 20, "eval_auc": float("nan")}, {"step": 30, "eval_auc": 0.7}]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    loss, auc = training_curves({"run_dir": str(tmp_path)})
    assert loss["name"] == "Training loss"
    assert 100 < len(loss["points"]) <= 500
    assert auc["points"] == [[10, 0.6], [30, 0.7]]
