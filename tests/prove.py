"""`make prove`: the long proofs. 20 SIGKILLs at random moments leave every result the same, byte for byte.

Then the whole demo of pictures with captions: a forecast sealed and scored, the right picture found, on the page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "proof"))

import kill


def main() -> None:
    """Print what was killed where, and whether the bytes agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="keel-prove-"))
    whole, broken = root / "whole", root / "broken"
    kill.make(whole, scale=5)
    shutil.copytree(whole, broken)
    span_s = kill.finish(whole)
    print(f"uninterrupted: {span_s:.1f} s, {len(kill.results(whole))} results and weights")
    done, round_ = 0, 0
    while done < asked.kills:
        # A study that is finished cannot be killed any more: begin again from the plan.
        if len(kill.results(broken)) == len(kill.results(whole)):
            _compare(kill.results(whole), kill.results(broken))
            shutil.rmtree(broken / "runs")
            round_ += 1
        for line in kill.kill_some(broken, 1, span_s * 0.9, asked.seed * 1000 + done, first=done):
            print(f"kill {done + 1:>3} (round {round_ + 1})  after {line}", flush=True)
        done += 1
    kill.finish(broken)
    _compare(kill.results(whole), kill.results(broken))
    print(f"{asked.kills} SIGKILLs over {round_ + 1} studies: every result.json and every weight file is identical")
    shutil.rmtree(root)
    _pairs()


def _pairs() -> None:
    """`keel demo --pairs`, the commonest seed: what the README says of it holds within wide bounds."""
    root = Path(tempfile.mkdtemp(prefix="keel-pairs-"))
    command = [sys.executable, "-m", "keel", "demo", "--pairs", "--to", str(root / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"keel demo --pairs: exit {done.returncode}\n{done.stderr}")
    results = [json.loads(path.read_text()) for path in root.glob("demo/runs/*/result.json")]
    ends = sorted((each for each in results if each["kind"] != "trunk"), key=lambda each: float(each["flop"]))
    small, large = (each["recall"]["image_of_caption"]["R@1"]["value"] for each in (ends[0], ends[-1]))
    page = (root / "demo/report.html").read_text()
    scored = len(list(root.glob("demo/runs/*/score.json")))
    refused = sum("no forecast for clip-w64" in each["what"] for each in json.loads(done.stdout)["problems"])
    print(f"demo of pairs: R@1 of images {small:.3f} in the smallest run, {large:.3f} in the largest; "
          f"{scored} scored, {refused} refused")  # fmt: skip
    if not (
        scored + refused == 1 and large > 0.8 and small < 0.6 and "What it finds" in page and "the right one" in page
    ):
        raise SystemExit(f"the demo of pairs is not what the README says: {root}")
    shutil.rmtree(root)


def _compare(expected: dict[str, bytes], found: dict[str, bytes]) -> None:
    differ = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differ:
        raise SystemExit(f"DIFFERENT after kills: {', '.join(differ)}")


if __name__ == "__main__":
    main()
