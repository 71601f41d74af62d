"""What `unique_ids` must say: pairs of ids."""

from __future__ import annotations

import json
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import verdict_of


def unique_ids(history: History) -> dict[str, Any]:
    given = [o for o in history.operations if o.f == "generate" and o.outcome == "ok"]

    def same(one: Operation, other: Operation) -> bool:
        assert one.completion and other.completion
        return one.key == other.key and json.dumps(one.completion.value) == json.dumps(other.completion.value)

    later = [other for at, other in enumerate(given) if any(same(one, other) for one in given[:at])]
    firsts = [one for one in given if one not in later and any(same(one, other) for other in later)]
    two = any(one is not other and one.key == other.key for one in given for other in given)
    return {
        "verdict": verdict_of(bool(later), two),
        "acknowledged": len(given),
        "duplicated": len(firsts),
        "surplus": len(later),
    }
