"""The finding of a run: what makes two failing runs show the same thing.

1. It is the checker that found it and the kind of anomaly, in the words of its witness: the core of a signature
   (`campaigns.signature`). Keys, values, nodes, faults and times are not part of it: they change as a run gets smaller.
2. A run has a finding for each checker that found it invalid. The first one is what the run is known by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """checker: its name. kind: of anomaly; "" where the witness names none."""

    checker: str
    kind: str

    def __str__(self) -> str:
        return f"{self.checker}: {self.kind}" if self.kind else self.checker


def findings(results: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Those of a run, from its results.json; none unless it is invalid."""
    found = []
    for checker, part in results.get("checkers", {}).items():
        if part.get("verdict") == "invalid":
            data = (part.get("witness") or {}).get("data")
            found.append(Finding(checker, str(data.get("kind", "")) if isinstance(data, Mapping) else ""))
    return tuple(found)
