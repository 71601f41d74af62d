"""What `unhandled_errors` must say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import verdict_of


def unhandled_errors(history: History, *, forbidden: Sequence[str]) -> dict[str, Any]:
    gone = [event for event in history.events if event.type in ("fail", "info") and event.error is not None]
    codes = [str(event.error).split(":")[0].strip() for event in gone]
    client = [e for e in history.events if e.process != "nemesis" and e.type != "invoke"]
    return {
        "verdict": verdict_of(any(code in forbidden for code in codes), bool(client)),
        "counts": {code: codes.count(code) for code in set(codes)},
        "examples": {code: gone[codes.index(code)].index for code in set(codes)},
        "without_error": sum(e.type in ("fail", "info") and e.error is None for e in client),
    }
