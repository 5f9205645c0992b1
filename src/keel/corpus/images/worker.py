"""A process that makes arrays for a loader: jobs come in by stdin, arrays go into slots, answers out by stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

from keel.corpus.images.augment import Settings, views_of
from keel.corpus.images.bad import Bad
from keel.corpus.images.kept import Kept
from keel.corpus.images.loader import JOB, REPLY, cut, mapped
from keel.corpus.images.store import Store

WHY_BYTES = 300


def main(given: dict[str, Any], jobs: BinaryIO, answers: BinaryIO) -> None:
    """Answer every job until there are no more, or nobody reads the answers."""
    asked = [Settings(**each | {name: tuple(each[name]) for name in ("mean", "std")}) for each in given["views"]]
    kept, seed = Kept(Store(Path(given["store"])), asked[0].background), int(given["seed"])
    slots = mapped(int(given["slots"]), tuple(given["shape"]))
    while len(job := jobs.read(JOB.size)) == JOB.size:
        slot, epoch, number = JOB.unpack(job)
        try:
            image = kept.image(number)
            found = image if isinstance(image, Bad) else views_of(image, asked, seed, epoch, number)
        except Exception as error:  # told to the loader, which names the image
            found = Bad("it could not be made", f"{type(error).__name__}: {error}", "")
        why = b""
        if isinstance(found, Bad):
            why = f"{found.what}: {found.why}".encode()[:WHY_BYTES]
        else:
            for place, view in zip(cut(slots[slot], asked), found):
                place[...] = view
        answers.write(REPLY.pack(slot, len(why)) + why)
        answers.flush()


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        sys.stderr.close()
