"""MaskVLM: what is hidden and of whom it is told, matches with hard negatives, counts, and the way out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import masked_pairs as cases
import numpy as np
import pytest
import torch
from masked_pairs import CELLS, OPTIONS, ROLES, SIZE, batches, loss, modules, samples
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from keel.model.cross import CrossEncoder
from keel.model.patches import patchify, unpatchify
from keel.objective.base import Batch, Key
from keel.objective.contrastive import CLIP
from keel.objective.draws import uniforms
from keel.objective.facts_maskvlm import MASKVLM, hidden_patches
from keel.objective.maskvlm import MaskVLM
from keel.objective.negatives import drawn, others
from keel.run import engine

pytestmark = pytest.mark.tensor
GROUP = MASKVLM["group"]
Modules = Mapping[str, nn.Module]


def one(of: MaskVLM, number: int = 16) -> Batch:
    return batches(of, samples(number), [number])[0]


def key(batch: Batch, step: int = 0) -> Key:
    return Key(0, step, batch.ids)


def sums(of: MaskVLM, made: Modules, batch: Batch) -> dict[str, Tensor]:
    return dict(of.losses(made, batch, {}, key(batch))[0])


# ---- what is hidden ----


def test_the_shares_that_are_hidden_are_exact_and_fall_everywhere() -> None:
    of, draws = loss(image_rate=0.6, text_rate=0.3), 400
    sample = replace_words(6)
    made = [of.example(sample, np.random.default_rng(seed)) for seed in range(draws)]
    hidden, chosen = (np.stack([example[name] for example in made]) for name in ("hidden", "chosen"))
    assert set(hidden.sum(1)) == {hidden_patches(CELLS, 0.6)} == {2}
    assert set(chosen.sum(1)) == {2}
    # Every patch and every word as likely as any other: within four deviations.
    assert np.abs(hidden.mean(0) - 0.5).max() < 4 * math.sqrt(0.25 / draws)
    assert np.abs(chosen.mean(0)[1:-1] - 1 / 3).max() < 4 * math.sqrt(2 / 9 / draws)


def replace_words(number: int) -> Any:
    """A sample with a caption of so many words, all different."""
    return samples(1)[0]._replace(tokens=np.arange(number) + len(ROLES))


def test_special_tokens_are_never_hidden() -> None:
    """Neither at the ends, which ALBEF's code can hide, nor within."""
    of = loss(text_rate=0.99)
    known = cases.vocabulary()
    within = np.array([known.id_of("unknown"), 7, known.id_of("separator"), 8])
    sample = samples(1)[0]._replace(tokens=within)
    for seed in range(50):
        made = of.example(sample, np.random.default_rng(seed))
        assert made["tokens"][made["chosen"]].tolist() == [7, 8]
        same = ~made["chosen"]
        assert np.array_equal(made["inputs"][same], made["tokens"][same])
    assert made["tokens"][[0, -1]].tolist() == [known.id_of("start"), known.id_of("separator")]


def test_what_is_hidden_is_seen_by_nobody() -> None:
    """Other words and pixels in the hidden places change what is asked, never what is answered."""
    of = loss(mask=1.0, random=0.0)
    made, batch = modules(of), one(of)
    tokens, images = batch.tensors["tokens"].clone(), batch.tensors["images"].clone()
    chosen, hidden = batch.tensors["chosen"], batch.tensors["hidden"]
    tokens[chosen] = len(ROLES) + (tokens[chosen] - len(ROLES) + 1) % 6
    other = Batch({**batch.tensors, "tokens": tokens}, batch.counts, batch.ids)
    ours, theirs = (of.rows(made, each)["mlm"] for each in (batch, other))
    torch.testing.assert_close(ours.hidden, theirs.hidden, rtol=0, atol=0)
    assert not torch.equal(ours.targets, theirs.targets)
    heads: Any = made["heads"]
    changed = patchify(images, SIZE.patch)
    changed[hidden] += 1.0
    blank = heads.blank(images, hidden)
    again = heads.blank(unpatchify(changed, SIZE.patch), hidden)
    torch.testing.assert_close(blank, again, rtol=0, atol=0)
    assert torch.equal(patchify(blank, SIZE.patch)[~hidden], patchify(images, SIZE.patch)[~hidden].double())


