"""Tasks on images: states are the library's own, towers that know score 1, ties are never lucky, nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from helpers import study_error
from image_models import COLOURS, SAID, SETTINGS, noisy, picture, saved, saved_pair
from pictures import encoded, scene
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel

from keel.errors import StudyError
from keel.evaluate.tasks import Unfit, image_retrieval, seen
from keel.evaluate.tasks.files import means
from keel.evaluate.tasks.image_probe import image_probe
from keel.evaluate.tasks.image_retrieval import chance
from keel.evaluate.tasks.image_retrieval import image_retrieval as retrieve
from keel.evaluate.tasks.seen import Seen, opened
from keel.evaluate.tasks.zero_shot import zero_shot
from keel.evaluate.uses.rows import Row, Split, split
from keel.run import picture_files

pytestmark = pytest.mark.tensor
SIZES = [(20, 12), (9, 31), (8, 8), (50, 3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Scenes that are no squares, one of them three pixels high."""
    folder = tmp_path_factory.mktemp("files")
    for number, size in enumerate(SIZES):
        (folder / f"{number}.png").write_bytes(encoded(scene(number, 64).resize(size)))
    return [str(folder / f"{number}.png") for number in range(len(SIZES))]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A CLIP whose towers tell three colours."""
    folder = tmp_path_factory.mktemp("knowing")
    saved_pair(folder, knowing=True)
    return opened(folder)


def prepared(folder: Path, files: list[str]) -> torch.Tensor:
    """Pixels as a user makes them who has the library alone."""
    processor: Any = transformers.AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(file) for file in files]
    found: torch.Tensor = processor(images=images, return_tensors="pt", input_data_format="channels_last").pixel_values
    return found


@torch.no_grad()
def by_the_library(folder: Path, files: list[str]) -> np.ndarray:
    """The library's own classes on its own pixels: the pooled state, and the mean over patches."""
    pixels = prepared(folder, files)
    made: Any = transformers.AutoModel.from_pretrained(folder).eval()
    made = made if getattr(made, "vision_model", None) is None else made.vision_model
    out = made(pixel_values=pixels)
    states = out.last_hidden_state
    if states.dim() == 4:
        return torch.cat([out.pooler_output.flatten(1), states.flatten(2).mean(2)], 1).numpy()
    own = out.pooler_output if "clip" in made.config.model_type else states[:, 0]
    return torch.cat([own, states[:, 1:].mean(1)], 1).numpy()


@pytest.mark.parametrize(("family", "head"), [
    ("vit", "body"), ("vit", "classes"), ("resnet-basic", "classes"), ("resnet", "body"), ("convnext", "classes"),
    ("clip-vision", "joint"),
])  # fmt: skip
def test_states_are_those_of_the_librarys_processor_and_model(
    family: str, head: str, files: list[str], tmp_path: Path
) -> None:
    saved(family, tmp_path, head, 3 if head == "classes" else 0)
    theirs, ours = by_the_library(tmp_path, files), opened(tmp_path).states(files)
    # Of a network of stages the pooled map is the mean of its patches, so it stands there once.
    np.testing.assert_allclose(ours, theirs[:, : ours.shape[1]], rtol=0, atol=1e-5)
    assert ours.std(0).max() > 0.05


