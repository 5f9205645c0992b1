"""Distillation: a student learns any loss's targets, and what a frozen teacher thinks of every one of them.

Legend: n target rows, V vocabulary, T temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from keel import objective
from keel.corpus.match import NONE, match
from keel.errors import Problem, StudyError
from keel.model.divergence import Teacher, divergence_sum
from keel.model.shapes import Size
from keel.objective import distil_checks as checks
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Rows,
    Sample,
    Start,
    Stats,
    Sums,
    Window,
    start_from,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.held import TERM, one_of, teacher_of
from keel.objective.options import OPTIONS

DISTIL, COSINE = "distil", "cosine"
# A context for which a loss says its special tokens; their number may grow with it, their kinds do not.
NOMINAL_CONTEXT = 64


class Distil(Objective):
    """L = alpha T^2 KL(p || q) + (1 - alpha) L_held + cosine (1 - cos(h_teacher, h_student)), each a mean over targets.

    p and q are softmaxes over T of the teacher's and the student's logits, on the rows that the held loss predicts:
    padding and what is given never count. Terms: those of the held loss, "distil.term" and "cosine.term" for each.
    Options: `of` {loss, options}; `teacher` {start, family, size} (a release's family and size are read from its
    folder); `alpha`; `temperature`; `top` (k > 0: the teacher's k likeliest tokens alone, biased as
    `model.divergence.divergence_sum` says); `cosine` (a weight; 0: no such term; it needs equal widths, and is taken on
    the target rows, DistilBERT's on every token); `map` {tokenizer, sha256, least}: the teacher reads its own ids,
    matched by the text of the tokens, with its unknown token where it has no such one, and predicts over the tokens
    that both have; refused where it has less than a share `least` of the student's.

    Reference: Hinton et al. 2015, arXiv:1503.02531, section 2; Sanh et al. 2019, arXiv:1910.01108, section 2 (cosine).

    Raises:
        StudyError: options that are unknown or out of range, a loss without rows, a map that covers too little.
    """

    facts: ClassVar[Facts] = FACTS["distil"]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        at = self.options = OPTIONS["distil"].checked(self.options, "distil")
        held = one_of(at)
        self.of = objective.load(held.loss, held.options, self._vocabulary)
        problems = checks.unfit(self.of, held.loss)
        if problems:
            raise StudyError.all(problems)
        self.terms = (*self.of.terms, *(DISTIL + TERM + term for term in self.of.terms))
        self.terms += tuple(COSINE + TERM + term for term in self.of.terms if at["cosine"])
        self.optional = tuple(term for term in self.terms if self._held(term) in self.of.optional)
        self.variants, self.same_passes = self.of.variants, self.of.same_passes
        self._unknown = NONE
        self._ids = self._read_map(at["map"]) if at["map"] else None

    def _held(self, term: str) -> str:
        """The held loss's term that a term is about."""
        kind, _, rest = term.partition(TERM)
        return rest if kind in (DISTIL, COSINE) and term not in self.of.terms else term

    def _read_map(self, given: Mapping[str, Any]) -> Tensor:
        """The teacher's id of every token of the student, -1 for none."""
        theirs = checks.tokenizer(given)
        found = match(self.vocabulary, theirs)
        needed = set(self.of.facts.roles(self.of.options, NOMINAL_CONTEXT)) & set(found.lost)
        problems = [
            Problem(f"the teacher has no '{role}' token", "the held loss asks with it",
                    "choose a teacher that was trained with this loss", "options.map") for role in sorted(needed)
        ]  # fmt: skip
        least = float(given.get("least", checks.LEAST_COVERAGE))
        covered = f"{found.covered:,} of {found.ordinary:,} tokens"
        if found.coverage < least:
            problems.append(Problem(f"the teacher knows {covered}", f"less than a share of {least:g}",
                                    "encode the data with the teacher's tokenizer, or choose another teacher",
                                    "options.map"))  # fmt: skip
        self._unknown = theirs.special.get("unknown", NONE)
        if found.covered < found.ordinary and self._unknown == NONE:
            problems.append(Problem(f"the teacher cannot read {found.ordinary - found.covered:,} tokens",
                                    "it has no unknown token to read in their place",
                                    "encode the data with the teacher's tokenizer", "options.map"))  # fmt: skip
        if problems:
            raise StudyError.all(problems)
        self.notes = (f"the teacher's vocabulary is matched by text: it has {covered} ({found.coverage:.1%})",)
        return torch.from_numpy(found.ids)

    def window(self, context: int) -> Window:
        """The held loss's."""
        return self.of.window(context)

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The held loss's parts and the frozen teacher.

        Raises:
            StudyError: a teacher that cannot answer the student's questions.
        """
        own = dict(self.of.parts(family, size, start))
        theirs, of = teacher_of(self.options, size.context)
        mapped = self._ids is not None
        problems = checks.misfits(theirs, of, family, size, mapped=mapped, cosine=bool(self.options["cosine"]))
        if "teacher" in own:
            problems.append(Problem("the held loss has a part 'teacher' of its own", "there is room for one",
                                    "hold another loss", "options.of"))  # fmt: skip
        if problems:
            raise StudyError.all(problems)
        if not mapped:
            of = Size(**{**of.json(), "vocabulary": size.vocabulary})
        teacher_start = start_from(self.options["teacher"]["start"], "options.teacher.start")
        return {**own, "teacher": Part(family=theirs, size=of, start=teacher_start, role="frozen",
                                       vocabulary="own" if mapped else "run")}  # fmt: skip

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """The held loss's."""
        return self.of.join(parts)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The held loss's."""
        return self.of.example(sample, rng)

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """The held loss's; every target is counted once for each term about it."""
        made = self.of.collate(examples, ids)
        return Batch(made.tensors, {term: made.counts[self._held(term)] for term in self.terms}, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """All sums from one pass of the student and one of the teacher; stats: probability left out by `top`."""
        model: Any = parts["model"]
        found = self.of.rows(parts, batch)
        teacher: Any = parts["teacher"]
        asking: Any = _Reader(teacher, self._ids, self._unknown)
        asked = self.of.rows({"model": asking}, batch)
        without = [term for term in self.of.terms if batch.counts[term] and term not in found]
        if without:
            raise StudyError(f"term '{without[0]}' has no rows to distil", why="it does not predict tokens row by row",
                             fix="hold a loss that predicts tokens only", where="options.of")  # fmt: skip
        sums: Sums = {}
        tail = torch.zeros(())
        for term, rows in found.items():
            sums[term] = model.nll(*rows)
            sums[DISTIL + TERM + term], left = self._divergence(model, rows, teacher, asked[term])
            tail = tail + left.float()
            if self.options["cosine"]:
                apart = 1.0 - cosine_similarity(rows.hidden, asked[term].hidden.to(rows.hidden), dim=-1)
                sums[COSINE + TERM + term] = apart.sum()
        nothing = next(iter(sums.values())).detach().new_zeros(())
        return {term: sums.get(term, nothing) for term in self.terms}, None, {"left_out_probability": tail}

    def _divergence(self, model: Any, rows: Rows, teacher: Any, asked: Rows) -> tuple[Tensor, Tensor]:
        at = self.options
        with torch.no_grad():
            theirs = Teacher(teacher.rows(asked.hidden), teacher.table, teacher.bias, self._ids)
        return divergence_sum(
            model.rows(rows.hidden), model.table, model.bias, theirs, temperature=float(at["temperature"]),
            top=int(at["top"]), precision=model.head_precision,
        )  # fmt: skip

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The held loss's."""
        return self.of.rows(parts, batch)

    def weights(self, step: int) -> Mapping[str, float]:
        """alpha, 1 - alpha and the cosine's weight, each times the held loss's own."""
        alpha, own = float(self.options["alpha"]), self.of.weights(step)
        kinds = {DISTIL: alpha, COSINE: float(self.options["cosine"])}
        return {
            term: own.get(self._held(term), 1.0)
            * (1.0 - alpha if term in self.of.terms else kinds[term.partition(TERM)[0]])
            for term in self.terms
        }

    def momentum(self, step: int, decayed: float) -> float:
        """The held loss's."""
        return self.of.momentum(step, decayed)

    def init_carry(self, parts: Mapping[str, nn.Module]) -> Carry:
        """The held loss's."""
        return self.of.init_carry(parts)

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """The held loss's."""
        return self.of.after_step(parts, carry, stats, step)

    def told(self, stats: Stats) -> Mapping[str, float]:
        """The held loss's."""
        return self.of.told(stats)


class _Reader:
    """A teacher in the student's place: it reads the student's ids as its own, and nothing of it is learnt."""

    def __init__(self, teacher: Any, ids: Tensor | None, unknown: int) -> None:
        self.teacher, self.unknown = teacher, unknown
        self.ids = None if ids is None else torch.where(ids < 0, unknown, ids)

    def __call__(self, **inputs: Tensor) -> Tensor:
        if self.ids is not None:
            inputs = {name: self.ids[value] if name.endswith("input_ids") else value for name, value in inputs.items()}
        with torch.no_grad():
            hidden: Tensor = self.teacher(**inputs)
        return hidden

    def __getattr__(self, name: str) -> Any:
        return getattr(self.teacher, name)
