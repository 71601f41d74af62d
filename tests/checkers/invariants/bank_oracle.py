"""What `bank` must say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import span, verdict_of


def bank(history: History, *, total: int | None = None, accounts: Sequence[Any] | None = None) -> dict[str, Any]:
    bad: set[int] = set()
    kinds = dict.fromkeys(("unexpected-key", "nil-balance", "wrong-total", "negative-value"), 0)
    comparable = False
    for key in dict.fromkeys(operation.key for operation in history.operations):
        reads = [o for o in history.operations if o.key == key and o.f == "read" and o.outcome == "ok"]
        shown = {span(o)[1]: _balances(o) for o in reads}
        if not shown:
            continue
        names = set(map(str, accounts)) if accounts else set(shown[min(shown)])
        whole = {
            at: some for at, some in shown.items() if set(some) == names and all(v is not None for v in some.values())
        }
        agreed = total if total is not None else sum(whole[min(whole)].values()) if whole else None
        transfers = [o for o in history.operations if o.key == key and o.f == "transfer" and o.outcome != "fail"]
        begun = any(span(o)[0] < max(shown) for o in transfers)
        comparable |= begun and (total is not None or (bool(whole) and len(shown) > 1))
        for at, some in shown.items():
            found = {
                "unexpected-key": any(name not in names for name in some),
                "nil-balance": any(some.get(name) is None for name in names),
                "wrong-total": at in whole and sum(some.values()) != agreed,
                "negative-value": any(value is not None and value < 0 for value in some.values()),
            }
            for kind, is_so in found.items():
                kinds[kind] += is_so
            if any(found.values()):
                bad.add(at)
    return {
        "verdict": verdict_of(bool(bad), comparable),
        "bad_reads": len(bad),
        "kinds": {kind: number for kind, number in kinds.items() if number},
    }


def _balances(read: Operation) -> dict[str, Any]:
    assert read.completion
    value = read.completion.value
    return {str(name): balance for name, balance in (value.items() if isinstance(value, dict) else value)}
