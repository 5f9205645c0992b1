"""Generated scenes: what a caption says is found in the pixels, and what is known of captions is so by counting."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import FAKE_MACHINE, study_error
from pictures import looked
from PIL import Image
from scene_reader import CELLS, is_true, nearest

from keel.corpus.look import look
from keel.corpus.readers import Document
from keel.corpus.scene_pictures import NOISE, RGB, WEAK_NOISE, drawn, mask, picture, write
from keel.corpus.scenes import (
    COLOURS,
    GROUNDS,
    SHAPES,
    SIZES,
    Options,
    Scene,
    Thing,
    caption,
    pairs_of,
    relations,
    scene,
    truth,
)  # fmt: skip
from keel.corpus.split import is_heldout
from keel.files import read_json, write_text
from keel.plan.verb import plan
from keel.study import load

SHARP = [Options(), Options(style="outlined")]
LOOKS = list(itertools.product(SIZES, COLOURS, SHAPES))


# ---- captions are true ----


@pytest.mark.parametrize("options", SHARP, ids=["filled", "outlined"])
def test_captions_are_true_of_the_pixels_and_of_no_other(options: Options) -> None:
    words = [caption(scene(5, number)) for number in range(60)]
    images = [picture(5, number, options) for number in range(60)]
    assert {len(scene(5, number).things) for number in range(60)} == {1, 2, 3}
    for one, image in zip(words, images):
        assert is_true(one, image), one
    for shift in (1, 7):
        for one, other, image in zip(words, words[shift:], images):
            assert is_true(other, image) == (one == other), (one, other)


@pytest.mark.parametrize(("right", "wrong"), [
    ("above and left of", "above and right of"), ("small red", "small pink"), ("large blue", "small blue"),
    ("circle", "square"), ("on white", "on black"), ("above and left of", "left of"),
])  # fmt: skip
def test_the_reader_says_no_to_one_wrong_word(right: str, wrong: str) -> None:
    made = Scene("white", (Thing("small", "red", "circle", 0, 0), Thing("large", "blue", "cross", 1, 2)))
    words = caption(made)
    assert is_true(words, drawn(made, Options()))
    assert right in words
    assert not is_true(words.replace(right, wrong), drawn(made, Options()))


@pytest.mark.parametrize("options", SHARP, ids=["filled", "outlined"])
def test_every_thing_in_every_cell_is_read(options: Options) -> None:
    for number, look_ in enumerate(LOOKS):
        made = Scene(GROUNDS[number % 2], (Thing(*look_, *CELLS[number % 9]),))
        assert is_true(caption(made), drawn(made, options)), caption(made)


def test_styles_differ_within_and_colours_are_what_they_are_called() -> None:
    made = Scene("white", (Thing("large", "blue", "square", 1, 1),))
    assert [nearest(drawn(made, options)[24, 24]) for options in SHARP] == ["blue", "white"]
    assert [int(np.argmax(RGB[name])) for name in ("red", "green", "blue")] == [0, 1, 2]
    assert [int(np.argmin(RGB[name])) for name in ("cyan", "purple", "yellow")] == [0, 1, 2]


# ---- given the image nothing is left to say ----


@pytest.mark.parametrize(("style", "side"), list(itertools.product(("filled", "outlined"), (36, 48, 96, 960))))
def test_no_two_looks_share_their_pixels(style: str, side: int) -> None:
    masks = {mask(shape, size, side // 3, style).tobytes() for size, shape in itertools.product(SIZES, SHAPES)}
    assert len(masks) == len(SIZES) * len(SHAPES)


def test_bounded_noise_cannot_make_one_scene_look_like_another() -> None:
    gaps = [max(abs(a - b) for a, b in zip(*two)) for two in itertools.combinations(RGB.values(), 2)]
    assert min(gaps) > 2 * NOISE
    clean = drawn(scene(0, 1), Options(style="outlined")).astype(int)
    added = picture(0, 1, Options(style="outlined")) - clean
    assert 0.8 * NOISE < np.abs(added).max() <= NOISE
    assert truth().bits_given_image == 0.0


def test_weak_images_are_blocks_under_noise_that_hides_them() -> None:
    weak = Options(weak=True)
    made = Scene("white", (Thing("small", "blue", "circle", 1, 1),))
    blocks = drawn(made, weak).reshape(12, 4, 12, 4, 3)
    np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[:, :1, :, :1], blocks.shape))
    sharp = drawn(made, Options()).reshape(12, 4, 12, 4, 3).astype(float)
    np.testing.assert_allclose(blocks[:, 0, :, 0], sharp.mean(axis=(1, 3)), atol=1)
    noise = picture(3, 0, weak) - drawn(scene(3, 0), weak).astype(int)
    assert 2 * NOISE < np.abs(noise).max() <= WEAK_NOISE
    assert truth(weak).bits_given_image is None
    hit = sum(is_true(caption(scene(5, number)), picture(5, number, weak)) for number in range(30))
    assert hit < 6


# ---- a pure function ----


@pytest.mark.parametrize(("options", "digest"), [
    (Options(), "7d6cfc88dcf6"), (Options(style="outlined"), "fe8b997e6cbc"),
    (Options(weak=True, pairs="unseen", side=96), "c326002712b6"),
])  # fmt: skip
def test_the_same_numbers_draw_the_same_pixels_for_ever(options: Options, digest: str) -> None:
    """Digests of the pixels, made once: no library's version, machine or order may change them."""
    pixels = b"".join(picture(11, number, options).tobytes() for number in range(4))
    assert hashlib.sha256(pixels).hexdigest()[:12] == digest
    assert caption(scene(11, 0)) == "a large purple square at the top left on white"