def test_features_of_both_towers_are_the_librarys(files: list[str], tmp_path: Path) -> None:
    saved_pair(tmp_path)
    model: Any = transformers.CLIPModel.from_pretrained(tmp_path).eval()
    made = opened(tmp_path)
    assert made.words is not None
    texts = [SAID.format(name) for name in ("red", "blue")] + ["a photo"]
    for text, ours in zip(texts, made.texts(texts)):
        (ids,) = made.tokens([text])
        whole = [made.words.vocabulary.id_of("start"), *ids, made.words.vocabulary.id_of("separator")]
        with torch.no_grad():
            theirs = model.get_text_features(input_ids=torch.tensor([whole])).pooler_output[0]
        np.testing.assert_allclose(ours, (theirs / theirs.norm()).numpy(), rtol=0, atol=1e-5)
    with torch.no_grad():
        seen_ = model.get_image_features(pixel_values=prepared(tmp_path, files)).pooler_output
    np.testing.assert_allclose(made.images(files), (seen_ / seen_.norm(dim=1, keepdim=True)).numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(made.states(files), by_the_library(tmp_path, files), rtol=0, atol=1e-5)


@pytest.mark.parametrize("end", [519, 2])
def test_a_released_clip_is_read_as_its_own_tokenizer_reads(end: int, tmp_path: Path) -> None:
    """Words end in marks, letters are lower case, ends stand in the tokenizer; an end id of 2 is that of old releases,
    which pool at the highest id."""
    letters = sorted(ByteLevel.alphabet())
    merges = [("r", "e"), ("re", "d</w>"), ("p", "h"), ("ph", "o"), ("pho", "t"), ("phot", "o</w>")]
    words = [*letters, *(each + "</w>" for each in letters), *("".join(pair) for pair in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer: Any = transformers.CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=merges)
    tokenizer.save_pretrained(tmp_path)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"vocab_size": len(words), "eos_token_id": end, "bos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(text_config={**small, **ids, "max_position_embeddings": 16}, projection_dim=8,
                                     vision_config={**small, "image_size": 8, "patch_size": 4})  # fmt: skip
    model: Any = transformers.CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    picture_files.write(tmp_path, SETTINGS, ())
    texts = ["a photo of a Red.", "red"]
    with torch.no_grad():
        theirs = model.get_text_features(**tokenizer(texts, return_tensors="pt", padding=True)).pooler_output
    ours = opened(tmp_path).texts(texts)
    np.testing.assert_allclose(ours, (theirs / theirs.norm(dim=1, keepdim=True)).numpy(), rtol=0, atol=1e-5)
    assert abs(ours[0] - ours[1]).max() > 0.05


def test_towers_that_stand_apart_are_read_together(files: list[str], tmp_path: Path) -> None:
    """SigLIP's export has no config of its own."""
    image, text = saved_pair(tmp_path, "sigmoid")
    made = opened(tmp_path)
    with torch.no_grad():
        theirs = torch.nn.functional.normalize(image.library(prepared(tmp_path, files)).image_embeds, dim=-1)
    np.testing.assert_allclose(made.images(files), theirs.numpy(), rtol=0, atol=1e-5)
    assert made.words is not None
    ids = torch.from_numpy(made.words.framed(made.tokens([SAID.format("red")])[0]))[None]
    with torch.no_grad():
        read = torch.nn.functional.normalize(text(ids, torch.ones_like(ids)), dim=-1)
    np.testing.assert_allclose(made.texts([SAID.format("red")]), read.numpy(), rtol=0, atol=1e-5)
    assert (made.words.context, opened(tmp_path, 7).words.context) == (16, 7)  # type: ignore[union-attr]


@pytest.mark.parametrize(("head", "size"), [("mean-classes", 8), ("classes", 16)])
def test_a_vit_that_the_library_lacks_is_seen_too(head: str, size: int, files: list[str], tmp_path: Path) -> None:
    family = "vit" if head == "mean-classes" else "vit-hybrid"
    trunk = saved(family, tmp_path, head, 3)
    made = opened(tmp_path)
    with torch.no_grad():
        found = trunk.eval()(made.pixels(files))
    ours = made.states(files)
    assert ours.shape == (len(files), size), "a mean of patches is its own state"
    np.testing.assert_allclose(ours[:, :8], found.pooled.numpy(), rtol=0, atol=1e-5)


def test_pixels_are_the_training_ones_background_and_all(tmp_path: Path) -> None:
    """What shows through is what [data] says; grey of 16 bits and CMYK are as training reads them."""
    saved("vit", tmp_path)
    pixels = np.zeros((8, 8, 4), np.uint8)
    through = Image.fromarray(pixels)
    through.save(tmp_path / "through.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "deep.png")
    names = ("through.png", "cmyk.jpg", "deep.png")
    made = opened(tmp_path).pixels([str(tmp_path / name) for name in names])
    colours = ((made[:, :, 0, 0] * 0.5 + 0.5) * 255).round().int().tolist()
    assert SETTINGS.background == "#204060"
    assert colours[0] == [0x20, 0x40, 0x60]
    assert colours[1][0] > 200 > 60 > max(colours[1][1:])
    assert colours[2] == [255, 255, 255]


def test_the_state_of_an_image_hangs_on_no_other(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("resnet-basic", tmp_path, "classes", 3)
    made = opened(tmp_path)
    together = made.states(files)
    monkeypatch.setattr(seen, "BATCH", 1)
    np.testing.assert_allclose(made.states(files), together, rtol=0, atol=1e-5)


def test_every_broken_image_is_named_at_once(tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    saved("vit", tmp_path)
    monkeypatch.setattr(seen, "BATCH", 2)
    bad = [tmp_path / "empty.png", tmp_path / "gone.png", tmp_path / "half.png"]
    bad[0].write_bytes(b"")
    bad[2].write_bytes(Path(files[0]).read_bytes()[:60])
    with study_error("empty.png", "gone.png", "half.png"):
        opened(tmp_path).states([str(bad[0]), *files, str(bad[1]), str(bad[2])])


# ---- what cannot be opened ----


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Nothing"}))
    with study_error("how images are prepared cannot be read"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "wav2vec2"}))
    with pytest.raises(Unfit, match="'wav2vec2' is shown no images"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with study_error("is not among the weights"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with study_error("the weights cannot be read"):
        opened(tmp_path)


# ---- known answers ----


def coloured(folder: Path, each: int) -> list[Row]:
    """Images near a colour, with its name."""
    rows = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        for number in range(each):
            path = folder / f"{name}{number}.png"
            path.write_bytes(noisy(place * each + number, colour, (12, 9)))
            rows.append(Row(str(path), name))
    return rows


def test_towers_that_know_name_every_colour(knowing: Seen, tmp_path: Path) -> None:
    rows = coloured(tmp_path, 10)[:-5]
    found = zero_shot(knowing, rows)
    assert found.measures["accuracy"].value == found.measures["macro-F1"].value == 1.0
    assert (found.baseline, found.beside["accuracy"].value) == ("the most frequent label", 10 / 25)
    assert (found.train, found.test) == (0, 25)
    assert zero_shot(knowing, rows, "a {answer} photo|{answer}").measures["accuracy"].value == 1.0
    said = {"red": "green", "green": "blue", "blue": "red"}
    wrong = zero_shot(knowing, [row._replace(answer=said[row.answer]) for row in rows])
    assert wrong.measures["accuracy"].value == 0.0


def test_labels_that_are_as_near_share_a_row(knowing: Seen, tmp_path: Path) -> None:
    """Words that the towers do not know are all as near: chance, never the first by name."""
    rows = [row._replace(answer="xyz"[number % 3]) for number, row in enumerate(coloured(tmp_path, 3))]
    assert zero_shot(knowing, rows).measures["accuracy"].value == pytest.approx(1 / 3)


def test_sentences_weigh_alike_whatever_their_length(tmp_path: Path) -> None:
    """The mean is over features of length 1, then made of length 1: neither a sentence nor a label is louder."""
    saved_pair(tmp_path)
    made, rows = opened(tmp_path), coloured(tmp_path, 4)
    forms = ["a photo of a {answer}.", "{answer}", "of a {answer} of a {answer}"[:15]]
    names = sorted(COLOURS)
    near = made.images([row.text for row in rows]) @ np.stack([
        (mean := made.texts([form.replace("{answer}", name) for form in forms]).mean(0)) / np.linalg.norm(mean)
        for name in names
    ]).T  # fmt: skip
    found = zero_shot(made, rows, " | ".join(forms))
    assert found.labels is not None
    assert found.labels[1].tolist() == [names[place] for place in near.argmax(1)]


def test_captions_beyond_the_context_are_read_from_their_beginning_and_said(knowing: Seen, tmp_path: Path) -> None:
    rows = coloured(tmp_path, 2)
    long = "a {answer}" + " a photo" * 20
    found = zero_shot(knowing, rows, long)
    assert found.measures["accuracy"].value == 1.0
    assert "3 of 3 texts are longer than the context" in found.notes[-1]


def test_a_model_without_texts_says_so(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    made, rows = opened(tmp_path), coloured(tmp_path, 2)
    for asked in (zero_shot, retrieve):
        with study_error("the model has no text tower"):
            asked(made, rows)  # type: ignore[operator]


def test_a_probe_learns_what_states_tell_and_stands_beside_raw_pixels(knowing: Seen, tmp_path: Path) -> None:
    rows = split(coloured(tmp_path, 10))
    found = image_probe(knowing, rows)
    assert found.measures["accuracy"].value == 1.0
    assert (found.baseline, found.headroom) == ("raw pixels", False)
    assert found.beside["accuracy"].value > 0.95
    grey = [row._replace(text=grey_of(row)) for side in rows for row in side]
    blind = image_probe(knowing, Split(grey[: len(rows.train)], grey[len(rows.train) :]))
    assert blind.measures["accuracy"].value < 0.7


def grey_of(row: Row) -> str:
    path = Path(row.text)
    target = path.with_name(f"grey-{path.name}")
    target.write_bytes(picture((128, 128, 128)))
    return str(target)


def test_raw_pixels_are_means_of_blocks(tmp_path: Path) -> None:
    values = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = means([str(tmp_path / "a.png")]).reshape(8, 8, 3) * 255
    blocks = values.astype(float).reshape(8, 2, 8, 2, 3).mean((1, 3))
    assert abs(found - blocks).max() <= 0.5 + 1e-9


# ---- retrieval ----


def test_images_and_captions_find_each_other(knowing: Seen, tmp_path: Path) -> None:
    rows = [row._replace(answer=SAID.format(row.answer)) for row in coloured(tmp_path, 4)]
    found = retrieve(knowing, rows)
    assert {name: each.value for name, each in found.measures.items()} == dict.fromkeys(found.measures, 1.0)
    assert "recall@10, image of caption" in found.measures
    one, other = chance(3, 1, (1,)), chance(12, 4, (1,))
    assert found.beside["recall@1"].value == pytest.approx((one["recall@1"] + other["recall@1"]) / 2)
    assert found.beside["MRR, image of caption"].value == pytest.approx(other["MRR"])
    assert len(set(found.groups)) == 3, "rows of one caption are no three witnesses"
    assert found.notes[0] == "12 images and 3 captions find each other"


def test_ties_share_their_ranks(knowing: Seen, tmp_path: Path) -> None:
    """Two sizes of one red are as near to two captions of red: each way's ranks by hand."""
    names = {"small": (8, 8), "large": (16, 16)}
    for name, size in names.items():
        (tmp_path / f"{name}.png").write_bytes(picture((255, 0, 0), size))
    (tmp_path / "blue.png").write_bytes(picture((0, 0, 255)))
    texts = [SAID.format("red"), "a red", SAID.format("blue")]
    rows = [Row(str(tmp_path / f"{name}.png"), text) for name, text in zip((*names, "blue"), texts)]
    near = knowing.images([row.text for row in rows]) @ knowing.texts(texts).T
    assert len(set(near[:2, :2].round(6).flatten().tolist())) == 1 < len(set(near.round(6).flatten().tolist()))
    found = retrieve(knowing, rows)
    for way in ("caption of image", "image of caption"):
        assert found.scores[f"MRR, {way}"].tolist() == pytest.approx([1 / 1.5, 1 / 1.5, 1.0])
        assert found.scores[f"recall@1, {way}"].tolist() == [0.0, 0.0, 1.0], "the right one is not ahead"
        assert found.scores[f"recall@10, {way}"].tolist() == [1.0] * 3
    assert found.scores["recall@1"].tolist() == [0.0, 0.0, 1.0]


def test_every_caption_of_an_image_is_right(knowing: Seen, tmp_path: Path) -> None:
    rows = coloured(tmp_path, 1)
    two = [
        *(row._replace(answer=SAID.format(row.answer)) for row in rows),
        rows[0]._replace(answer=SAID.format("blue")),
    ]
    found = retrieve(knowing, two)
    assert found.scores["recall@1, caption of image"].tolist() == [1.0] * 4
    assert found.scores["recall@1, image of caption"].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert found.groups == ("0", "1", "0", "0")


@pytest.mark.parametrize(("number", "right"), [(5, 1), (6, 3), (4, 4)])
def test_chance_is_what_random_orders_give(number: int, right: int) -> None:
    rng = np.random.default_rng(0)
    first = np.array([np.flatnonzero(rng.permutation(number) < right)[0] + 1 for _ in range(20_000)])
    found = chance(number, right, (1, 2))
    assert found["MRR"] == pytest.approx((1 / first).mean(), abs=0.01)
    for k in (1, 2):
        assert found[f"recall@{k}"] == pytest.approx((first <= k).mean(), abs=0.012)
    assert chance(number, right, (50,))["recall@50"] == pytest.approx(1.0)


def test_bad_depths_and_single_candidates_are_refused(knowing: Seen, tmp_path: Path) -> None:
    rows = coloured(tmp_path, 1)
    with pytest.raises(StudyError, match="cannot be told"):
        retrieve(knowing, rows, ks=[0])
    with pytest.raises(StudyError, match="nothing to choose from"):
        retrieve(knowing, rows[:1])
    assert image_retrieval.CHANCE == "chance"
