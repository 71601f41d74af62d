"""Stats: how many operations of each kind succeeded, failed and crashed.

1. The clients' operations are counted by `f`: all, and those that are `ok`, `fail`, and `info` (or never completed).
   Replica polls (`replica_polls`) have figures of their own and are in no total.
2. Unknown if there is no client operation; or if an `f` was invoked and never `ok`. What never succeeded was never
   tested, though the rest may look well.
3. Otherwise valid, and never invalid: that nothing of a kind succeeded is no wrong answer of the system, nor is a `cas`
   that never met its value. `availability` judges whether the system served well enough.

Source: jepsen.checker/stats (Jepsen 0.3). Its documentation says "unknown" for an `f` that was never ok, and its code
"invalid".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.verdict import Verdict


def check(history: History) -> Verdict:
    """Count the operations by kind and by outcome.

    Evidence: `count`, `ok`, `fail`, `info` of all client operations; `by_f` {f: {count, ok, fail, info}}, in the order
    of their first; `never_ok`, the fs that never were ok. O(n).
    """
    by_f: dict[str, Counter[str]] = {}
    for operation in history.operations:
        by_f.setdefault(operation.f, Counter())[operation.outcome] += 1
    total = Counter[str]()
    for f, outcomes in by_f.items():
        if f != POLL:
            total.update(outcomes)
    never = [f for f, outcomes in by_f.items() if not outcomes["ok"] and f != POLL]
    evidence = {**_as_data(total), "by_f": {f: _as_data(each) for f, each in by_f.items()}, "never_ok": never}
    if not total:
        return Verdict.unknown("no client asked for anything", **evidence)
    if never:
        named = listing(f"{f} ({count(by_f[f].total(), 'operation')})" for f in never)
        return Verdict.unknown(f"never ok, so never tested: {named}", **evidence)
    reason = (
        f"{total['ok']:,} of {count(total.total(), 'operation')} ok, of every kind some: {listing(by_f, len(by_f))}"
    )
    return Verdict.valid(reason, **evidence)


def _as_data(outcomes: Mapping[str, int]) -> dict[str, int]:
    numbers = {outcome: outcomes.get(outcome, 0) for outcome in ("ok", "fail", "info")}
    return {"count": sum(numbers.values()), **numbers}
