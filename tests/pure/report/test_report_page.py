"""The page: answer first, whole, safe, small, without script or network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_fixture import build, points, trunk_of

from keel.errors import StudyError
from keel.files import write_json
from keel.report.artefacts import read
from keel.report.evidence import change_our_mind
from keel.report.inputs import numbers
from keel.report.page import report

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
VOID = {"meta", "link", "br", "hr", "img", "input"}
HEADINGS = [
    "How we know", "What would change our mind", "The record", "The runs", "The law", "The plan's numbers", "The study",
    "The corpus", "The machine", "The environment", "Sources", "To make this again",
]  # fmt: skip


class Page(HTMLParser):
    """Checks balance; collects tags, attributes, headings and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data
        if self.open[-1:] == ["h2"]:
            self.headings[-1] += data


def page_of(folder: Path) -> Page:
    """Make the report and parse it."""
    report(folder)
    return Page((folder / "report.html").read_text(encoding="ascii"))


def doubts_of(folder: Path) -> str:
    """The words of one section, for what needs no drawing."""
    return Page(change_our_mind(read(folder))).words


@pytest.fixture(scope="module")
def page(whole: Path) -> Page:
    return page_of(whole)


def test_the_answer_comes_first_and_the_sections_follow_in_order(page: Page) -> None:
    first = page.words.index(
        "Width 64 (203k params) on 1.6M tokens: 1.51 bits per byte, 90\xa0% interval 1.47\u20131.55"
    )
    assert first < page.words.index("How we know")
    assert "measured 1.51: hit." in page.words
    assert "4 of 4 sealed forecasts held" in page.words
    assert page.headings == HEADINGS


def test_every_station_shows(page: Page) -> None:
    for words in (
        "stands in the first line of the run's log", "past misses", "Step Law", "N is 300x below it", "yours",
        "no source",
        "E + A N^-alpha + B D^-beta", "en 93 %", "12 documents exact", "254 kB, by document", "a pretended processor",
        "keel plan --set train.seed=3", "draft replies (text-generation)", "width 96",
    ):  # fmt: skip
        assert words in page.words, words
    cited = {attrs["href"] for tag, attrs in page.seen if tag == "a"}
    assert "https://arxiv.org/abs/2203.15556" in cited
    assert "https://example.org/timing?a=1&b=2" in cited


def test_no_script_no_network_and_small(whole: Path, page: Page) -> None:
    text = (whole / "report.html").read_text(encoding="ascii")
    assert len(text) < 1_000_000
    assert "<script" not in text.lower()
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    for tag, attrs in page.seen:
        assert tag not in ("script", "link", "iframe", "object", "embed", "img", "image", "use", "base", "form")
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert tag == "a" or name not in attrs
    assert any(
        attrs.get("content", "") == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        for _, attrs in page.seen
    )


def test_figures_are_named_for_those_who_cannot_see_them(page: Page) -> None:
    figures = [attrs for tag, attrs in page.seen if tag == "svg"]
    assert len(figures) == 8
    ids = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    for figure in figures:
        assert figure["role"] == "img"
        assert set(str(figure["aria-labelledby"]).split()) <= set(ids)
    assert not any("#01fe" in str(value) for _, attrs in page.seen for value in attrs.values())


def test_the_same_artefacts_give_the_same_bytes(copy: Path) -> None:
    report(copy)
    once = (copy / "report.html").read_bytes()
    report(copy)
    assert (copy / "report.html").read_bytes() == once


