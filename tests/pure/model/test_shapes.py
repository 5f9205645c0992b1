"""size -> shape -> parameters, FLOP, memory, against counts made by hand."""

from __future__ import annotations

import itertools

import pytest

from keel.model.shapes import SHAPES, LlamaShapes, Params, Shape, Size, facts_of, feed_forward_width, head_width

FAMILY = LlamaShapes()


def size(**changes: int) -> Size:
    return Size(**({"width": 64, "layers": 2, "vocabulary": 4096, "context": 128, "head_width": 8} | changes))


def test_counts_made_by_hand() -> None:
    """d 4, f 10, L 1, V 8: q k v o are 4x4 each (64), gate up down 4x10 each (120), norms 4 + 4 and a last 4."""
    shape = Shape(width=4, layers=1, heads=2, feed_forward=10, vocabulary=8, context=16, tied=True)
    assert FAMILY.params(shape) == Params(body=64 + 120 + 8 + 4, embedding=32, head=0)
    assert FAMILY.params(shape).total == 228
    assert FAMILY.flop_per_token(shape) == 6 * (64 + 120 + 32) + 12 * 1 * 16 * 4


def test_an_untied_table_counts_twice() -> None:
    tied = FAMILY.shape(size())
    untied = Shape(**{**vars(tied), "tied": False})
    assert FAMILY.params(untied).head == 4096 * 64
    assert FAMILY.params(untied).total - FAMILY.params(tied).total == 4096 * 64


def test_the_published_count_of_llama_1_7b() -> None:
    """Touvron et al. 2023, arXiv:2302.13971, table 2: d 4096, 32 heads, 32 layers, f 11008, V 32000: 6,738,415,616."""
    shape = Shape(width=4096, layers=32, heads=32, feed_forward=11008, vocabulary=32000, context=2048, tied=False)
    assert FAMILY.params(shape).total == 6_738_415_616


def test_a_block_has_about_twelve_squared_weights() -> None:
    """As in GPT-2 and Kaplan et al. 2020, section 2.1: N = 12 L d^2, here with a gated feed-forward of 8/3 d."""
    for width in (64, 128, 256, 512, 768, 1024, 4096):
        shape = FAMILY.shape(size(width=width, layers=10, head_width=32))
        body = FAMILY.params(shape).body
        assert body == pytest.approx(12 * 10 * width**2, rel=0.02)


@pytest.mark.parametrize("context", [32, 128, 1024])
def test_flop_is_six_n_plus_attention(context: int) -> None:
    shape = FAMILY.shape(size(context=context))
    params = FAMILY.params(shape)
    norms = 2 * 2 * 64 + 64
    attention = 12 * 2 * context * 64
    assert FAMILY.flop_per_token(shape) == 6 * (params.total - norms) + attention


@pytest.mark.parametrize("field", ["width", "layers", "vocabulary", "context"])
def test_more_of_anything_costs_more(field: str) -> None:
    small = size()
    large = size(**{field: 2 * getattr(small, field)})
    one, other = FAMILY.shape(small), FAMILY.shape(large)
    fp32 = {"body": "fp32", "head": "fp32"}
    assert FAMILY.flop_per_token(other) > FAMILY.flop_per_token(one)
    assert FAMILY.memory_bytes(other, 1024, fp32) > FAMILY.memory_bytes(one, 1024, fp32)
    if field == "context":
        assert FAMILY.params(other) == FAMILY.params(one)
    else:
        assert FAMILY.params(other).total > FAMILY.params(one).total


def test_memory_is_states_and_activations() -> None:
    shape = FAMILY.shape(size())
    fp32, bf16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
    empty = FAMILY.memory_bytes(shape, 0, fp32)
    assert empty == 16 * FAMILY.params(shape).total
    grown = [FAMILY.memory_bytes(shape, tokens, fp32) for tokens in (512, 1024, 2048)]
    assert grown[2] - grown[1] == pytest.approx(2 * (grown[1] - grown[0]))
    assert FAMILY.memory_bytes(shape, 1024, bf16) < grown[1]


@pytest.mark.parametrize("width", range(8, 2048, 8))
def test_the_feed_forward_is_near_its_rule(width: int) -> None:
    assert feed_forward_width(width) == pytest.approx(8 * width / 3, abs=33)
    assert feed_forward_width(width) % 2 == 0


def test_head_widths_divide_every_width_and_leave_two_heads() -> None:
    for smallest, step in itertools.product((16, 24, 40, 64, 128, 256), (1, 2, 3)):
        widths = (smallest, smallest * step, 4 * smallest)
        found = head_width(widths)
        assert all(width % found == 0 and width // found >= 2 for width in widths)
        assert found <= 64
        assert found % 2 == 0


def test_a_width_that_heads_do_not_divide_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="not a multiple"):
        FAMILY.shape(size(width=60))


def test_facts_of_reads_what_spec_json_holds() -> None:
    shape, params, flop = facts_of("llama", size().json())
    assert (shape, params, flop) == (FAMILY.shape(size()), FAMILY.params(shape), FAMILY.flop_per_token(shape))
    assert isinstance(SHAPES["llama"], LlamaShapes)
