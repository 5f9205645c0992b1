"""The peers of the forecast benchmark, run in their own environment: jobs in as JSON lines, answers out as JSON lines.

A job has `peer`, `rows` [[params, tokens, flop, loss]], `points` [[params, tokens, flop]], `levels`, `cap_cpu_s`,
`grid_points`. Each peer is used as its README shows; only the fit and one forecast are on the clock.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

# chinchilla's README grid for an existing dataset: (first, last) of each axis.
README_GRID = {"E": (1, 2), "a": (1, 10), "b": (1, 10), "alpha": (0.1, 0.7), "beta": (0.1, 0.7)}
LOSS = "test_loss__value"


class OutOfTimeError(BaseException):
    """The cap is reached. Not an Exception: a peer that catches those may not swallow it."""


def chinchilla(job, clock):
    """README, "Fitting the scaling law on existing dataset": df.csv in a folder, a grid, fit(); default loss_fn."""
    import numpy as np
    import pandas as pd
    from chinchilla import Chinchilla

    with tempfile.TemporaryDirectory() as folder:
        table = pd.DataFrame([(c, n, d, loss) for n, d, c, loss in job["rows"]], columns=["C", "N", "D", "loss"])
        table.to_csv(Path(folder) / "df.csv", index=False)
        grid = {name: np.linspace(*ends, job["grid_points"]) for name, ends in README_GRID.items()}
        clock()
        fitted = Chinchilla(folder, param_grid=grid, log_level=40)
        fitted.fit(parallel=False)
        points = np.array(job["points"], dtype=float)
        value = fitted.predict_loss(points[:, 0], points[:, 1])
        cpu_s = clock()
    return {"value": [float(v) for v in value], "low": {}, "high": {}, "cpu_s": cpu_s}


def simple_scaling_laws(law):
    """README, "Quick start": fit(frame, law=...) at the package's defaults (1000 wild-bootstrap draws, seed 0).

    The point is the median of the law's own curve (kind "mean"); the interval is the one its README gives for one
    newly trained model (kind "new-run", the wider of the two).
    """

    def run(job, clock):
        import polars as pl
        from simple_scaling_laws import fit

        names = ("model_size__n_params", "dataset_size__n_tokens", LOSS)
        columns = dict(zip(names, zip(*[(n, d, loss) for n, d, _, loss in job["rows"]])))
        frame = pl.DataFrame({"training_run_id": [f"r{i}" for i in range(len(job["rows"]))], **columns})
        points = pl.DataFrame({names[0]: [p[0] for p in job["points"]], names[1]: [p[1] for p in job["points"]]})
        tails = {level: ((1 - level) / 2, (1 + level) / 2) for level in job["levels"]}
        clock()
        model = fit(frame, law=law)
        middle = model.predict(points, quantiles=[0.5])
        asked = sorted(q for pair in tails.values() for q in pair)
        ends = model.predict(points, kind="new-run", quantiles=asked)
        cpu_s = clock()
        by_tail = dict(zip(asked, [c for c in ends.columns if c.startswith(LOSS)]))
        low = {str(level): ends[by_tail[pair[0]]].to_list() for level, pair in tails.items()}
        high = {str(level): ends[by_tail[pair[1]]].to_list() for level, pair in tails.items()}
        return {"value": middle[f"{LOSS}__median"].to_list(), "low": low, "high": high, "cpu_s": cpu_s}

    return run


PEERS = {
    "chinchilla": chinchilla,
    "simple-scaling-laws separable-power": simple_scaling_laws("separable-power"),
    "simple-scaling-laws skaling-joint-power": simple_scaling_laws("skaling-joint-power"),
}


def answer(job):
    """One job's answer, with `status`."""
    started = time.process_time()

    def clock():
        """Seconds since the last call."""
        nonlocal started
        before, started = started, time.process_time()
        return started - before

    def stop(*_):
        raise OutOfTimeError

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, job["cap_cpu_s"])
    try:
        return {"status": "ok", "message": "", **PEERS[job["peer"]](job, clock)}
    except OutOfTimeError:
        return {"status": "timed out", "message": f"over {job['cap_cpu_s']:g} CPU s", "cpu_s": job["cap_cpu_s"]}
    except Exception as error:
        return {"status": "failed", "message": f"{type(error).__name__}: {error}", "cpu_s": clock()}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main():
    """Answer each line of stdin; what the peers print goes to stderr."""
    os.environ["MPLBACKEND"] = "Agg"
    warnings.filterwarnings("ignore")
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
