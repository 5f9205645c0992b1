"""Scenes never seen are captioned word for word; CoCa does that and finds captions too, where each loss alone does not.

A mutant of the product does neither.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captioned_scenes import Known, known, loss_of, trained
from torch import Tensor

from keel.model.captioner import Captioner

pytestmark = pytest.mark.proof
STEPS = 250
# Words' frequencies alone cost about 2.5 nats a token; a scene's caption has 7.05 nats in all.
RIGHT, KNOWN_NATS, FOUND, CHANCE = 0.9, 0.7, 0.75, 0.1


@pytest.fixture(scope="module")
def both() -> Known:
    """CoCa with the paper's weights."""
    return learnt("coca", STEPS)


def learnt(name: str, steps: int, **options: Any) -> Known:
    loss = loss_of(name, **options)
    return known(loss, trained(loss, steps))


def test_scenes_never_seen_are_captioned_and_found(both: Known) -> None:
    assert both.exact > RIGHT
    assert both.nats < KNOWN_NATS
    assert both.recall is not None
    assert both.recall > FOUND


def test_captioning_alone_captions_them_and_has_no_way_to_find_them(both: Known) -> None:
    alone = learnt("captioning", STEPS)
    assert alone.exact > RIGHT
    assert both.nats < alone.nats + 0.2
    assert alone.recall is None


def test_the_contrast_alone_finds_them_and_writes_nothing(both: Known) -> None:
    """The same parts, FLOP and steps."""
    alone = learnt("coca", STEPS, lambda_cap=0.0)
    assert alone.recall is not None
    assert both.recall is not None
    assert both.recall > alone.recall - 0.1
    assert alone.exact == 0.0
    assert alone.nats > 6.0


def test_captions_alone_leave_the_shared_space_as_it_was() -> None:
    alone = learnt("coca", 60, lambda_con=0.0)
    assert alone.recall is not None
    assert alone.recall < CHANCE


def test_without_its_cross_path_no_caption_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Captioner.write

    def blind(self: Captioner, rows: Tensor, image: Tensor) -> Tensor:
        return plain(self, rows, torch.zeros_like(image))

    monkeypatch.setattr(Captioner, "write", blind)
    found = learnt("captioning", 80)
    assert found.exact < 0.05
    assert found.nats > 6.0
