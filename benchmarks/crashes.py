"""Histories in which clients crash, judged beside a search as most checkers have it: is any left undecided?

    python -m benchmarks.crashes [SEEDS=50] [SECONDS=8] [FIRST_SEED=0] [WORDS OF A MODEL ...]

For each model and each share of crashed operations, how many of the histories each of the two decides within the time,
and how long it takes at most and in the middle. The baseline runs to its end only where ours does not decide, or always
with the word `both`. Exits with 1 if ours leaves undecided what the baseline decides, or if the two disagree.
"""

from __future__ import annotations

import statistics
import sys
import time

from benchmarks.object_histories import NAMES, object_history
from benchmarks.wing_gong_lowe import wing_gong_lowe
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import MODELS, judge

_CLIENTS, _OPERATIONS = 10, 300
_CRASHED = (0.0, 0.05, 0.1, 0.2, 0.4)


def _row(name: str, crashed: float, seeds: range, limit_s: float, *, both: bool) -> int:
    """Print a row. How many histories only the baseline decided, or decided otherwise."""
    ours, theirs, wrong, decided, beyond = [], [], 0, 0, 0
    for seed in seeds:
        history = object_history(name, _CLIENTS, _OPERATIONS, crashed, seed=seed)
        (calls,) = calls_of(history, MODELS[name]).values()
        began = time.process_time()
        found = judge(calls, MODELS[name], Budget(limit_s)).linearizable
        ours.append(time.process_time() - began)
        decided += found is not None
        if found is None or both:
            began = time.process_time()
            told = wing_gong_lowe(calls, MODELS[name], limit_s)
            theirs.append(time.process_time() - began)
            beyond += told is not None
            wrong += told is not None and told is not found
    baseline = (
        f"{beyond} of {len(theirs)}, {statistics.median(theirs) * 1e3:,.0f} ms, {max(theirs) * 1e3:,.0f} ms"
        if theirs
        else "-"
    )
    print(
        f"{name:<15} {crashed:>7.0%} {f'{decided} of {len(ours)}':>9} {statistics.median(ours) * 1e3:>8,.0f} ms "
        f"{max(ours) * 1e3:>8,.0f} ms  {baseline}",
        flush=True,
    )
    return wrong


def main(arguments: list[str]) -> int:
    """Print the table."""
    numbers = [int(each) for each in arguments if each.isdigit()]
    words = [each for each in arguments if not each.isdigit() and each != "both"]
    seeds, limit_s, first, *_ = [*numbers, *(50, 8, 0)[len(numbers) :]]
    print(
        f"{'model':<15} {'crashed':>7} {'decided':>9} {'middle':>11} {'at most':>11}  baseline: decided, middle, most"
    )
    return (
        1
        if sum(
            _row(name, crashed, range(first, first + seeds), limit_s, both="both" in arguments)
            for name in NAMES
            if all(word in name for word in words)
            for crashed in _CRASHED
        )
        else 0
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
