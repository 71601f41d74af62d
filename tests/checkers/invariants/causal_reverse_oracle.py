"""What `causal-reverse` must say: all pairs of writes, for each read."""

from __future__ import annotations

import json
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import span, verdict_of


def causal_reverse(history: History) -> dict[str, Any]:
    reversed_, at_stake, impossible = 0, 0, 0
    for read in history.operations:
        if read.f != "read" or read.outcome != "ok":
            continue
        assert read.completion
        values = [json.dumps(value) for value in read.completion.value]
        writes = [o for o in history.operations if o.f == "write" and o.key == read.key and o.outcome != "fail"]
        pairs = [
            (first, second)
            for first in writes
            for second in writes
            if first.outcome == "ok" and span(first)[1] < span(second)[0] and _value(second) in values
        ]
        at_stake += bool(pairs)
        reversed_ += any(_value(first) not in values for first, _ in pairs)
        impossible += sum(not any(_value(o) == v and span(o)[0] < span(read)[1] for o in writes) for v in values)
    return {
        "verdict": verdict_of(bool(reversed_ or impossible), bool(at_stake)),
        "reversed": reversed_,
        "at_stake": at_stake,
        "impossible": impossible,
    }


def _value(write: Operation) -> str:
    return json.dumps(write.invocation.value)
