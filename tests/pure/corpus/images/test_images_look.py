from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from helpers import FAKE_MACHINE, study_error
from pictures import encoded, folder_of, looked, png_header, scene, tar_of, whats
from PIL import Image

from keel.corpus.images import hashes, survey
from keel.corpus.images.captions import shared
from keel.corpus.images.decode import decode
from keel.corpus.images.hashes import Print, clusters, near_pairs, print_of
from keel.corpus.images.show import show
from keel.corpus.look import look
from keel.corpus.new import new
from keel.corpus.readers import Document
from keel.corpus.split import is_heldout
from keel.errors import Refused
from keel.files import read_json, write_json
from keel.plan.verb import plan, read_ladder
from keel.study import Study, load


def sides(found: dict, keys: list[str]) -> set[bool]:
    return {is_heldout(found["split"], Document(key, "", None, None)) for key in keys}


def test_counts_sizes_classes_and_both_sides(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"cat": 60, "dog": 30, "one": 1})
    found = looked(tmp_path, label="folder")
    assert (found["kind"], found["images"]) == ("images", 91)
    assert found["bytes"] == sum(len(encoded(scene(n))) for n in range(91))
    assert (found["width"]["p50"], found["height"]["max"]) == (32, 32)
    assert (found["modes"], found["formats"]) == ({"RGB": 91}, {"PNG": 91})
    rows = {row["label"]: row for row in found["classes"]["each"]}
    assert {name: row["images"] for name, row in rows.items()} == {"cat": 60, "dog": 30, "one": 1}
    assert all(row["train"] + row["heldout"] == row["images"] for row in rows.values())
    assert found["split"]["heldout_images"] + found["split"]["train_images"] == 91
    assert sum(row["heldout"] for row in rows.values()) == found["split"]["heldout_images"] == pytest.approx(7, abs=2)
    assert found["classes"]["with_one_image"] == ["one"]
    assert "1 classes have one image: one" in whats(found)
    assert "the largest class has 60 times the smallest" in whats(found)
    assert found["size"]["patches"] == {"16": 4, "14": 4, "8": 16}
    assert "cat" in "\n".join(show(found))


def test_channels_are_those_of_all_pixels(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 12})
    found = looked(tmp_path)["channels"]
    pixels = np.stack([np.asarray(scene(number)) for number in range(12)]).reshape(-1, 3) / 255.0
    assert found["mean"] == pytest.approx(pixels.mean(0), abs=1e-12)
    assert found["std"] == pytest.approx(pixels.std(0), abs=1e-12)


def test_every_broken_file_is_listed(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 20})
    (root / "empty.png").write_bytes(b"")
    (root / "cut.png").write_bytes(encoded(scene(90))[:150])
    (root / "bomb.png").write_bytes(png_header(30_000, 20_000))
    (root / "text.jpg").write_bytes(b"not an image")
    (root / "named.jpg").write_bytes(encoded(scene(91)))
    found = looked(tmp_path)
    assert found["images"] == 21
    assert found["broken"]["count"] == 4
    places = {bad["where"]: bad["what"] for bad in found["broken"]["first"]}
    assert places == {
        "data/bomb.png": "the image is too large to be trusted", "data/cut.png": "the image is truncated or damaged",
        "data/empty.png": "the file is empty", "data/text.jpg": "the file is no image that is known",
    }  # fmt: skip
    assert "600000000 pixels" in whats(found)
    assert "1 images: named .jpg, and is PNG" in whats(found)


def test_one_class_and_no_class(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"only": 20})
    assert "there is one class only" in whats(looked(tmp_path, label="folder"))
    (root / "top.png").write_bytes(encoded(scene(77)))
    found = looked(tmp_path, label="folder")
    assert found["classes"]["unlabelled"] == 1
    assert "1 images have no label: data/top.png" in whats(found)


def test_nothing_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(b"")
    with study_error("there is no image", "the file is empty"):
        looked(tmp_path)
    (tmp_path / "data" / "a.png").write_bytes(encoded(scene(1)))
    with study_error("no image has a caption"):
        looked(tmp_path, text="twin")
    with study_error("nothing can be held out"):
        looked(tmp_path)


