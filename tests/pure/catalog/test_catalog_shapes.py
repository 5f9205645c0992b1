"""Parameters from shape, within 2 % of the published count for every row or listed with the reason."""

from __future__ import annotations

import pytest

from keel.catalog.shape_check import APART, check
from keel.catalog.shape_families import RULES
from keel.catalog.store import Catalogue
from keel.model.shapes import SHAPES
from keel.model.shapes.released import RELEASED
from keel.model.shapes.vision_released import VISION_RELEASED


def test_the_list_of_those_apart_is_exact(known: Catalogue) -> None:
    found = {name: check(model) for name, model in known.models.items()}
    compared = {name for name, one in found.items() if one.ratio is not None}
    assert len(compared) >= 179
    assert {name for name in compared if not found[name].agrees} == APART.keys()
    assert all(found[name].why == APART[name] for name in APART)


def test_every_row_with_a_shape_is_counted_or_says_what_is_missing(known: Catalogue) -> None:
    for model in known.models.values():
        found = check(model)
        assert found.computed or found.why, model.id
        if model.layers and model.width and model.family in RULES:
            assert found.computed or "not recorded" in found.why, model.id


# Counted from the released weights: hub metadata of float tensors, or the papers' own exact numbers.
@pytest.mark.parametrize(("name", "params"), [
    ("flan-t5-base", 247_577_856), ("llama-3-8b", 8_030_261_248), ("llama-2-7b", 6_738_415_616),
    ("mistral-7b-v0.1", 7_241_732_096), ("qwen2.5-0.5b", 494_032_768), ("qwen2.5-7b", 7_615_616_512),
    ("qwen3-0.6b", 596_049_920), ("gemma-2-9b", 9_241_705_984), ("mixtral-8x7b", 46_702_792_704),
    ("smollm2-135m", 134_515_008), ("gpt2", 124_439_808), ("pythia-160m", 162_322_944), ("bloom-560m", 559_214_592),
    ("bert-base-uncased", 110_106_428), ("t5-small", 60_506_624), ("vit-base-16-in21k", 86_567_656),
])  # fmt: skip
def test_a_shape_gives_the_released_count_to_the_last_parameter(known: Catalogue, name: str, params: int) -> None:
    found = check(known.models[name])
    assert found.computed is not None
    assert found.computed.params == pytest.approx(params, rel=2e-4)


def test_the_hubs_total_of_pythia_160m_counts_its_masks(known: Catalogue) -> None:
    found = check(known.models["pythia-160m"])
    assert found.computed is not None
    assert found.computed.params + 12 * 2048 * 2048 == pytest.approx(212.7e6, rel=1e-3)


def test_experts_count_once_in_memory_and_by_their_active_ones_in_flop(known: Catalogue) -> None:
    found = check(known.models["mixtral-8x7b"])
    assert found.computed is not None
    assert found.computed.active == pytest.approx(12.9e9, rel=0.02)
    assert found.computed.weight_bytes == 2 * found.computed.params
    assert found.computed.flop_per_token(0) == 6 * found.computed.active


def test_shared_layers_count_once_and_are_computed_every_time(known: Catalogue) -> None:
    found = check(known.models["albert-xxlarge-v2"])
    assert found.computed is not None
    assert found.computed.active > 10 * found.computed.params


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "gpt2", "bloom-560m", "bart-base"])
def test_flop_a_token_agree_with_those_of_keels_own_families(known: Catalogue, name: str) -> None:
    released = RELEASED[name]
    shapes = SHAPES[released.family]
    found = check(known.models[name])
    assert found.computed is not None
    shape = shapes.shape(released.size)
    halves = 2 if shape.decoder_layers else 1
    theirs = shapes.flop_per_token(shape)
    ours = found.computed.flop_per_token(known.models[name].context or 0) / halves
    assert ours == pytest.approx(theirs, rel=0.2 if halves == 2 else 0.02)


# Rows without layers and width are those of keel's own sizes.
@pytest.mark.parametrize(("name", "ours"), [
    ("vit-base-16-in21k", "ViT-B/16"), ("vit-large-16-in21k", "ViT-L/16"), ("deit-small", "ViT-S/16"),
    ("deit3-huge", "ViT-H/14"), ("resnet-18", "ResNet-18"), ("resnet-34", "ResNet-34"), ("resnet-50", "ResNet-50"),
    ("resnet-101", "ResNet-101"), ("resnet-152", "ResNet-152"), ("convnext-tiny", "ConvNeXt-T"),
    ("convnext-small", "ConvNeXt-S"), ("convnext-base", "ConvNeXt-B"), ("convnext-large", "ConvNeXt-L"),
])  # fmt: skip
def test_published_counts_of_image_models_are_those_of_keels_own_families(
    known: Catalogue, name: str, ours: str
) -> None:
    family, size, _, head = VISION_RELEASED[ours]
    counted = SHAPES[family].params(SHAPES[family].shape(size), head).total
    assert known.models[name].params == pytest.approx(counted, rel=5e-4)
