"""A study of images on the page: what was counted, a contact sheet, and nothing hidden or unescaped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import images_fixture as made
import pytest
from test_report_page import EVIL, Page

from keel.corpus.images import named, prepare
from keel.corpus.images.items import open_images
from keel.files import read_json
from keel.report.artefacts import read
from keel.report.class_balance import MOST_BARS, ClassBalance
from keel.report.evidence import change_our_mind
from keel.report.images import images
from keel.report.page import report
from keel.report.piles import Read
from keel.report.sheet import CHARACTERS, GROUPS, chosen, sheet_of
from keel.study import load


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.pairs(tmp_path_factory.mktemp("pairs"))


def seen(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / "evidence/images.json", "keel.images/1"))


def section(folder: Path) -> Page:
    return Page(images(read(folder, pictures=True)))


def pictures(page: Page) -> list[dict[str, str | None]]:
    return [attrs for tag, attrs in page.seen if tag == "img"]


def test_classes_are_shown_with_their_images_and_counted_on_both_sides(classes: Path) -> None:
    page = section(classes)
    found = seen(classes)
    for row in found["classes"]["each"]:
        assert re.search(rf"{row['label']}\s+{row['images']}", page.words)
    assert len(pictures(page)) == sum(min(8, row["images"]) for row in found["classes"]["each"])
    for words in ("36 wide, 36 high", "PNG 40", "RGB 40", "0 of 40, laid on white", "No file is broken or left out",
                  "red 0.", f"{found['split']['heldout_images']} (", "near, in"):  # fmt: skip
        assert words in page.words, words
    assert len([tag for tag, _ in page.seen if tag == "svg"]) == 2, "one figure, wide and narrow"


def test_captions_stand_below_their_pictures(pairs: Path) -> None:
    page = section(pairs)
    shown = pictures(page)
    assert len(shown) == 18
    for picture in shown:
        caption = (pairs / "scenes" / str(picture["alt"])).with_suffix(".txt").read_text().strip()
        assert caption in page.words
    assert "30, " in page.words
    assert "words: " in page.words
    assert not any(tag == "svg" for tag, _ in page.seen), "nothing has a class"


def test_the_store_of_runs_shows_the_same_pictures_as_the_files(classes: Path, tmp_path: Path) -> None:
    folder = made.classes(tmp_path)
    study, found = load(folder), seen(folder)
    of_files = sheet_of(folder, study, found)
    prepare.prepare(folder, open_images(folder, study.data), named.named(found))
    for path in (folder / "scenes").rglob("*.png"):
        path.unlink()
    of_store = sheet_of(folder, study, found)
    assert of_store.groups == of_files.groups
    assert (of_store.source, of_files.source) == ("as runs read them", "as the files hold them")


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    folder = made.classes(tmp_path)
    first = sorted((folder / "scenes" / "circle").glob("*.png"))[0]
    first.write_bytes(first.read_bytes()[:40])
    assert "1 of the images chosen cannot be read" in section(folder).words
    for path in (folder / "scenes").rglob("*.png"):
        path.unlink()
    page = section(folder)
    assert "No picture is shown: " in page.words
    assert "images40 in 40 image files" in page.words, "what was counted stands"


def test_no_pillow_is_said(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.report.sheet.find_spec", lambda name: None)
    assert "pillow is not installed" in section(classes).words


def test_files_left_out_stand_with_their_reasons(classes: Path, tmp_path: Path) -> None:
    folder = made.classes(tmp_path)
    tree = seen(folder)
    bad = {"what": "the image is truncated or damaged", "why": EVIL, "where": f"scenes/{EVIL}.png"}
    tree["broken"] = {"count": 3, "kinds": {bad["what"]: 2, "the file is empty": 1}, "first": [bad]}
    (folder / "evidence/images.json").write_text(json.dumps(tree))
    page = section(folder)
    assert "3 left out" in page.words
    assert "the image is truncated or damaged2the file is empty1" in page.words
    assert EVIL in page.words
    assert "script" not in {tag for tag, _ in page.seen}


def test_hostile_captions_labels_and_names_stay_words(tmp_path: Path) -> None:
    folder = made.pairs(tmp_path)
    for place, path in enumerate(sorted((folder / "scenes").glob("*.txt"))):
        path.write_text(f"{EVIL} {place}")
    poisoned = seen(folder)
    poisoned["formats"], poisoned["modes"], poisoned["notes"] = {EVIL: 1}, {EVIL: EVIL}, {EVIL: 3}
    poisoned["alpha"]["background"] = f'white"{EVIL}'
    poisoned["captions"]["begin"] = {"words": EVIL, "share": 0.5}
    poisoned["size"]["side_pixels"] = EVIL
    (folder / "evidence/images.json").write_text(json.dumps(poisoned))
    report(folder)
    page = Page((folder / "report.html").read_text(encoding="ascii"))
    tags = {tag for tag, _ in page.seen}
    assert "script" not in tags
    assert {attrs["src"] for attrs in pictures(page)} == {src for attrs in pictures(page) if (src := attrs["src"])
                                                         and src.startswith("data:image/")}  # fmt: skip
    assert not any(name.startswith("on") for _, attrs in page.seen for name in attrs)
    assert page.words.count("<script>alert(1)</script>") > 18


def test_what_look_says_aloud_speaks_against_the_answer(tmp_path: Path) -> None:
    folder = made.classes(tmp_path)
    tree = seen(folder)
    tree["problems"] = [{"what": "2 classes have one image", "why": "cat, dog", "fix": "bring more", "where": "[data]"}]
    (folder / "evidence/images.json").write_text(json.dumps(tree))
    assert "images: 2 classes have one image; cat, dog; bring more." in Page(change_our_mind(read(folder))).words


class Large:
    """Noise in many classes: what no picture format makes small."""

    words = "made here"

    def __init__(self, count: int, each: int) -> None:
        self.labels: list[str | None] = [f"class {number % count:03d}" for number in range(count * each)]

    def read(self, number: int) -> Read:
        import numpy as np
        from pictures import encoded
        from PIL import Image

        noise = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        return Read(str(number), encoded(Image.fromarray(noise)), None)


def test_a_sheet_is_bounded_and_says_what_it_leaves_out() -> None:
    sheet = chosen(Large(200, 3), "white")
    assert sum(len(tile.uri) for group in sheet.groups for tile in group.tiles) <= CHARACTERS
    shown = len(sheet.groups)
    assert GROUPS // 2 < shown <= GROUPS
    assert f"{shown} of 200 classes are shown" in sheet.notes[0]
    assert [group.label for group in sheet.groups][:11:10] == ["class 000", "class 086"]
    counts = [len(group.tiles) for group in sheet.groups]
    assert counts == sorted(counts, reverse=True), "from the first class to the last"
    assert max(counts) - min(counts) <= 1, "none has a second before all have one"
    assert "left out to keep this page small" in sheet.notes[-1]


def test_many_classes_show_both_ends_and_the_rest_is_counted() -> None:
    each = [{"label": f"c{place}", "images": 900 - place, "train": 800 - place, "heldout": 100} for place in range(300)]
    figure = ClassBalance.of({"classes": {"count": 1300, "each": each}})
    assert figure is not None
    assert len(figure.classes) == MOST_BARS
    assert (figure.classes[0].label, figure.classes[-1].label) == ("c0", "c299")
    assert figure.note == "The 12 largest and the 12 smallest of 300. images.json lists the 300 largest of 1,300."
    assert ClassBalance.of({"classes": None}) is None