def test_captions_missing_empty_and_lone(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 30}, captions=True)
    (root / "a" / "000.txt").unlink()
    (root / "a" / "001.txt").write_text("  \n")
    (root / "a" / "zzz.txt").write_text("nobody's")
    found = looked(tmp_path, text="twin")
    assert (found["kind"], found["images"], found["captions"]["count"]) == ("image-text", 28, 28)
    assert (found["captions"]["images_without"], found["captions"]["empty"]) == (1, 1)
    assert found["captions_without_image"]["first"][0]["where"] == "data/a/zzz.txt"
    assert "2 images have no caption (1 of them an empty one): data/a/000.png, data/a/001.png" in whats(found)
    assert found["captions"]["begin"]["words"] == "scene number"
    assert found["captions"]["end"]["words"] == "of the a"
    assert found["size"]["unit"] == "pairs"
    assert found["captions"]["bytes"] == sum(len(f"scene number {n} of the a") for n in range(2, 30))


def test_captions_all_alike(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 30}, captions=True)
    for path in (root / "a").glob("*.txt"):
        path.write_text("An image.")
    assert "all captions are alike" in whats(looked(tmp_path, text="twin"))
    (root / "a" / "003.txt").write_text("another")
    found = looked(tmp_path, text="twin")
    assert (found["captions"]["distinct"], found["captions"]["repeated"]) == (2, 28)
    assert "28 captions repeat an earlier one" in whats(found)


def test_shared_words_need_a_tenth() -> None:
    texts = [f"{number} cats" for number in range(95)]
    assert shared(texts) is None
    assert shared([*texts, *["the same start here"] * 15]) == {"words": "the same start", "share": 15 / 110}


def test_alpha_is_counted_and_its_colour_recorded(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 10})
    (root / "clear.png").write_bytes(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))))
    found = looked(tmp_path, background="#102030")
    assert found["alpha"] == {"images": 1, "of": 11, "background": "#102030"}
    assert "laid on #102030" in whats(found)


# ---- near duplicates ----


@pytest.mark.parametrize(("name", "change"), [
    ("JPEG at quality 50", lambda image: decode(encoded(image, "JPEG", quality=50)).image),
    ("half the size", lambda image: image.resize((32, 32))),
    ("a little brighter", lambda image: image.point(lambda value: min(255, value + 2))),
])  # fmt: skip
def test_changed_copies_are_near_and_others_are_not(name: str, change: object) -> None:
    images = [scene(number, 64) for number in range(150)]
    prints = [print_of(image) for image in images] + [print_of(change(image)) for image in images]
    found, crowded = near_pairs(prints)
    right = {(number, number + 150) for number in range(150)}
    assert len(right & set(found)) >= 145, name
    assert not set(found) - right
    assert crowded == 0


def test_one_shape_in_two_colours_is_not_near() -> None:
    one, other = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    first, second = print_of(one), print_of(other)
    assert first.bits == second.bits
    assert near_pairs([first, second]) == ([], 0)


def test_no_pair_within_the_threshold_is_missed() -> None:
    rng = random.Random(5)
    bases = [rng.getrandbits(64) for _ in range(60)]
    prints = [Print(bits, bytes(192)) for bits in bases]
    for bits in bases:
        for flip in rng.sample(range(64), hashes.THRESHOLD):
            bits ^= 1 << flip
        prints.append(Print(bits, bytes(192)))
    found, _ = near_pairs(prints)
    every = {
        (one, other) for one in range(120) for other in range(one + 1, 120)
        if (prints[one].bits ^ prints[other].bits).bit_count() <= hashes.THRESHOLD
    }  # fmt: skip
    assert set(found) == every
    assert len(every) >= 60


def test_too_many_of_one_hash_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "GROUP", 10)
    prints = [Print(0, bytes([7]) * 192)] * 30
    found, crowded = near_pairs(prints)
    assert crowded == 1
    assert clusters(found, []) == [list(range(30))]


def test_alike_images_never_cross_the_split(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 150})
    copies = []
    for number in range(0, 150, 3):
        (root / "a" / f"copy{number}.jpg").write_bytes(encoded(scene(number), "JPEG", quality=90))
        (root / "a" / f"same{number}.png").write_bytes(encoded(scene(number)))
        copies.append([f"a/{number:03d}.png", f"a/copy{number}.jpg", f"a/same{number}.png"])
    found = looked(tmp_path)
    alike = found["duplicates"]
    assert (alike["exact_images"], alike["exact_samples"]) == (50, 50)
    assert alike["near_images"] >= 45
    assert alike["across_split"] > 0, "without moving some would cross"
    clustered = [keys for keys in copies if len(sides(found, keys)) == 1]
    assert len(clustered) >= 48
    assert all(len(sides(found, [keys[0], keys[2]])) == 1 for keys in copies), "equal bytes are always together"


