"""The ladder of images with captions: N counts both towers, the text's room follows from the longest caption."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import FAKE_MACHINE, study_error

from keel.corpus.images.named import identity_of
from keel.corpus.tokenizer import train
from keel.errors import Refused
from keel.model.shapes import SHAPES, Size, folder
from keel.objective import own
from keel.objective.cost import flop_per_token
from keel.objective.released_text import sha256_of
from keel.objective.towers import TOWERS, text_size
from keel.plan.build import build
from keel.plan.frame import Inputs
from keel.study import Study


def row(vocabulary: int, longest: int, bytes_per_token: float) -> dict[str, Any]:
    return {"vocabulary": vocabulary, "longest": longest, "longest_how": "counted", "bytes_per_token": bytes_per_token,
            "train_tokens": 4e5 / bytes_per_token}  # fmt: skip


SEEN: dict[str, Any] = {
    "kind": "image-text", "data_sha256": "1a", "data": {"image": "file", "text": "twin"}, "images": 10_000,
    "split": {"train_images": 9000, "heldout_images": 1000}, "classes": None, "size": {"side_pixels": 36},
    "captions": {"bytes": 2e6}, "tokenizer": {"sha256": "7e", "vocabulary": 1024},
    "tokens": [row(512, 13, 3.0), row(1024, 9, 4.0)],
}  # fmt: skip
FIND = {"name": "find", "task": "image-text-retrieval"}
EACH = {"budget": {"time_s": 600}}


def planned(
    seen: dict[str, Any] = SEEN, uses: tuple[dict[str, str], ...] = (FIND,), **overrides: Any
) -> dict[str, Any]:
    tree = {"data": {"train": "x", "image": "file", "text": "twin"}, "use_case": uses, "set": overrides, **EACH}
    study = Study.model_validate(tree)
    return build(Inputs(study, seen, copy.deepcopy(FAKE_MACHINE), None, "vision-language"), "2026-01-01")


def number(made: dict[str, Any], name: str) -> Any:
    return next(each for each in made["numbers"] if each["name"] == name)


def test_a_ladder_whose_runs_are_too_short_says_so_and_what_would_do() -> None:
    assert planned()["problems"] == []
    few = {**SEEN, "images": 800, "split": {"train_images": 720, "heldout_images": 80}, "size": {"side_pixels": 112}}
    (said,) = planned(few)["problems"]
    assert "steps at least" in said["what"]
    assert "200 are wanted" in said["why"]
    top = int(said["fix"].rsplit("= ", 1)[1])
    assert planned(few, **{"ladder.top_tokens": top})["problems"] == []


def test_positions_are_patches_and_captions_have_a_vocabulary() -> None:
    made = planned()
    assert (made["objective"], made["family"], made["judge"]) == ("clip", "clip-vision", "retrieval_nats")
    assert made["tokenizer"] == {"vocabulary": 512}  # 2 MB x .9 / 3000 = 600
    assert (number(made, "model.image")["value"], number(made, "model.patch")["value"]) == (36, 4)
    assert made["unique_tokens"] == 9000 * 81
    for item in made["experiments"]:
        size = item["spec"]["size"]
        assert (size["context"], size["vocabulary"], size["embedding_width"]) == (81, 513, size["width"])
        assert item["spec"]["data"] == {"data_sha256": "1a", "images_sha256": identity_of(SEEN), "vocabulary": 512,
                                        "tokenizer_sha256": "7e"}  # fmt: skip


def test_with_no_use_case_pairs_are_told_apart_by_clip() -> None:
    assert planned(uses=())["objective"] == "clip"


@pytest.mark.parametrize(("loss", "numbers"), [("clip", 1), ("siglip", 2)])
def test_n_is_that_of_both_towers_the_table_and_the_scale(loss: str, numbers: int) -> None:
    made = planned(**{"train.loss": loss})
    seen, read = SHAPES["clip-vision"], SHAPES["clip-text"]
    for item in made["experiments"]:
        size = Size(**item["spec"]["size"])
        text = text_size({**TOWERS, **item["spec"]["options"]}, size, 513)
        image, words = seen.params(seen.shape(size), "joint"), read.params(read.shape(text), "joint")
        assert item["params"]["total"] == image.total + words.total + numbers
        assert words.embedding == (513 + 16) * size.width
    top = made["experiments"][-1]
    assert number(made, "ladder.top_tokens")["inputs"]["N_total"] == top["params"]["total"]
    grow = made["targets"][0]["params"] / top["params"]["total"]
    assert grow == pytest.approx(10**0.5)


def test_memory_and_compute_are_those_of_both_towers() -> None:
    item = planned()["experiments"][-1]
    spec, seen, read = item["spec"], SHAPES["clip-vision"], SHAPES["clip-text"]
    size = Size(**spec["size"])
    image = seen.memory_bytes(seen.shape(size), spec["batch_tokens"], spec["precision"])
    words = read.shape(text_size({**TOWERS, **spec["options"]}, size, 513))
    text = read.memory_bytes(words, spec["batch_tokens"] // 81 * 16, spec["precision"])
    assert item["cost"]["memory_bytes"] == image + text
    flop = flop_per_token("clip", spec["options"], "clip-vision", size)
    assert item["cost"]["flop"] == pytest.approx(flop * item["tokens"])
    longer = flop_per_token("clip", {"text_context": 60}, "clip-vision", size)
    assert longer > 1.2 * flop


def test_the_texts_room_is_that_of_the_longest_caption_with_its_ends() -> None:
    made = planned()
    found = number(made, "train.options.text_context")
    assert (found["value"], found["inputs"]) == (16, {"longest": 13})  # 13 + 2, even
    assert "counted" in found["source"]
    assert all(item["spec"]["options"]["text_context"] == 16 for item in made["experiments"])
    wide = planned(**{"tokenizer.vocabulary": 1024})
    assert number(wide, "train.options.text_context")["value"] == 12


def test_captions_beyond_clips_room_are_shortened_and_that_is_said() -> None:
    seen = SEEN | {"tokens": [row(512, 200, 3.0)]}
    made = planned(seen)
    assert number(made, "train.options.text_context")["value"] == 77
    said = number(made, "train.options.too_long")
    assert (said["value"], said["inputs"]) == ("shorten", {"longest": 200, "read": 75})
    assert "the first are read" in said["formula"]
    whole = planned(seen, **{"train.options.text_context": 202})
    options = whole["experiments"][0]["spec"]["options"]
    assert options == {"text_context": 202}
    refused = planned(seen, **{"train.options.too_long": "refuse"})["experiments"][0]["spec"]["options"]
    assert refused == {"text_context": 77, "too_long": "refuse"}


def test_the_other_loss_is_an_arm_with_the_same_room() -> None:
    arms = planned()["arms"]["runs"]
    other = next(arm for arm in arms if arm["spec"]["objective"] == "siglip")
    assert other["spec"]["options"] == {"text_context": 16}
    assert other["spec"]["size"]["vocabulary"] == 513


def test_a_vocabulary_that_was_not_measured_is_refused() -> None:
    with study_error("this vocabulary was not measured", "[512, 1024]"):
        planned(**{"tokenizer.vocabulary": 777})


def test_too_few_pairs_are_refused_in_images() -> None:
    few = SEEN | {"split": {"train_images": 20, "heldout_images": 5}}
    with pytest.raises(Refused, match="too small for a ladder") as refused:
        planned(few)
    assert "images to train on" in refused.value.refusal.fix


def release(path: Path) -> dict[str, Any]:
    """A released encoder as far as a plan reads it, and the options that name it."""
    path.mkdir()
    config = {"model_type": "bert", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
              "intermediate_size": 96, "vocab_size": 300, "max_position_embeddings": 128}  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(b"weights are not read here")
    (path / "tokenizer.json").write_text(train(["a red disc"], 260))
    sha256 = sha256_of(folder.read(path))
    return {"train.options.text_from": str(path), "train.options.text_sha256": sha256}


def test_a_released_text_tower_has_its_own_rows_and_does_not_move(tmp_path: Path) -> None:
    given = release(tmp_path / "bert")
    made = planned(**given)
    for item in made["experiments"]:
        options, size = item["spec"]["options"], Size(**item["spec"]["size"])
        assert size.vocabulary == 260
        assert "text_context" not in options
        bert = SHAPES["bert"].params(SHAPES["bert"].shape(folder.read(tmp_path / "bert").size()), "states").total
        image = SHAPES["clip-vision"].params(SHAPES["clip-vision"].shape(size), "joint").total
        assert item["params"]["total"] == image + bert + 24 * size.embedding_width + 1
        trained = flop_per_token("clip", {**options, "text_trains": "yes"}, "clip-vision", size)
        assert flop_per_token("clip", options, "clip-vision", size) < trained
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"others")
    with study_error("another than text_sha256 says", "text_sha256"):
        planned(**given)


def test_a_release_is_found_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = release(tmp_path / "bert") | {"train.options.text_from": "bert"}
    with study_error("is not there", "text_from"):
        planned(**given)
    monkeypatch.setattr("sys.path", [*sys.path])
    own.find_in(tmp_path)
    assert planned(**given)["experiments"][0]["spec"]["options"]["text_from"] == "bert"


def test_masked_pairs_are_planned_with_all_their_parts() -> None:
    made = planned(**{"train.loss": "maskvlm"})
    assert (made["judge"], made["family"]) == ("masked_caption_bits_per_byte", "clip-vision")
    alone = planned()["experiments"][0]
    for item in made["experiments"]:
        assert item["spec"]["size"]["vocabulary"] == 512 + 3
        assert item["spec"]["batch_tokens"] // 81 % 8 == 0
    assert made["experiments"][0]["params"]["total"] > alone["params"]["total"]
