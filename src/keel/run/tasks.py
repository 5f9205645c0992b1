"""Samples of instructions: rounds in which every task has as many places as its cap allows, none of its pairs left out.

Legend: n_i pairs of task i that fit, m_i its places in a round, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.corpus.instructions import Instructions, slots
from keel.corpus.parallel import Bitext, Lines
from keel.errors import Problem, StudyError
from keel.objective.base import Objective, Sample
from keel.run.draws import Samples


class Tasks(Samples):
    """Place r of task i in round c is its pair (c m_i + r) mod n_i; R = max_i ceil(n_i / m_i) rounds make an epoch.

    So each round has the rates min(n_i, cap) exactly, and an epoch every pair of every task at least once.
    `once`: each pair a single time, whatever the cap; tasks none of whose pairs fit are passed over.

    Raises:
        StudyError: pairs longer than the context, held out or not, unless they are to be left out (`left_out` counts
            them); a task without a pair that fits.
    """

    def __init__(self, corpus: Instructions, objective: Objective, context: int, *, once: bool = False) -> None:
        most, stacks = objective.window(context).length, int(objective.options["stacks"])
        self.tasks, self.kept, self.left_out = list[Bitext](), list[np.ndarray](), dict[str, int]()
        problems = []
        for name, task in corpus.tasks.items():
            fits, held = (_lengths(part, stacks) <= most for part in (task.train, task.heldout))
            self.left_out[name] = int(np.count_nonzero(~fits))
            if not once:
                problems += _problems(name, task, (fits, held), most, objective.options["too_long"] == "leave out")
            if fits.any():
                self.tasks.append(task)
                self.kept.append(np.flatnonzero(fits))
        if problems:
            raise StudyError.all(problems)
        number = sum(self.left_out.values())
        self.notes = (f"{number} pairs are left out: they are over {most} tokens",) if number else ()
        counts = [len(each) for each in self.kept]
        self.places = slots(counts, 0 if once else int(objective.options["cap"]))
        self.ends = np.cumsum(self.places)
        self.rounds = max((-(-count // places) for count, places in zip(counts, self.places)), default=0)

    def __len__(self) -> int:
        return self.rounds * int(self.ends[-1]) if self.rounds else 0

    def __getitem__(self, index: int) -> Sample:
        turn, slot = divmod(index, int(self.ends[-1]))
        task = int(np.searchsorted(self.ends, slot, side="right"))
        kept, places = self.kept[task], self.places[task]
        place = slot - (int(self.ends[task]) - places)
        pair = int(kept[(turn * places + place) % len(kept)])
        prompt, answer = self.tasks[task].train
        return Sample(index, prompt[pair], answer[pair])


def _lengths(part: Sequence[Lines], stacks: int) -> np.ndarray:
    """Tokens that must fit: of both sides in one stack, of the longer side in two."""
    prompt, answer = (side.lengths for side in part)
    return prompt + answer if stacks == 1 else np.maximum(prompt, answer)


def _problems(
    name: str, task: Bitext, parts: tuple[np.ndarray, np.ndarray], most: int, leave_out: bool
) -> list[Problem]:
    where, fits = str(task.folder), np.concatenate(parts)
    number = int(np.count_nonzero(~fits))
    if number and not leave_out:
        return [Problem(f"{number} of {len(fits)} pairs of '{name}' are longer than the context",
                        f"{most} tokens fit; the first that do not are pair {int(np.argmin(fits))}",
                        "set model.context higher, or train.options.too_long = 'leave out'", where)]  # fmt: skip
    if not parts[0].any():
        return [Problem(f"no pair of '{name}' fits the context", f"{most} tokens fit", "raise model.context", where)]
    return []