def test_groups_stay_whole_and_their_repeats_are_said(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {f"g{number}": 4 for number in range(20)})
    for number in range(20):
        (root / f"g{number}" / "logo.png").write_bytes(encoded(scene(999)))
    found = looked(tmp_path, group="folder")
    assert found["split"]["by"] == "group"
    assert found["split"]["moved"] == {}
    assert "1 clusters of alike images cross the split" in whats(found)
    assert found["split"]["heldout_images"] % 5 == 0


def test_one_image_under_two_labels(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"a": 10, "b": 10})
    (root / "b" / "again.png").write_bytes(encoded(scene(0)))
    assert "1 images occur under two labels" in whats(looked(tmp_path, label="folder"))


def test_many_images_are_sampled_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "data", {"a": 60})
    whole = looked(tmp_path)
    monkeypatch.setattr(survey, "SAMPLE_IMAGES", 20)
    found = looked(tmp_path)
    assert found["images"] == whole["images"] == 60
    assert (found["bytes"], found["data_sha256"]) == (whole["bytes"], whole["data_sha256"])
    assert found["sampled"]["kept"] <= 20 < found["sampled"]["decoded"] < 60
    assert whole["sampled"] is None
    assert found["alpha"]["of"] == found["sampled"]["kept"]


def test_looking_twice_says_the_same(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 20, "b": 20}, captions=True)
    one, two = (looked(tmp_path, text="twin", label="folder") for _ in range(2))
    assert one | {"made_utc": ""} == two | {"made_utc": ""}


# ---- the verbs ----


def test_look_and_plan_on_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "data", {"cat": 40, "dog": 40}, captions=True)
    monkeypatch.setattr("keel.corpus.look.machine", lambda *_: FAKE_MACHINE)
    place = tmp_path / "study"
    new(tmp_path / "data", place)
    study = load(place)
    answer = look(place, study)
    assert answer.writes == ["evidence/images.json", "evidence/machine.json", "evidence/tokenizer.json"]
    assert read_json(place / "evidence/images.json", "keel.images/1")["images"] == 80
    made = plan(place, study, "2026-01-01")
    assert made.status == "refused"
    assert "the corpus is too small for a ladder" in str(made.problems)
    assert "images to train on" in str(made.problems)
    data = made.result["data"]
    assert (data["stated"], data["labels"], data["documents"]) == (False, 80.0, 80.0)
    assert data["unique"] == read_json(place / "evidence/images.json", "keel.images/1")["split"]["train_images"]
    with study_error("the data cannot feed the loss 'clm'", "name plain text"):
        plan(place, load(place, ("train.loss=clm",)))
    with pytest.raises(Refused, match="the plan has no runs"):
        read_ladder(place)


def test_images_without_labels_have_a_ladder_of_what_can_be_judged_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path / "data", {"cat": 400})
    monkeypatch.setattr("keel.corpus.look.machine", lambda *_: FAKE_MACHINE)
    (tmp_path / "study.toml").write_text('[data]\ntrain = "data"\nimage = "file"\n')
    study = load(tmp_path)
    assert look(tmp_path, study).writes == ["evidence/images.json", "evidence/machine.json"]
    made = plan(tmp_path, study, "2026-01-01")
    assert (made.status, made.result["objective"]) == ("ok", "mae")
    assert all(run["spec"]["options"] == {} for run in read_ladder(tmp_path)["experiments"])
    assert read_ladder(tmp_path)["judge"] == "pixel_error"
    for loss in ("classify", "simclr"):
        with study_error(f"the data cannot feed the loss '{loss}'", "name labels for some images"):
            plan(tmp_path, load(tmp_path, (f"train.loss={loss}",)))


def test_evidence_of_other_images_is_refused(tmp_path: Path) -> None:
    study = Study.model_validate({"data": {"train": "data", "image": "file"}})
    with study_error("images.json is missing"):
        plan(tmp_path, study)
    write_json(tmp_path / "evidence/images.json", "keel.images/1", {"kind": "image-text"})
    write_json(tmp_path / "evidence/machine.json", "keel.machine/1", {})
    with study_error("the evidence is of other data"):
        plan(tmp_path, study)


def test_a_tar_is_looked_at_as_a_folder_is(tmp_path: Path) -> None:
    members = {f"a/{number:03d}.png": encoded(scene(number)) for number in range(20)}
    (tmp_path / "data").mkdir()
    tar_of(tmp_path / "data" / "a.tar", members)
    folder_of(tmp_path / "files", {"a": 20})
    one, two = looked(tmp_path, label="folder"), looked(tmp_path, train="files", label="folder")
    for name in ("images", "bytes", "width", "modes", "channels"):
        assert one[name] == two[name]
