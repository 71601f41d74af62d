"""The report of a history that was judged by itself: `splitbrain check HISTORY --report FILE`.

1. The verdict on the page is this check's, also where the history lies in a run's folder whose own run was judged
   otherwise.
2. A run's folder gives its facts, its nodes' logs and its messages. Any other history has none, and the page is silent
   about them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.folder import Kept, ReportError, kept, write_page


def write_judged(target: Path, source: Path, history: History, results: dict[str, Any], command: str) -> Path:
    """Write the page of a history to a file, and return its path.

    source: where the history was read from, a file, a run's folder, or `-`. results: a verdict as `Verdict.as_dict()`
    makes it, with its checkers. command: judges it again.
    Raises ReportError if the file can't be written. O(n log n) in operations.
    """
    try:
        found = kept(source) if source.is_dir() else Kept({}, history, {}, {})
    except ReportError:
        found = Kept({}, history, {}, {})
    found.history, found.results = history, _finite(results)
    # What the folder's own results lack is no matter here: these are others.
    found.missing = [each for each in found.missing if not each.startswith("There are no results")]
    if not found.run.get("workload"):
        found.run |= {"history": "standard input" if str(source) == "-" else source.name}
        found.run["command"] = command
    return write_page(target, found.page)


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON lacks."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {str(name): _finite(part) for name, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case _:
            return value
