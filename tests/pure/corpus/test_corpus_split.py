"""The split: deterministic, near the wanted share, never through a group or a cluster of repeats."""

from __future__ import annotations

import numpy as np
import pytest

from keel.corpus import split
from keel.corpus.readers import Document
from keel.corpus.split import Units, choose, is_heldout, key_hash, mask, pieces, place, time_key, together
from keel.errors import StudyError


def units(documents: list[Document], timed: bool = False) -> Units:
    made = Units()
    for document in documents:
        made.add(document, len(document.text.encode()), timed)
    return made


def documents(sizes: list[int], groups: list[str] | None = None, times: list[str] | None = None) -> list[Document]:
    return [
        Document(f"f.jsonl#{number}", "x" * size, groups[number] if groups else None, times[number] if times else None)
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("count", [2, 3, 7, 40, 250, 5000])
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_hold_something_and_the_share_is_near(count, seed):
    sizes = np.random.default_rng(seed).lognormal(8, 1, count).astype(int) + 1
    found = documents(sizes.tolist())
    made = choose(units(found), "document", {})
    held = [is_heldout(made, document) for document in found]
    total = int(sizes.sum())
    wanted = min(total * max(0.05, min(0.08, 1e5 / total)), 2e7)
    assert 0 < sum(held) < count
    out = int(sizes[held].sum())
    assert made["fraction"] == pytest.approx(out / total)
    if count >= 250:
        assert wanted <= out <= 1.3 * wanted
    assert mask(units(found), made).tolist() == held


def test_one_giant_is_not_held_out():
    for giant in range(20):
        sizes = [1000] * 20
        sizes[giant] = 1_000_000
        found = documents(sizes)
        made = choose(units(found), "document", {})
        assert not is_heldout(made, found[giant])


def test_large_corpora_hold_out_twenty_megabytes():
    made = choose(units(documents([1_000_000] * 100)), "document", {}, scale=50.0)
    assert made["fraction"] == pytest.approx(20e6 / 50 / 100e6, rel=1.6)


def test_groups_are_never_cut():
    found = documents([1000] * 300, [f"g{number % 30}" for number in range(300)])
    made = choose(units(found), "group", {})
    sides: dict[str | None, set[bool]] = {}
    for document in found:
        sides.setdefault(document.group, set()).add(is_heldout(made, document))
    assert all(len(side) == 1 for side in sides.values())


def test_later_documents_move_no_other():
    found = documents([1000] * 200)
    made = choose(units(found), "document", {})
    before = [is_heldout(made, document) for document in found]
    later = [*found, *documents([5000] * 300)[200:]]
    assert [is_heldout(made, document) for document in later][:200] == before


@pytest.mark.parametrize("seed", range(5))
def test_clusters_stay_on_one_side(seed):
    rng = np.random.default_rng(seed)
    found = documents([1000] * 100)
    clusters = [rng.choice(100, 4, replace=False).tolist() for _ in range(8)]
    moved = together((key_hash(found[number].key) for number in cluster) for cluster in clusters)
    made = choose(units(found), "document", moved)
    for cluster in clusters:
        assert len({is_heldout(made, found[number]) for number in cluster}) == 1
    assert mask(units(found), made).tolist() == [is_heldout(made, document) for document in found]
    assert not set(moved) & set(moved.values())


def test_salts_give_other_places_and_are_uniform():
    hashes = [key_hash(str(number)) for number in range(2000)]
    for salt in (split.SALT, split.SALT + "/1", split.SALT + "/63"):
        places = np.array([place(hashed, salt) for hashed in hashes])
        assert places.min() >= 0
        assert places.max() < 1
        assert np.abs(np.sort(places) - np.linspace(0, 1, 2000)).max() < 0.04
    assert place(hashes[0], split.SALT + "/1") != place(hashes[0])


def test_times_without_a_zone_are_utc():
    assert time_key("1970-01-01T05:00") == time_key("1970-01-01T06:00+01:00") == 5 * 3600


@pytest.mark.parametrize(
    "times",
    [
        [f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}" for number in range(120)],
        [f"2024-01-01T00:00:00.{number:06d}+01:00" for number in range(120)],
        [str(8 + number) for number in range(120)],
        [f"{number / 7}" for number in range(120)],
        [f"2024-01-0{1 + number % 9} 10:00:00" for number in range(120)],
    ],
)
def test_time_holds_out_the_latest(times):
    found = documents([1000] * 120, times=times)
    made = choose(units(found, timed=True), "time", {})
    held = [time_key(document.time) for document in found if is_heldout(made, document)]
    kept = [time_key(document.time) for document in found if not is_heldout(made, document)]
    assert min(held) > max(kept)
    assert len(held) >= 6
    assert len(set(held)) == 1 or len(held) - held.count(min(held)) < 10
    assert mask(units(found, timed=True), made).sum() == len(held)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (["2024", "2024-01-01"], "some times are numbers"),
        (["yesterday", "2024-01-01"], "is not a time"),
        (["", "2024-01-01"], "has no time"),
        (["2024-01-01", "2024-01-01"], "needs two times"),
    ],
)
def test_bad_times_are_named(times, said):
    with pytest.raises(StudyError, match=said):
        choose(units(documents([1000, 1000], times=times), timed=True), "time", {})


@pytest.mark.parametrize("by", ["document", "group", "piece"])
def test_one_unit_cannot_be_split(by):
    with pytest.raises(StudyError, match="nothing can be held out"):
        choose(units(documents([1000, 1000], ["g", "g"])), by, {})


@pytest.mark.parametrize("text", ["line\n" * 9000, "x" * 50_000, "a\r\n\u2028b\n\n" * 5000])
def test_pieces_hold_all_of_the_text(text):
    found = pieces(Document("a.txt#0", text, "a.txt", None))
    assert "".join(piece.text for piece in found) == text
    assert all(len(piece.text) >= split.PIECE_CHARACTERS for piece in found[:-1])
    assert all(len(piece.text) < 2 * split.PIECE_CHARACTERS for piece in found)
    assert len({piece.key for piece in found}) == len(found)