# ---- the four terms, by hand ----


def test_the_terms_are_those_of_the_formula() -> None:
    of = loss()
    made, batch = modules(of), one(of)
    found = sums(of, made, batch)
    at, image, text = batch.tensors, made["model"], made["text"]
    seen = torch.cat([(states := image(at["images"])).pooled[:, None], states.patches], 1)
    read = text.library.base_model(input_ids=at["tokens"], attention_mask=at["mask"]).last_hidden_state
    masked = text.library.base_model(input_ids=at["inputs"], attention_mask=at["mask"]).last_hidden_state
    logits = text.library.cls(made["text_reads"](masked, seen, at["mask"], None))
    expected = cross_entropy(logits[at["chosen"]], at["tokens"][at["chosen"]], reduction="sum")
    assert float(found["mlm"].detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    blank = image(made["heads"].blank(at["images"], at["hidden"]))
    told = made["image_reads"](torch.cat([blank.pooled[:, None], blank.patches], 1), read, None, at["mask"])[:, 1:]
    total = 0.0
    for row in range(16):
        for patch in at["hidden"][row].nonzero().flatten().tolist():
            top, left = divmod(patch, 2)
            real = at["images"][row, :, 4 * top : 4 * top + 4, 4 * left : 4 * left + 4].flatten()
            total += float((made["heads"](told[row, patch]) - real).abs().mean().detach())
    assert float(found["mim"].detach()) == pytest.approx(total, rel=1e-6)
    assert batch.counts == {"mim": 32, "mlm": int(at["chosen"].sum()), "itc": 16, "itm": 48}


def test_the_aligning_term_is_clips_and_begins_with_the_log_of_the_batch() -> None:
    of = loss()
    made, batch = modules(of, moved=0.0), one(of)
    features = of.features(made, batch, {}, key(batch))
    assert features is not None
    ours = of.batch_losses(made, features, slice(0, 16))
    theirs = CLIP(OPTIONS, cases.vocabulary()).batch_losses(made, features, slice(0, 16))
    assert float(ours["itc"].detach()) == float(theirs["clip"].detach())
    t = 1 / 0.07
    assert float(ours["itc"].detach()) / 16 <= math.log(16) + t**2 / (2 * SIZE.embedding_width) + 0.5
    again = of.losses(made, batch, {}, key(batch))[1]
    assert again is not None
    assert all(torch.equal(value, again[name]) for name, value in features.items())


def test_matches_begin_at_ln_2() -> None:
    of = loss()
    batch = one(of)
    assert float(sums(of, modules(of, moved=0.0), batch)["itm"].detach()) / 48 == pytest.approx(math.log(2), rel=1e-9)


# ---- who is told by whom ----


@pytest.mark.parametrize(("term", "tower", "reader"), [("mlm", "model", "text_reads"), ("mim", "text", "image_reads")])
def test_one_side_reaches_the_other_through_their_layers_alone(
    term: str, tower: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size() -> float:
        of = loss()
        made, batch = modules(of), one(of)
        sums(of, made, batch)[term].backward()
        found = [weight.grad.norm() for weight in made[tower].parameters() if weight.grad is not None]
        assert cases.grads(made), "the term reaches something"
        return float(torch.stack(found).norm()) if found else 0.0

    assert size() > 1e-3
    plain = CrossEncoder.forward

    def cut(self: Any, states: Tensor, other: Tensor, *more: Any) -> Tensor:
        return plain(self, states, other.detach(), *more)

    monkeypatch.setattr(CrossEncoder, "forward", cut)
    assert size() == 0.0


def test_another_side_is_another_answer() -> None:
    of = loss()
    made, batch = modules(of), one(of)
    turned = Batch({**batch.tensors, "images": batch.tensors["images"].roll(1, 0)}, batch.counts, batch.ids)
    found, other = (of.rows(made, each)["mlm"].hidden for each in (batch, turned))
    assert float((found - other).abs().max().detach()) > 1e-3


# ---- negatives ----


def test_a_negative_is_of_the_group_and_never_its_own_caption() -> None:
    captions = torch.tensor([0, 1, 2, 0, 4, 4, 4, 4, 8, 9])[:, None].expand(-1, 2)
    allowed = others(captions, 4)
    assert allowed[0].nonzero().flatten().tolist() == [1, 2]
    assert allowed[4].any().item() is False
    assert allowed[8].nonzero().flatten().tolist() == [9]
    has = allowed.any(1)
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    for share in (0.0, 0.3, 0.999999999):
        picked = drawn(logits[has], allowed[has], torch.full((int(has.sum()),), share, dtype=torch.float64))
        assert bool(allowed[has].gather(1, picked[:, None]).all())


def test_negatives_are_drawn_by_the_softmax_of_similarities() -> None:
    logits, allowed = torch.tensor([[9.0, 0.0, 1.0, 2.0]]), torch.tensor([[False, True, True, True]])
    number = 4000
    draws = uniforms(Key(0, 3, (5,)), number, torch.device("cpu"))[0]
    picked = drawn(logits.expand(number, -1), allowed.expand(number, -1), draws)
    shares = torch.bincount(picked, minlength=4) / number
    expected = torch.softmax(torch.tensor([-torch.inf, 0.0, 1.0, 2.0]), 0)
    assert float((shares - expected).abs().max()) < 4 * math.sqrt(0.25 / number)
    assert shares[0] == 0


def test_twins_are_no_negatives_and_are_not_counted() -> None:
    of, some = loss(), samples(GROUP)
    twins = [each._replace(tokens=some[0].tokens) for each in some]
    lone = [*twins[:-1], some[-1]]
    made = modules(of)
    for given, count in ((twins, GROUP), (lone, GROUP + 2 * GROUP), (some, 3 * GROUP)):
        batch = batches(of, given, [GROUP])[0]
        assert batch.counts["itm"] == count
        image, text = of.pairs(made, batch, of.features(made, batch, {}, key(batch)), key(batch))
        assert len(image) == len(text) == count
        digests = batch.tensors["digests"]
        alike = (digests[image] == digests[text]).all(-1)
        assert alike[:GROUP].all()
        assert not alike[GROUP:].any()


def test_what_is_drawn_hangs_on_the_pairs_alone() -> None:
    of = loss()
    made, whole = modules(of), one(of)
    found = of.pairs(made, whole, of.features(made, whole, {}, key(whole)), key(whole))
    for at, half in enumerate(batches(of, samples(16), [GROUP, GROUP])):
        part = of.pairs(made, half, of.features(made, half, {}, key(half)), key(half))
        for ours, theirs in zip(part, found):
            for block in range(3):
                mine, first = ours[block * GROUP : (block + 1) * GROUP], block * 16 + at * GROUP
                assert torch.equal(mine + at * GROUP, theirs[first : first + GROUP])
    later = of.pairs(made, whole, of.features(made, whole, {}, key(whole)), key(whole, 1))
    assert not torch.equal(later[1], found[1])


@pytest.mark.parametrize("norms", [False, True])
def test_micro_batches_do_not_change_the_gradient(norms: bool) -> None:
    of, found = loss(), {}
    for cut in ([16], [8, 8]):
        made = modules(of)
        step = engine.accumulate(of, made, batches(of, samples(16), cut), {}, seed=0, step=0, norms=norms)
        assert set(step.terms) == {"mim", "mlm", "itc", "itm"}
        found[len(cut)] = torch.cat([grad.flatten() for grad in cases.grads(made).values()])
        assert all(weight.grad is not None for part in made.values() for weight in part.parameters()) or norms
    assert float((found[1] - found[2]).abs().max()) <= 1e-6 * float(found[1].abs().max())


def test_terms_have_their_weights() -> None:
    of = loss(mim_weight=0.0, itc_weight=0.5)
    assert of.weights(0) == {"mim": 0.0, "mlm": 1.0, "itc": 0.5, "itm": 1.0}
    made = modules(of)
    engine.accumulate(of, made, [one(of)], {}, seed=0, step=0)
    assert not made["heads"].pixels.weight.grad.any()