def _poison(value: Any, key: str = "") -> Any:
    """Every text of an artefact made hostile, but for those that other artefacts refer to."""
    if isinstance(value, dict):
        return {name: _poison(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_poison(item, key) for item in value]
    if isinstance(value, str) and key not in ("schema", "id", "run", "trunk", "kind", "sealed_utc", "started_utc"):
        return value + EVIL
    return value


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    folder = build(tmp_path, name="a<b>&\"'study")
    for path in folder.rglob("*.json"):
        path.write_text(json.dumps(_poison(json.loads(path.read_text()))))
    study = (folder / "study.toml").read_text()
    toml_evil = EVIL.replace('"', '\\"')
    (folder / "study.toml").write_text(study.replace("draft replies", toml_evil).replace("texts/*.jsonl", toml_evil))
    page = page_of(folder)
    assert {tag for tag, _ in page.seen}.isdisjoint({"script", "img"})
    assert page.words.count("<script>alert(1)</script>") > 100


def test_hostile_run_ids_and_paths_stay_words(tmp_path: Path) -> None:
    folder = build(tmp_path)
    evil = "w16 <script>alert(1)<!-- \"' &amp;"
    (folder / "runs" / points()[0][0]).rename(folder / "runs" / evil)
    for path in [folder / "plan.json", folder / "fit.json", *folder.glob("runs/*/*.json")]:
        tree = json.loads(path.read_text().replace(points()[0][0], json.dumps(evil)[1:-1]))
        path.write_text(json.dumps(tree))
    page = page_of(folder)
    assert "script" not in {tag for tag, _ in page.seen}
    assert evil in page.words


def test_odd_characters_survive(copy: Path) -> None:
    plan = json.loads((copy / "plan.json").read_text())
    plan["numbers"][0]["name"] = "caf\u00e9 \udc80 \x1b[31m \u65e5\u672c"
    (copy / "plan.json").write_text(json.dumps(plan))
    assert "caf\u00e9 \ufffd \ufffd[31m \u65e5\u672c" in Page(numbers(read(copy))).words


@pytest.mark.parametrize(
    ("gone", "words", "verb"),
    [
        ("evidence/corpus.json", "The corpus was not measured", "keel look"),
        ("evidence/machine.json", "The machine was not measured", "keel look"),
        ("fit.json", "No law is fitted", "keel fit"),
        ("plan.json", "There is no plan", "keel plan"),
    ],
)
def test_a_missing_station_is_named_with_its_verb(copy: Path, gone: str, words: str, verb: str) -> None:
    (copy / gone).unlink()
    said = doubts_of(copy)
    assert re.search(f"{words}[^:]*: {verb}", said)


def test_a_plan_alone_makes_a_report(tmp_path: Path) -> None:
    folder = build(tmp_path, runs=0)
    answer = report(folder)
    assert answer.result["answer"].startswith("Nothing is measured yet. The plan: 18 runs in about ")
    assert [item["verb"] for item in answer.result["missing"]] == ["keel run", "keel fit"]
    page = Page((folder / "report.html").read_text())
    assert "svg" not in {tag for tag, _ in page.seen}
    assert points()[-1][0] in page.words


def test_a_study_alone_makes_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "study.toml").write_text('[data]\ntrain = "x.txt"\n')
    answer = report(folder)
    assert answer.result["answer"] == "Nothing is measured or planned yet."
    assert [item["verb"] for item in answer.result["missing"]] == [
        "keel look", "keel look", "keel plan", "keel run", "keel fit",
    ]  # fmt: skip


def test_all_foreign_artefacts_are_named_at_once(copy: Path) -> None:
    write_json(copy / "fit.json", "keel.fit/0", {})
    (copy / "runs" / points()[0][0] / "result.json").write_text("not JSON")
    with pytest.raises(StudyError) as caught:
        report(copy)
    assert {Path(problem.where).name for problem in caught.value.problems} == {"fit.json", "result.json"}


def test_what_speaks_against_the_answer_is_said(tmp_path: Path) -> None:
    folder = build(tmp_path, miss=True)
    name, target = points()[3][0], points()[-1][0]
    path = folder / "runs" / name / "result.json"
    tree = json.loads(path.read_text()) | {"ok": False, "bits_per_byte": None}
    write_json(path, "keel.result/1", tree | {"gate": {"name": "diverged", "why": "loss is not finite"}})
    (folder / "evidence" / "corpus.json").write_text((folder / "evidence" / "corpus.json").read_text() + "\n")
    with (folder / "runs" / name / "metrics.jsonl").open("a") as file:
        file.write('{"step": 301, "tok')
    said = doubts_of(folder)
    assert re.search(rf"miss {target}: measured 1.6\d+, forecast", said)
    assert f"failed gate {name}: diverged: loss is not finite" in said
    assert "changed evidence/corpus.json is not what the plan read" in said
    assert f"{name}: 1 line of its log cannot be read" in said


def test_a_broken_seal_is_said(copy: Path) -> None:
    path = copy / "runs" / points()[-1][0] / "forecast.json"
    path.write_text(path.read_text().replace('"level": 0.9', '"level": 0.8'))
    assert "seal broken" in doubts_of(copy)


def test_a_refusal_is_said(tmp_path: Path) -> None:
    folder = build(tmp_path, runs=2)
    fit = json.loads((folder / "fit.json").read_text())
    no = {"what": "no forecast at 4.8e14 FLOP", "why": "two runs", "fix": "run three more"}
    write_json(folder / "fit.json", "keel.fit/1", fit | {"forecasts": [{"refusal": no}], "laws": [], "curve": []})
    answer = report(folder)
    assert answer.result["answer"] == "No forecast: no forecast at 4.8e14 FLOP."
    assert "refused no forecast at 4.8e14 FLOP: two runs. run three more" in doubts_of(folder)


def test_forty_runs_stay_under_a_megabyte(copy: Path) -> None:
    source = copy / "runs" / trunk_of(16)
    for place in range(30):
        target = copy / "runs" / f"copy-{place}"
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    assert report(copy).result["bytes"] < 1_000_000


def test_altair_is_not_imported_before_something_is_drawn() -> None:
    modules = "sys, keel.report.page, keel.report.status, keel.report.picture"
    code = f"import {modules}; print({{'altair', 'torch'}} & {{*sys.modules}})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "set()"
