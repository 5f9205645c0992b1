"""Any good: judges that compare sizes fairly. `JUDGES` is read, not registered into."""

from __future__ import annotations

from collections.abc import Mapping

JUDGES: Mapping[str, str] = {"bits_per_byte": "keel.evaluate.bits_per_byte:judge"}