def test_a_scene_hangs_on_seed_and_number_and_not_on_how_it_is_drawn() -> None:
    shown = [Options(), Options(style="outlined"), Options(weak=True, side=96), Options(thin=True)]
    assert len({tuple(scene(1, number, options) for number in range(20)) for options in shown}) == 1
    assert len({scene(seed, number) for seed in range(3) for number in range(20)}) == 60
    assert len({picture(1, 0, options).tobytes() for options in shown}) == 3


# ---- combinations held out ----


def test_pairs_of_one_side_are_never_on_the_other_and_every_word_is_on_both() -> None:
    sides = {}
    for which in ("seen", "unseen"):
        things = [thing for number in range(400) for thing in scene(2, number, Options(pairs=which)).things]
        sides[which] = {(thing.colour, thing.shape) for thing in things}
        assert sides[which] == set(pairs_of(which))
        assert {colour for colour, _ in sides[which]} == set(COLOURS)
        assert {shape for _, shape in sides[which]} == set(SHAPES)
    assert not sides["seen"] & sides["unseen"]
    assert sides["seen"] | sides["unseen"] == set(pairs_of("all"))


def test_groups_are_combinations_and_no_group_lies_on_both_sides(tmp_path: Path) -> None:
    groups = {}
    for which in ("seen", "unseen"):
        write(tmp_path / which, 60, 0, Options(pairs=which, most_objects=2), folders="combination")
        groups[which] = {path.parent.name for path in (tmp_path / which).rglob("*.png")}
    pairs = {which: {pair for group in found for pair in group.split("+")} for which, found in groups.items()}
    assert pairs["seen"]
    assert not pairs["seen"] & pairs["unseen"]
    swapped = Scene("white", (Thing("small", "red", "circle", 0, 0), Thing("large", "blue", "cross", 1, 2)))
    assert swapped.combination == swapped._replace(things=swapped.things[::-1]).combination == "blue-cross+red-circle"


def test_the_split_of_a_study_by_combination_holds_whole_pairs_out(tmp_path: Path) -> None:
    write(tmp_path / "data", 120, 3, Options(most_objects=1), folders="combination")
    split = looked(tmp_path, group="folder", text="twin")["split"]
    sides: dict[bool, set[str]] = {False: set(), True: set()}
    for path in sorted((tmp_path / "data").rglob("*.png")):
        pair = path.parent.name
        sides[is_heldout(split, Document(path.name, "", pair, None))].add(pair)
    assert (split["by"], len(sides[False]) + len(sides[True])) == ("group", len(sides[False] | sides[True]))
    assert sides[True]
    assert not sides[False] & sides[True]


# ---- what is known, by counting ----


def every(options: Options) -> list[tuple[float, str]]:
    """Every scene with its chance."""
    found = []
    counts = range(options.least_objects, options.most_objects + 1)
    looks = [(size, *pair) for size in SIZES for pair in pairs_of(options.pairs)]
    for count in counts:
        here = [
            caption(Scene(ground, tuple(Thing(*look_, *cell) for look_, cell in zip(each, cells))), options.thin)
            for ground in GROUNDS
            for cells in itertools.combinations(CELLS, count)
            for each in itertools.product(looks, repeat=count)
        ]
        found += [(1 / len(counts) / len(here), words) for words in here]
    return found


@pytest.mark.parametrize("options", [
    Options(most_objects=1), Options(most_objects=2, pairs="unseen"), Options(2, 2, "unseen"),
    Options(most_objects=2, pairs="unseen", thin=True), Options(most_objects=1, pairs="seen", thin=True),
])  # fmt: skip
def test_counts_and_entropy_by_the_grammar_are_those_of_every_scene(options: Options) -> None:
    chances: Counter[str] = Counter()
    scenes = every(options)
    for chance, words in scenes:
        chances[words] += chance
    found = truth(options)
    assert (found.scenes, found.captions) == (len(scenes), len(chances))
    assert found.caption_bits == pytest.approx(-sum(p * math.log2(p) for p in chances.values()), rel=1e-9)
    assert found.caption_bytes == pytest.approx(sum(p * len(words) for words, p in chances.items()), rel=1e-9)
    assert found.alike == pytest.approx(sum(p * p for p in chances.values()), rel=1e-9)


