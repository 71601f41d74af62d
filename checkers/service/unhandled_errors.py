"""Unhandled errors: what went wrong, how often, and an example of each.

1. An error belongs to a `fail` or `info` completion, of a client or of the nemesis. Its code is the text before the
   first colon, without spaces around it: `timeout: no answer within 1 s` has the code "timeout".
2. A client's completion that is `fail` or `info` and gives no reason counts as without an error: good clients have
   none. An event of the nemesis without an error is no such completion.
3. Invalid if a code that is `forbidden` occurs. Unknown if no client's operation was completed. Otherwise valid: faults
   are there to make things go wrong, and this describes it.

Source: jepsen.checker/unhandled-exceptions (Jepsen 0.3), which looks at crashed operations only, and groups them by the
class of the exception.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import at, count, listing
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100


@dataclass(slots=True)
class CodeErrors:
    """The errors of one code: how often each type of completion had it, by f, and the first."""

    example: Event
    types: Counter[str] = field(default_factory=Counter)
    by_f: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.types.total()


def check(history: History, *, forbidden: tuple[str, ...] = ()) -> Verdict:
    """Describe the errors by code.

    forbidden: codes that must not occur.
    Evidence: `completed` operations of clients; `errors`, how many had one; `without_error`, how many are `fail` or
    `info` without; `codes`, how many codes there are; `by_code`, the 100 most frequent [{code, count, fail, info, by_f,
    example}], the most frequent first and those equally so by their first event. An example is {index, process, f,
    error}. O(n).
    """
    found, completed, without = _count(history)
    ranked = sorted(found, key=lambda code: -found[code].count)
    number = sum(each.count for each in found.values())
    evidence: dict[str, Any] = {
        "completed": completed,
        "errors": number,
        "without_error": without,
        "codes": len(found),
        "by_code": [_as_data(code, found[code]) for code in ranked[:_LISTED]],
    }
    shown = listing(f"{found[code].count:,} {code}" for code in ranked)
    reached = [code for code in ranked if code in forbidden]
    if reached:
        first = min((found[code].example for code in reached), key=lambda event: event.index)
        text = f"process {first.process} had {first.f!r} end with {first.error!r:.200} at {at(first)}"
        data = {"kind": "forbidden error", "codes": reached}
        reason = f"forbidden: {listing(f'{found[code].count:,} {code}' for code in reached)}"
        return Verdict.invalid(reason, Witness(text, (first.index,), data), **evidence)
    if not completed:
        return Verdict.unknown("no operation of a client was completed", **evidence)
    return Verdict.valid(f"{count(number, 'error')}{': ' if shown else ''}{shown}", **evidence)


def _count(history: History) -> tuple[dict[str, CodeErrors], int, int]:
    """The errors by code; how many operations of clients were completed; how many of these failed without a reason."""
    found: dict[str, CodeErrors] = {}
    completed = without = 0
    for event in history.events:
        if event.process != NEMESIS:
            if event.type == "invoke":
                continue
            completed += 1
            if event.type == "ok":
                continue
            without += event.error is None
        if event.error is not None:
            each = found.setdefault(event.error.partition(":")[0].strip(), CodeErrors(event))
            each.types[event.type] += 1
            each.by_f[event.f] += 1
    return found, completed, without


def _as_data(code: str, each: CodeErrors) -> dict[str, Any]:
    event = each.example
    return {
        "code": code,
        "count": each.count,
        "fail": each.types["fail"],
        "info": each.types["info"],
        "by_f": dict(each.by_f.most_common(_LISTED)),
        "example": {"index": event.index, "process": event.process, "f": event.f, "error": event.error},
    }
