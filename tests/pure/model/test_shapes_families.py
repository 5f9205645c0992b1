"""Every text family's arithmetic against published counts, closed forms and counts made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keel.model.shapes import FEATURES, SHAPES, Params, Shape, Size, Use
from keel.model.shapes.released import RELEASED

# What the library (transformers 5.24) counts in the model of the published config file.
PUBLISHED = {
    "bert-base-uncased": 109_514_298,
    "bert-base-uncased, body and pooler": 109_482_240,
    "bert-base-uncased, both heads": 110_106_428,
    "roberta-base": 124_697_433,
    "xlm-roberta-base": 278_295_186,
    "xlm-mlm-en-2048": 667_119_041,
    "albert-base-v2, body and pooler": 11_683_584,
    "electra-small-discriminator": 13_549_057,
    "electra-small-generator": 13_546_682,
    "deberta-v3-base, body": 183_831_552,
    "ModernBERT-base": 149_655_232,
    "bigbird-roberta-base": 128_111_286,
    "gpt2": 124_439_808,
    "opt-125m": 125_239_296,
    "bloom-560m": 559_214_592,
    "bart-base": 139_420_416,
    "bart-large": 406_291_456,
    "mbart-large-cc25": 610_851_840,
    "m2m100_418M": 483_905_536,
    "bigbird-pegasus-large": 576_891_904,
}
FP32 = {"body": "fp32", "head": "fp32"}


def size(**changes: int) -> Size:
    return Size(**({"width": 64, "layers": 4, "vocabulary": 500, "context": 128, "head_width": 16} | changes))


def shape_of(family: str, **changes: int) -> Shape:
    return SHAPES[family].shape(size(**changes))


@pytest.mark.parametrize(("name", "total"), PUBLISHED.items())
def test_the_published_count(name: str, total: int) -> None:
    family, released, head = RELEASED[name]
    shapes = SHAPES[family]
    assert shapes.params(shapes.shape(released), head).total == total


def test_t5_1_1_small_has_heads_narrower_than_its_width() -> None:
    """d 512, 6 heads of 64, 8 + 8 layers, f 1024: 76,961,152 with the output table of its own."""
    shape = Shape(
        width=512, layers=8, heads=6, head_width=64, feed_forward=1024, vocabulary=32128, context=512, tied=False,
        decoder_layers=8,
    )  # fmt: skip
    assert SHAPES["t5"].params(shape).total == 76_961_152
    assert SHAPES["t5"].params(shape).head == 32128 * 512
    assert SHAPES["t5"].params(replace(shape, tied=True)).total == 60_511_616


def test_alexatm_is_what_its_layout_says() -> None:
    """46 x 12 d^2 + 32 x 16 d^2 + 3 V d (Soltan et al. 2022, section 2), and norms, biases and positions on top."""
    family, released, _ = RELEASED["AlexaTM 20B, as the paper lays it out"]
    params = SHAPES[family].params(SHAPES[family].shape(released))
    d, v = 4096, 150_000
    layout = 46 * 12 * d**2 + 32 * 16 * d**2 + 3 * v * d
    assert layout < params.total == pytest.approx(layout, rel=2e-3)
    assert params.total == pytest.approx(19.75e9, rel=3e-3)
    assert params.head == v * d
    assert params.embedding == 2 * v * d + 2 * (1024 + 2) * d


def test_bert_counted_by_hand() -> None:
    """d 4, f 16, V 8, T 6: attention 4 (16 + 4), feed-forward 64 + 16 + 64 + 4, two norms 16; the norm in front 8."""
    shape = Shape(width=4, layers=1, heads=2, feed_forward=16, vocabulary=8, context=6, tied=True, token_types=2)
    transform = 16 + 4 + 8
    assert SHAPES["bert"].params(shape) == Params(80 + 148 + 16 + 8, (8 + 6 + 2) * 4, transform + 8)
    pooler, pair = 20, 10
    assert SHAPES["bert"].params(shape, "sentences").head == transform + 8 + pooler + pair
    assert SHAPES["bert"].params(shape, "body").head == pooler


def test_shared_layers_count_once_and_are_computed_every_time() -> None:
    few, many = shape_of("albert", layers=2), shape_of("albert", layers=12)
    shapes = SHAPES["albert"]
    assert shapes.params(few) == shapes.params(many)
    body = shapes.flop(many, Use(64)) - shapes.flop(few, Use(64))
    assert body == 6 * 10 * (64 * 12 * 64**2 + 2 * 64 * 64 * 64)


def test_a_factorised_table_is_narrow_and_mapped() -> None:
    shapes = SHAPES["electra"]
    plain, narrow = shape_of("electra"), shape_of("electra", embedding_width=16)
    assert shapes.params(plain).embedding == 4 * shapes.params(narrow).embedding == (500 + 128 + 2) * 64
    mapping, norm, transform = 17 * 64, 2 * (64 - 16), 64 * 48 + 3 * 48
    assert shapes.params(narrow).body - shapes.params(plain).body == mapping - norm
    assert shapes.params(plain).head - shapes.params(narrow).head == transform
    # A generator a quarter as wide keeps the discriminator's table.
    generator = shape_of("electra", width=16, head_width=4, embedding_width=16)
    assert shapes.params(generator).embedding == shapes.params(narrow).embedding


@pytest.mark.parametrize("family", FEATURES)
def test_flop_is_six_n_plus_attention(family: str) -> None:
    """6 x (parameters that are multiplied) a token, and 12 L T a for the scores, both stacks and cross attention."""
    features, shapes, shape = FEATURES[family], SHAPES[family], shape_of(family)
    d, f, n = 64, shape.feed_forward, 128
    layer = 4 * d * d + (3 if features.gated else 2) * d * f
    weights = 6 * n * (4 * layer) + 12 * 4 * n * n * d
    if features.kind == "encoder-decoder":
        m = 32
        weights += 6 * shape.decoder_layers * (m * layer + 2 * d * d * (m + n)) + 12 * shape.decoder_layers * d * (
            m * m + m * n
        )
    else:
        m = 0
    weights += 6 * n * d * d if features.always_mapped else 0
    weights += 12 * 4 * d * 256 * n + 12 * 4 * 256 * d * d if features.distance_buckets else 0
    assert shapes.flop(shape, Use(n, m), "body") == weights + (6 * d * d if features.heads["body"] else 0)


@pytest.mark.parametrize("family", FEATURES)
def test_a_row_at_the_head_costs_its_table_and_transform(family: str) -> None:
    shapes, shape = SHAPES[family], shape_of(family)
    row = shapes.flop(shape, Use(64, 8, 5)) - shapes.flop(shape, Use(64, 8, 4))
    transform = 64 * 64 if FEATURES[family].transform else 0
    assert row == 6 * (transform + 500 * 64)


def test_masked_rows_alone_save_most_of_the_head() -> None:
    shapes, shape = SHAPES["bert"], shape_of("bert", vocabulary=30522)
    full, masked = shapes.flop(shape, Use(128, head=128)), shapes.flop(shape, Use(128, head=19))
    assert full - masked == 6 * 109 * (64 * 64 + 30522 * 64)
    assert masked < 0.25 * full


def test_distances_are_projected_once_a_forward_pass() -> None:
    shapes, shape = SHAPES["deberta-v2"], shape_of("deberta-v2")
    alone, four = shapes.flop(shape, Use(64)), shapes.flop(shape, Use(64, batch=4))
    projected = 6 * 4 * 2 * 64 * 64 * 2 * 128
    assert alone - four == pytest.approx(0.75 * projected)
    assert SHAPES["bert"].flop(shape, Use(64)) == SHAPES["bert"].flop(shape, Use(64, batch=4))


def test_sparse_attention_counts_the_blocks_that_meet() -> None:
    """64 blocks of 64: the first and last meet all 64, their neighbours 7, the other 60 meet 8: 622 of 4096."""
    shapes = SHAPES["bigbird"]
    shape = shape_of("bigbird", context=4096)
    layer = 12 * 64 * 64
    assert shapes.flop(shape, Use(4096), "body") == 6 * 4 * (4096 * layer + 2 * 64 * 64**2 * 622) + 6 * 64 * 64
    short = shapes.flop(shape, Use(704), "body")
    assert short == SHAPES["bert"].flop(shape, Use(704), "body")
    assert shapes.flop(shape, Use(705)) == shapes.flop(shape, Use(768))
    assert shapes.flop(shape, Use(768)) < SHAPES["bert"].flop(shape, Use(768))


def test_flop_a_token_is_that_of_a_full_sample() -> None:
    for family, features in FEATURES.items():
        shapes, shape = SHAPES[family], shape_of(family)
        use = shapes.full_use(shape)
        assert use.decoder == (128 if features.kind == "encoder-decoder" else 0)
        assert shapes.flop_per_token(shape) * (use.encoder + use.decoder) == pytest.approx(shapes.flop(shape, use))


@pytest.mark.parametrize("family", FEATURES)
@pytest.mark.parametrize("field", ["width", "layers", "vocabulary", "context"])
def test_more_of_anything_costs_more(family: str, field: str) -> None:
    shapes = SHAPES[family]
    one = shapes.shape(size())
    other = shapes.shape(size(**{field: 2 * getattr(size(), field)}))
    assert shapes.flop_per_token(other) > shapes.flop_per_token(one)
    assert shapes.memory_bytes(other, 1024, FP32) > shapes.memory_bytes(one, 1024, FP32)
    assert shapes.params(other).total >= shapes.params(one).total
    if field != "context" and (field, FEATURES[family].shared_layers) != ("layers", True):
        assert shapes.params(other).total > shapes.params(one).total


def test_a_shorter_target_needs_less_memory() -> None:
    shapes, shape = SHAPES["t5"], shape_of("t5")
    full, half = (shapes.memory_bytes(shape, 1024, FP32, tokens) for tokens in (1024, 512))
    assert full == shapes.memory_bytes(shape, 1024, FP32)
    a_token = (10 + 7) * 64 + 7 * shape.feed_forward + 2 * 4 * 128
    assert full - half == 4 * 512 * shape.decoder_layers * a_token


def test_decoder_depth_follows_the_family() -> None:
    assert shape_of("bart", layers=6).decoder_layers == 6
    assert shape_of("alexatm", layers=46).decoder_layers == 32
    assert shape_of("alexatm", layers=1).decoder_layers == 1
    assert shape_of("bart", layers=6, decoder_layers=2).decoder_layers == 2
    assert shape_of("bert").decoder_layers == 0


def test_a_sizes_identity_holds_no_field_that_was_not_chosen() -> None:
    plain = {"width": 64, "layers": 4, "vocabulary": 500, "context": 128, "head_width": 16}
    assert size().json() == plain
    assert list(size().json()) == list(plain)
    asked = size(decoder_layers=3, feed_forward=100)
    assert asked.json() == plain | {"decoder_layers": 3, "feed_forward": 100}
    assert Size(**asked.json()) == asked


@pytest.mark.parametrize(
    ("family", "changes", "fields"),
    [
        ("bert", {"width": 60}, ["width"]),
        ("bert", {"layers": 0, "vocabulary": -1}, ["layers", "vocabulary"]),
        ("bert", {"feed_forward": -1}, ["feed_forward"]),
        ("bert", {"decoder_layers": 2, "embedding_width": 8}, ["decoder_layers", "embedding_width"]),
        ("gpt2", {"token_types": 2}, ["token_types"]),
        ("xlm", {"token_types": 1}, ["token_types"]),
        ("xlm", {"feed_forward": 100}, ["feed_forward"]),
        ("bloom", {"feed_forward": 100, "width": 60}, ["width", "feed_forward"]),
        ("llama", {"width": 60, "head_width": 15}, ["head_width"]),
        ("modernbert", {"width": 1, "head_width": 1}, ["head_width"]),
        ("m2m_100", {"width": 2, "head_width": 2}, ["width"]),
        ("bigbird", {"context": 1000}, ["context"]),
        ("bigbird_pegasus", {"context": 705}, ["context"]),
    ],
)
def test_a_size_that_is_no_model_is_told_in_full(family: str, changes: dict[str, int], fields: list[str]) -> None:
    found = SHAPES[family].problems(size(**changes))
    assert [problem.where for problem in found] == fields
    assert all(problem.what and problem.why and problem.fix for problem in found)
    with pytest.raises(AssertionError):
        SHAPES[family].shape(size(**changes))


@pytest.mark.parametrize(
    ("family", "changes"),
    [("xlm", {"token_types": 15}), ("xlm", {"feed_forward": 256}), ("bigbird", {"context": 704}),
     ("bigbird", {"context": 1024}), ("albert", {"embedding_width": 32}), ("roberta", {"token_types": 2}),
     ("t5", {"decoder_layers": 1}), ("llama", {"feed_forward": 100})],
)  # fmt: skip
def test_a_size_that_is_a_model_passes(family: str, changes: dict[str, int]) -> None:
    assert SHAPES[family].problems(size(**changes)) == []
    assert SHAPES[family].shape(size(**changes)).width == 64


def test_a_head_that_a_family_has_not_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="no head 'replaced'"):
        SHAPES["gpt2"].params(shape_of("gpt2"), "replaced")
    with pytest.raises(AssertionError, match="no head 'sentences'"):
        SHAPES["roberta"].flop(shape_of("roberta"), Use(8), "sentences")