def test_three_things_by_hand() -> None:
    """log2 (16^3 x 2) and the entropy of 84 triples of cells, whose pairs of relations are no uniform ones."""
    found, where = truth(Options(3, 3, "unseen")), Counter[tuple[str, ...]]()
    for cells in itertools.combinations(CELLS, 3):
        where[tuple(relations(list(cells)))] += 1
    assert where["left of", "left of"] == where["above", "above"] == 3
    bits = -sum(times / 84 * math.log2(times / 84) for times in where.values())
    assert found.caption_bits == pytest.approx(13 + bits, rel=1e-12)
    assert (found.scenes, found.captions) == (2 * 16**3 * 84, 2 * 16**3 * len(where))


def test_draws_come_with_the_chances_that_the_entropy_counts_on() -> None:
    """2000 draws: how many things, grounds, cells, sizes, pairs each within five standard deviations of uniform."""
    scenes = [scene(9, number) for number in range(2000)]
    things = [thing for each in scenes for thing in each.things]
    drawn_of: list[tuple[list[object], int]] = [
        ([len(each.things) for each in scenes], 3), ([each.ground for each in scenes], 2),
        ([(thing.row, thing.column) for thing in things], 9), ([thing.size for thing in things], 2),
        ([(thing.colour, thing.shape) for thing in things], 32),
    ]  # fmt: skip
    for values, kinds in drawn_of:
        times, p = Counter(values), 1 / kinds
        assert len(times) == kinds
        most = 5 * math.sqrt(len(values) * p * (1 - p))
        assert max(abs(count - len(values) * p) for count in times.values()) < most


def test_a_blind_guess_is_what_chance_gives() -> None:
    """8 colours alike: (1 + 9 / 8) / 10; and 3000 blind picks among 10 thin captions, within five deviations."""
    options = Options(most_objects=1, thin=True)
    expected = truth(options).guess(10)
    assert expected == pytest.approx(0.2125)
    words = [caption(scene(4, number, options), thin=True) for number in range(3000)]
    sets = [words[start : start + 10] for start in range(0, 3000, 10)]
    shares = [sum(one == other for one in each for other in each) / 100 for each in sets]
    assert np.mean(shares) == pytest.approx(expected, abs=5 * np.std(shares) / math.sqrt(len(shares)))
    assert truth().guess(100) == pytest.approx(0.01, rel=0.02)


# ---- written, looked at, planned ----


def test_a_written_folder_is_looked_at_and_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.corpus.look.machine", lambda *_: FAKE_MACHINE)
    options = Options(most_objects=1)
    write(tmp_path / "data", 90, 0, options, folders="shape")
    words = [caption(scene(0, number, options)) for number in range(90)]
    study = 'data = { train = "data", image = "file", text = "twin", label = "folder" }\n'
    write_text(tmp_path / "study.toml", study)
    look(tmp_path, load(tmp_path))
    found = read_json(tmp_path / "evidence/images.json", "keel.images/1")
    assert (found["kind"], found["images"], found["broken"]["count"]) == ("image-text", 90, 0)
    assert (found["captions"]["distinct"], found["captions"]["count"]) == (len(set(words)), 90)
    assert found["captions"]["bytes"] == sum(map(len, words))
    shapes = Counter(scene(0, number, options).things[0].shape for number in range(90))
    assert {row["label"]: row["images"] for row in found["classes"]["each"]} == shapes
    assert found["width"]["max"] == found["height"]["max"] == 48
    few = load(tmp_path, ("train.batch_tokens=1152",))
    made = plan(tmp_path, few, "2026-01-01")
    assert (made.status, made.result["objective"], made.result["tokenizer"]) == ("ok", "clip", {"vocabulary": 350})


def test_files_hold_the_pixels_and_go_on_where_others_ended(tmp_path: Path) -> None:
    options = Options(style="outlined", thin=True)
    write(tmp_path, 4, 8, options)
    write(tmp_path, 2, 8, options, first=4)
    for number in range(6):
        path = tmp_path / f"{number:06d}.png"
        np.testing.assert_array_equal(np.asarray(Image.open(path)), picture(8, number, options))
        assert path.with_suffix(".txt").read_text() == caption(scene(8, number, options), thin=True) + "\n"
    assert len(list(tmp_path.iterdir())) == 12


def test_what_cannot_be_drawn_is_said_at_once(tmp_path: Path) -> None:
    with study_error("2 to 1 objects", "pairs 'odd'", "style 'oil'", "a side of 50 pixels"):
        write(tmp_path, 1, 0, Options(2, 1, "odd", style="oil", side=50))  # type: ignore[arg-type]
    with study_error("has no one shape", "a class is of a single thing"):
        write(tmp_path, 1, 0, folders="shape")
    (tmp_path / "file").write_text("")
    with study_error("cannot write"):
        write(tmp_path / "file", 1, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
