"""The only place of the catalogue that opens a connection, and only when a refresh is asked for with --online."""

from __future__ import annotations

import urllib.error
import urllib.request

from keel.errors import StudyError

SECONDS = 60
MOST_BYTES = 2_000_000_000


def get(url: str) -> bytes:
    """The content of an address.

    Raises:
        StudyError: it cannot be reached, refuses, or sends more than 2 GB.
    """
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            data: bytes = answer.read(MOST_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, OSError, ValueError) as error:
        raise StudyError(f"{url} could not be read", why=str(error),
                         fix="download it by hand and pass it: keel catalog refresh ... --from FILE", where=url,
                         ) from error  # fmt: skip
    if len(data) > MOST_BYTES:
        raise StudyError(f"{url} sends more than 2 GB", why="it is read into memory",
                         fix="download it, cut it to what you need, and pass it with --from", where=url)  # fmt: skip
    return data
