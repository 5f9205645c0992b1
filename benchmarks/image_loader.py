"""Images from files to arrays, images/s and MB/s: keel's loader with 0, 1 and 2 workers against a plain Pillow loop.

    python benchmarks/image_loader.py [--quick]

Both decode the same JPEG photographs (generated: smooth colour fields with noise, 320 x 240), take the middle square,
resize it to 224 and normalise. The loop does it as one would write it by hand; both run in one process each way, in
alternating rounds, so that the ratio is of the same minute on the same machine. A step of 5 ms an image, in which this
process sleeps, then shows how much of it is waited for.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from table import Row, machine, markdown

from keel.corpus.images.augment import Settings, evaluation
from keel.corpus.images.items import open_images
from keel.corpus.images.loader import Job, Loader
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import Store, write
from keel.study import Study

IMAGES, QUICK_IMAGES, ROUNDS, STEP_S = 600, 120, 3, 0.005
WORKERS = (0, 1, 2)
SETTINGS = evaluation(Settings())


def photographs(folder: Path, count: int) -> None:
    """JPEG files with the spectrum of a photograph: large smooth fields, and some noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        field = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        field = field.resize((320, 240), Image.Resampling.BICUBIC)
        noisy = np.asarray(field, dtype=np.float32) + rng.normal(0, 8, (240, 320, 3))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


def plain(paths: list[Path]) -> Iterator[np.ndarray]:
    """The loop that one writes by hand."""
    for path in paths:
        with Image.open(io.BytesIO(path.read_bytes())) as opened:
            image = opened.convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        yield ((np.asarray(image, dtype=np.float32) / 255.0 - 0.5) / 0.5).transpose(2, 0, 1)


def rate(arrays: Iterable[object], count: int) -> float:
    """Images a second of a whole pass."""
    start = time.perf_counter()
    total = sum(1 for _ in arrays)
    assert total == count
    return count / (time.perf_counter() - start)


def measure(quick: bool) -> list[Row]:
    """Rows of the table: each number of workers against the plain loop, by paired rounds."""
    count = QUICK_IMAGES if quick else IMAGES
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        photographs(root / "data", count)
        study = Study.model_validate({"data": {"train": "data", "image": "file"}})
        source = open_images(root, study.data)
        seen = measure_images(source, study)
        store = write(root / "store", source, seen)
        return rows(store, sorted((root / "data").iterdir()), int(seen["bytes"]))


def rows(store: Store, paths: list[Path], num_bytes: int) -> list[Row]:
    """Images/s and MB/s of the files' bytes, then what share of a step is waited for with so many workers."""
    jobs, count = [Job(0, number) for number in range(len(store))], len(store)
    loop, ours = list[float](), {workers: list[float]() for workers in WORKERS}
    for _ in range(ROUNDS):
        loop.append(rate(plain(paths), count))
        for workers, rates in ours.items():
            with started(store, workers) as loader:
                rates.append(rate(loader.views(jobs), count))
    found = list[Row]()
    for workers, rates in ours.items():
        ratios = tuple(one / other for one, other in zip(rates, loop))
        mine, theirs, size = statistics.median(rates), statistics.median(loop), num_bytes / count / 1e6
        what = f"images to arrays, {workers} workers"
        found += [
            Row(what, mine, theirs, "images/s", ratios),
            Row(what, mine * size, theirs * size, "MB/s", ratios),
        ]
    return found + [_waited(store, jobs, workers) for workers in WORKERS]


@contextmanager
def started(store: Store, workers: int) -> Iterator[Loader]:
    """A loader whose workers are up; a new one each time, for decoded images are kept after a first epoch."""
    with Loader(store, (SETTINGS,), 0, workers) as loader:
        list(loader.views([Job(0, number) for number in range(8)]))
        loader.waited_s = loader.took_s = 0.0
        yield loader


def _waited(store: Store, jobs: list[Job], workers: int) -> Row:
    """Seconds a first epoch takes with a step beside it, against the steps alone."""
    steps = 0.0
    with started(store, workers) as loader:
        for _ in loader.views(jobs):
            start = time.perf_counter()
            time.sleep(STEP_S)
            steps += time.perf_counter() - start
        share = 100 * loader.share_waited
    return Row(f"epoch with steps, {workers} workers: {share:.0f} % waited", loader.took_s, steps, "s",
               (loader.took_s / steps,))  # fmt: skip


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images")
    print(markdown(measure(parser.parse_args().quick)))
    print(f"\n{machine()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
