"""Families that see images: counts made by hand and published, FLOP, memory, what is no size, the rungs of a ladder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keel.errors import StudyError
from keel.model import shapes
from keel.model.shapes import FEATURES, SHAPES, VISION, Params, Shape, Size, Use
from keel.model.shapes.vision_ladder import RULES, VIT, at, depth, outside, shape_optimised
from keel.model.shapes.vision_released import VISION_RELEASED
from keel.objective.facts import FACTS

FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
PATCHED, STAGED = ("vit", "vit-hybrid", "clip-vision"), ("resnet-basic", "resnet", "convnext")


def size(family: str, **changes: int) -> Size:
    """64 x 64 pixels, 16 patches."""
    plain = {"width": 64, "layers": 6, "vocabulary": 0, "context": 16, "head_width": 0, "patch": 16, "classes": 10}
    own = {"head_width": 16} if family in PATCHED else {}
    joint = {"embedding_width": 32, "classes": 0} if family == "clip-vision" else {}
    return Size(**(plain | own | joint | changes))


def shape_of(family: str, **changes: int) -> Shape:
    return SHAPES[family].shape(size(family, **changes))


def head_of(family: str) -> str:
    return next(name for name, weights in VISION[family].heads.items() if weights)


@pytest.mark.parametrize("name", VISION_RELEASED)
def test_published_counts(name: str) -> None:
    family, released, params_m, head = VISION_RELEASED[name]
    found = SHAPES[family].params(SHAPES[family].shape(released), head)
    assert found.total / 1e6 == pytest.approx(params_m, abs=0.005)


def test_the_two_towers_of_clip_are_those_of_the_release() -> None:
    """Radford et al. 2021, B/32: 151,277,313 parameters, the last of them the temperature."""
    text, image = SHAPES["clip-text"], VISION_RELEASED["CLIP B/32, image tower"]
    read = text.shape(Size(width=512, layers=12, vocabulary=49408, context=77, head_width=64))
    seen = SHAPES[image.family].shape(image.size)
    assert text.params(read).total + SHAPES[image.family].params(seen, "joint").total + 1 == 151_277_313
    assert text.flop_per_token(read) * 77 == pytest.approx(text.flop(read, text.full_use(read)))
    assert text.memory_bytes(read, 0, FP32) == 16 * text.params(read).total


def test_a_vit_counted_by_hand() -> None:
    """d 4, f 16, 1 layer, patches of 2 x 2 x 3 = 12 values, 4 of them, 3 classes."""
    shape = shape_of("vit", width=4, layers=1, head_width=2, patch=2, context=4, classes=3)
    layer = 4 * (16 + 4) + (64 + 16) + (64 + 4) + 2 * 8
    assert SHAPES["vit"].params(shape) == Params(12 * 4 + 4 + layer + 8, (4 + 1) * 4 + 4, 3 * 4 + 3)
    assert SHAPES["vit"].params(shape, "body").head == 0
    rows = 4 + 1
    products = 4 * 48 + rows * (64 + 128) + 2 * rows * rows * 4 + 12
    assert SHAPES["vit"].flop(shape, Use(4, 0, 1)) == 6 * products - 2 * 4 * 48


def test_a_basic_resnet_counted_by_hand() -> None:
    """Width 1, a block a stage: 3, 4, 5 ... weights are 9 C_in C_out, a norm has 2 C, a shortcut C_in C_out + 2 C."""
    shape = shape_of("resnet-basic", width=1, layers=4, classes=2)
    stages = [(9 + 2) + (9 + 2), (18 + 4) + (36 + 4) + (2 + 4), (72 + 8) + (144 + 8) + (8 + 8),
              (288 + 16) + (576 + 16) + (32 + 16)]  # fmt: skip
    assert SHAPES["resnet-basic"].params(shape) == Params(147 + 2 + sum(stages), 0, 8 * 2 + 2)


def test_a_convnext_counted_by_hand() -> None:
    shape = shape_of("convnext", width=1, layers=4, classes=2)
    block = {d: 49 * d + d + 2 * d + (4 * d * d + 4 * d) + (4 * d * d + d) + d for d in (1, 2, 4, 8)}
    between = sum(2 * d + 4 * d * 2 * d + 2 * d for d in (1, 2, 4))
    assert SHAPES["convnext"].params(shape) == Params(48 + 1 + 2 + sum(block.values()) + between + 16, 0, 8 * 2 + 2)


@pytest.mark.parametrize(("family", "gflops"), [("ViT-B/16", 17.56), ("ResNet-50", 4.09), ("ConvNeXt-T", 4.46)])
def test_multiply_adds_of_an_image_are_the_published_ones(family: str, gflops: float) -> None:
    """Liu et al. 2022, table 1 (4.5 and 17.6); ResNet-50 as its model card counts it (4.09)."""
    released = VISION_RELEASED[family]
    shape = VISION[released.family].shape(released.size)
    use = SHAPES[released.family].full_use(shape)
    assert VISION[released.family].products(shape, use) / 1e9 == pytest.approx(gflops, abs=0.01)


def test_as_many_rows_leave_a_vit_as_enter_it() -> None:
    """Patches are tokens, and their number stays: twice the layers cost twice the products, attention included."""
    one, two, three = (VISION["vit"].products(shape_of("vit", layers=n), Use(16, 0, 1)) for n in (1, 2, 3))
    assert two - one == three - two == 17 * 12 * 64**2 + 2 * 17**2 * 64


def test_attention_grows_with_the_square_of_the_patches() -> None:
    shapes, shape = VISION["vit"], shape_of("vit", width=16)
    linear = [shapes.products(shape, Use(n, 0, 0)) - 6 * 2 * (n + 1) ** 2 * 16 for n in (0, 9, 18, 36)]
    assert linear[2] - linear[1] == linear[1] - linear[0]
    assert linear[3] - linear[2] == 2 * (linear[1] - linear[0])


def test_a_stem_of_convolutions_changes_nothing_else() -> None:
    """Xiao et al. 2021: the stem in place of the projection, one block fewer, about as many products."""
    plain = SHAPES["vit"].shape(at("vit", 384, image=224, patch=16, classes=1000))
    stem = SHAPES["vit-hybrid"].shape(at("vit-hybrid", 384, image=224, patch=16, classes=1000))
    assert stem.layers == plain.layers - 1
    assert replace(stem, layers=plain.layers) == plain
    use = Use(196, 0, 1)
    assert VISION["vit-hybrid"].products(stem, use) == pytest.approx(VISION["vit"].products(plain, use), rel=0.01)


@pytest.mark.parametrize("family", VISION)
def test_flop_a_token_is_that_of_an_image_over_its_patches(family: str) -> None:
    known, shape = SHAPES[family], shape_of(family)
    assert known.full_use(shape).encoder == shape.context == 16
    assert known.flop_per_token(shape) * 16 == pytest.approx(known.flop(shape, known.full_use(shape), head_of(family)))


@pytest.mark.parametrize("family", VISION)
@pytest.mark.parametrize("field", ["width", "layers", "classes", "context"])
def test_more_of_anything_costs_more(family: str, field: str) -> None:
    if field == "classes" and family == "clip-vision":
        return
    known, small, times = SHAPES[family], size(family), 4 if field == "context" else 2
    one, other = known.shape(small), known.shape(replace(small, **{field: times * getattr(small, field)}))
    uses = [known.full_use(shape) for shape in (one, other)]
    assert known.flop(other, uses[1]) > known.flop(one, uses[0])
    assert known.memory_bytes(other, other.context, FP32) > known.memory_bytes(one, one.context, FP32)
    grown = known.params(other).total > known.params(one).total
    assert grown == (field != "context" or family in PATCHED)


@pytest.mark.parametrize("family", VISION)
def test_memory_is_states_and_what_images_keep(family: str) -> None:
    known, shape = SHAPES[family], shape_of(family)
    empty, one, two = (known.memory_bytes(shape, 16 * images, FP32) for images in (0, 1, 2))
    assert empty == 16 * known.params(shape).total
    assert two - one == pytest.approx(one - empty)
    assert known.memory_bytes(shape, 16, BF16) < one


@pytest.mark.parametrize(("family", "changes", "where"), [
    ("vit", {"context": 15}, ["context"]),
    ("vit", {"width": 60, "context": 15}, ["context", "width"]),
    ("vit", {"head_width": 0}, ["head_width"]),
    ("vit", {"patch": 0, "classes": -1}, ["patch", "classes"]),
    ("vit", {"vocabulary": 9, "token_types": 2, "decoder_layers": 1}, ["vocabulary", "decoder_layers", "token_types"]),
    ("vit-hybrid", {"patch": 12}, ["patch"]),
    ("vit-hybrid", {"width": 12, "head_width": 4}, ["width"]),
    ("resnet", {"layers": 3, "head_width": 16}, ["layers", "head_width"]),
    ("resnet-basic", {"feed_forward": 64}, ["feed_forward"]),
    ("convnext", {"patch": 12}, ["context"]),
    ("clip-vision", {"embedding_width": 0, "classes": 5}, ["classes", "embedding_width"]),
    ("bert", {"vocabulary": 9, "head_width": 16}, ["patch", "classes"]),
])  # fmt: skip
def test_all_that_is_wrong_with_a_size(family: str, changes: dict[str, int], where: list[str]) -> None:
    found = SHAPES[family].problems(size(family, **changes))
    assert [problem.where for problem in found] == where
    assert all(problem.why and problem.fix for problem in found)
    with pytest.raises(AssertionError):
        SHAPES[family].shape(size(family, **changes))


@pytest.mark.parametrize("family", VISION)
def test_no_head_but_its_own(family: str) -> None:
    with pytest.raises(AssertionError, match="no head 'tokens'"):
        SHAPES[family].params(shape_of(family), "tokens")


@pytest.mark.parametrize("family", ["vit-hybrid", *STAGED])
def test_a_convolution_sees_whole_images(family: str) -> None:
    with pytest.raises(AssertionError, match="whole images"):
        SHAPES[family].flop(shape_of(family), Use(4, 0, 1))


def test_an_older_identity_stays() -> None:
    """Sizes of text say nothing of images, and every size comes back from its json."""
    text = {"width": 64, "layers": 2, "vocabulary": 4096, "context": 128, "head_width": 8}
    assert Size(**text).json() == text
    for family in VISION:
        assert Size(**size(family).json()) == size(family)


def test_no_loss_on_text_offers_a_family_that_sees_images() -> None:
    assert not set(FEATURES) & {*VISION, "clip-text"}
    assert {*FEATURES, *VISION} < {*SHAPES}
    text = {family for facts in FACTS.values() if "text" in facts.needs for family in facts.families}
    assert text
    assert text <= set(FEATURES)


@pytest.mark.parametrize(("family", "width", "layers"), [
    ("vit", 192, 12), ("vit", 768, 12), ("vit", 1024, 24), ("vit", 1280, 32), ("vit", 1664, 48), ("vit", 64, 12),
    ("vit-hybrid", 384, 11), ("resnet", 128, 16), ("convnext", 48, 12), ("convnext", 80, 14), ("convnext", 96, 18),
    ("convnext", 192, 36),
])  # fmt: skip
def test_rungs_have_the_published_depths(family: str, width: int, layers: int) -> None:
    found = at(family, width, image=64, patch=16, classes=10)
    assert found.layers == layers
    assert SHAPES[family].problems(found) == []


def test_a_rung_never_gets_shallower_with_its_width() -> None:
    for rule in RULES.values():
        depths = [depth(rule.depths, width) for width in range(8, 2048, 8)]
        assert depths == sorted(depths)


def test_rungs_of_one_ladder_have_one_head_width() -> None:
    widths = (24, 48, 96)
    found = [at("vit", width, image=32, patch=4, classes=0, head_width=shapes.head_width(widths)) for width in widths]
    assert {one.head_width for one in found} == {8}
    assert at("vit", 768, image=224, patch=16, classes=0).head_width == 64


def test_an_image_that_patches_do_not_fill_is_told() -> None:
    with pytest.raises(StudyError, match="225 pixels") as caught:
        at("vit", 64, image=225, patch=16, classes=10)
    assert "224 or 240" in caught.value.problems[0].fix
    with pytest.raises(StudyError, match="no ladder for the family 'vti'") as caught:
        at("vti", 64, image=224, patch=16, classes=10)
    assert "'vit'" in caught.value.problems[0].fix


def test_shapes_by_sovits_exponents_say_where_they_hold() -> None:
    small = shape_optimised(at("vit", 880, image=224, patch=14, classes=0, head_width=55))
    assert (small.layers, small.feed_forward) == (16, 2065)
    assert SHAPES["vit"].problems(small) == []
    assert outside("vit", VIT.depths[0][0] // 2) == 2.0
