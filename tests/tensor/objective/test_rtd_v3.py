"""DeBERTa-v3's replaced token detection: who moves which table, and what a stranger loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import CASES, CONTEXT, VOCABULARY, Case, key, one
from torch import nn
from torch.nn.functional import embedding

from keel import model as models
from keel.model import families, sharing
from keel.model.shapes import Size
from keel.objective.base import Scratch
from keel.objective.rtd_v3 import RTDv3
from keel.plan.spec import example_spec
from keel.run import optimiser

pytestmark = pytest.mark.tensor
GDES_ELECTRA = Case("rtd", "electra", options={"sharing": "gdes"})


def tables(modules: dict[str, nn.Module], name: str = "word_embeddings") -> tuple[Any, Any]:
    """(the discriminator's table, the generator's)."""
    parts: Any = modules
    made = (getattr(parts[part].library.base_model.embeddings, name) for part in ("model", "generator"))
    model, generator = made
    return model, generator


def moved_by_the_discriminator(case: Case) -> dict[str, tuple[float, float]]:
    """(|dL_rtd / dE_G|, |dL_rtd / d delta|) of each shared table."""
    loss, modules, batch = one(case)
    loss.losses(modules, batch, {}, key(batch))[0]["rtd"].backward()
    found = {}
    for name in sharing.shared(modules["model"].library, modules["generator"].library):
        model, generator = tables(modules, name)
        source = 0.0 if generator.weight.grad is None else float(generator.weight.grad.abs().max())
        found[name] = (source, float(model.weight.grad.abs().max()))
    return found


def test_the_discriminator_moves_its_difference_and_never_the_generators_table() -> None:
    assert list(moved_by_the_discriminator(CASES["rtd-v3"])) == ["word_embeddings"]
    assert list(moved_by_the_discriminator(GDES_ELECTRA)) == ["word_embeddings", "position_embeddings"]
    for case in (CASES["rtd-v3"], GDES_ELECTRA):
        for source, difference in moved_by_the_discriminator(case).values():
            assert source == 0.0
            assert difference > 0.1


def test_a_shared_table_without_the_stop_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake, put into the product: the source is looked up with its gradient."""

    def joined(self: Any, input: torch.Tensor) -> torch.Tensor:
        return embedding(input, self._source[0].weight) + embedding(input, self.weight)

    monkeypatch.setattr(sharing.Disentangled, "forward", joined)
    with pytest.raises(AssertionError):
        test_the_discriminator_moves_its_difference_and_never_the_generators_table()


def test_the_discriminator_sees_the_generators_table_and_its_difference() -> None:
    modules = CASES["rtd-v3"].parts()
    model, generator = tables(modules)
    tokens = torch.arange(VOCABULARY.size)
    assert (model.weight == 0).all()
    assert torch.equal(model(tokens), generator.weight)
    with torch.no_grad():
        model.weight.normal_()
        generator.weight.mul_(3.0)
    torch.testing.assert_close(model(tokens), generator.weight + model.weight, rtol=0, atol=0)
    assert not any(weight is generator.weight for weight in modules["model"].parameters())


def test_the_generators_loss_moves_its_table_and_no_difference() -> None:
    loss, modules, batch = one(CASES["rtd-v3"])
    loss.losses(modules, batch, {}, key(batch))[0]["mlm"].backward()
    model, generator = tables(modules)
    assert float(generator.weight.grad.abs().max()) > 0.1
    assert model.weight.grad is None


def test_two_optimisers_each_with_its_own_and_the_weight_between_them_is_lost() -> None:
    """Under two Adams only epsilon and clipping feel `weight`: here neither, so ten times it makes the same step."""
    size = {"width": 32, "layers": 1, "vocabulary": VOCABULARY.size, "context": CONTEXT, "head_width": 8}
    plan = RTDv3({}, VOCABULARY).parts("deberta-v2", Size(**size), Scratch())
    after = []
    for weight in (10.0, 100.0):
        loss, modules, batch = one(Case("rtd-v3", "deberta-v2", options={"weight": weight}))
        made = optimiser.build(modules, plan, example_spec(epsilon=1e-30))
        assert {name: len(optimiser.weights(adam)) for name, adam in made.items()} == {
            "discriminator": len(list(modules["model"].parameters())),
            "generator": len(list(modules["generator"].parameters())),
        }
        sums, *_ = loss.losses(modules, batch, {}, key(batch))
        (sums["mlm"] + loss.weights(0)["rtd"] * sums["rtd"]).backward()
        optimiser.step(made, 1.0, clip_norm=1e9)
        after.append(torch.cat([w.detach().reshape(-1) for module in modules.values() for w in module.parameters()]))
    torch.testing.assert_close(*after, rtol=1e-9, atol=1e-9)


def test_the_generator_is_half_as_deep_as_wide_and_has_a_mask_decoder() -> None:
    size = Size(width=64, layers=6, vocabulary=64, context=CONTEXT, head_width=16)
    parts = RTDv3({}, VOCABULARY).parts("deberta-v2", size, Scratch())
    generator = parts["generator"]
    assert (generator.size.width, generator.size.layers, generator.head) == (64, 3, "enhanced")
    assert (parts["model"].head, parts["model"].optimiser, generator.optimiser) == (
        "replaced", "discriminator", "generator",
    )  # fmt: skip
    assert RTDv3({}, VOCABULARY).weights(0) == {"rtd": 10.0}


@pytest.mark.parametrize("case", [CASES["rtd-v3"], GDES_ELECTRA], ids=["deberta-v2", "electra"])
def test_a_stranger_loads_the_discriminator_whole(case: Case, tmp_path: Path) -> None:
    """Exported, the table is source + difference, and the library's own model gives the same states."""
    modules = case.parts(torch.float32)
    model: Any = modules["model"]
    with torch.no_grad():
        for table in sharing.shared(model.library, modules["generator"].library):
            tables(modules, table)[0].weight.normal_()
    models.load(case.family).export(model, tmp_path)
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    loaded = transformers.AutoModel.from_pretrained(tmp_path).eval()
    transformers.logging.set_verbosity(level)
    tokens = torch.arange(4, 4 + CONTEXT)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=tokens).last_hidden_state, model.eval()(input_ids=tokens))
    assert families.count(loaded) > 0
