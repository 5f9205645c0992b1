"""One run of a plan by itself, on one process or on the ranks of torchrun: `python -m keel.run.alone STUDY RUN`.

    torchrun --standalone --nproc-per-node 2 -m keel.run.alone my-study w16-L2-200k-trunk-1a2b3c4d --sharded

The same numbers as `keel run` up to the order of a sum, and bitwise the same again on as many ranks. `--sharded`: each
rank keeps a share of weights, gradients and moments; without it, all of them. A branch needs its trunk first. SIGTERM
saves and ends with 75; the same command goes on, on any number of ranks, sharded or not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from keel.errors import Preempted, StudyError
from keel.run.worker import Flag

DONE, WRONG, PREEMPTED = 0, 2, 75


def main() -> None:
    """Train, judge, write; the code as `keel run` ends with."""
    import torch.distributed as dist

    asked = _asked()
    number = int(os.environ.get("WORLD_SIZE", "1"))
    if number > 1:
        dist.init_process_group("gloo")
    code = _outcome(asked.study, asked.run, asked.sharded)
    sys.stdout.flush()
    sys.stderr.flush()
    if number > 1:
        if code != WRONG:  # what is wrong on one rank alone must not wait for the others
            dist.barrier()
            dist.destroy_process_group()
        # Tearing gloo down within the interpreter's end aborts now and then.
        os._exit(code)
    raise SystemExit(code)


def _asked() -> argparse.Namespace:
    """The command line; one that is wrong is told how it should be and ends with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m keel.run.alone", description="One run of a plan by itself.", allow_abbrev=False
    )
    parser.add_argument("study", type=Path, help="the study's folder, planned")
    parser.add_argument("run", help="the run's id in plan.json")
    parser.add_argument("--sharded", action="store_true", help="split weights, gradients and moments over the ranks")
    return parser.parse_args()


def _outcome(study: Path, run: str, sharded: bool) -> int:
    try:
        result = carry_out(study, run, sharded)
    except Preempted:
        print("saved; the same command goes on", file=sys.stderr)
        return PREEMPTED
    except StudyError as error:
        print(error, file=sys.stderr)
        return WRONG
    if result is not None:
        print(json.dumps(result))
    return DONE


def carry_out(study: Path, run: str, sharded: bool = False) -> dict[str, Any] | None:
    """Train one run of the plan up to its end; its result on rank 0 (None for a trunk, and on other ranks).

    Raises:
        StudyError: no such run in the plan; a branch whose trunk has not come to the branching step; `sharded` where
            the loss or the number of processes does not allow it.
    """
    from keel.corpus.look import source_of
    from keel.corpus.store import open_corpus, prepare
    from keel.files import write_json
    from keel.plan.spec import SCHEMA, from_json
    from keel.plan.verb import read_plan, runs_of
    from keel.run import checkpoint, engine
    from keel.run.finish import finish
    from keel.run.train import Place, train
    from keel.study import load

    made = read_plan(study)
    known = {item["id"]: item for item in runs_of(made)}
    if run not in known:
        raise StudyError(f"the plan has no run '{run}'", why=f"it has {', '.join(known)}", fix="name one of those",
                         where=str(study / "plan.json"))  # fmt: skip
    item = known[run]
    spec, folder, rank = from_json(item["spec"], run), study / "runs" / run, engine.ranks()[0]
    if rank:  # the first one makes what is not there yet
        engine.meet()
    corpus = open_corpus(prepare(study, source_of(study, load(study)), spec.data))
    if not rank:
        write_json(folder / "spec.json", SCHEMA, spec.json())
        engine.meet()
    parent = study / "runs" / item["trunk"] if item["trunk"] else None
    if parent is not None and int(spec.start["step"]) not in checkpoint.steps(parent):
        raise StudyError(
            f"{run} has no step to branch from", why=f"{item['trunk']} has not kept step {spec.start['step']}",
            fix=f"run {item['trunk']} first", where=str(parent),
        )  # fmt: skip
    keep = {int(other["spec"]["start"]["step"]) for other in made["experiments"] if other["trunk"] == run}
    place = Place(folder=folder, parent=parent, sharded=sharded)
    trained = train(spec, place, corpus, spec.steps, keep, _say if not rank else _hush, Flag())
    return finish(spec, folder, corpus, trained) if not rank and not keep else None


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=sys.stderr, flush=True)


def _hush(message: dict[str, Any]) -> None:
    """One rank speaks for all."""


if __name__ == "__main__":
    main()
