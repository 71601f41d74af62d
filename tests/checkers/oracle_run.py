"""Compare checkers with their oracles on many random histories.

    python -m tests.checkers.oracle_run [EXAMPLES=100000] [FIRST_SEED=0] [NAME ...]

Prints how many histories of each verdict were compared, by comparison; a name chooses those that begin with it. Stops at
the first disagreement, with its seed and history. Uses two processes, or as many as SPLITBRAIN_ORACLE_JOBS says.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

from tests.checkers import comparisons
from tests.checkers.comparison import Comparison

_BATCH = 500


def _batch(name: str, first: int, last: int) -> tuple[Counter[str], str | None]:
    """Outcomes by name of the seeds from first to last, and the first disagreement."""
    compare = comparisons.ALL[name].compare
    seen = Counter[str]()
    for seed in range(first, last):
        try:
            seen[compare(seed)] += 1
        except Exception as problem:  # A crash is a disagreement too, and its seed is what matters.
            return seen, f"seed {seed} of {name}: {type(problem).__name__}\n{problem}"
    return seen, None


def _run(comparison: Comparison, examples: int, first_seed: int, executor: Executor) -> tuple[Counter[str], str | None]:
    starts = range(first_seed, first_seed + examples, _BATCH)
    ends = [min(start + _BATCH, first_seed + examples) for start in starts]
    total = Counter[str]()
    for seen, problem in executor.map(partial(_batch, comparison.name), starts, ends):
        total += seen
        if problem is not None:
            return total, problem
    return total, None


def main(examples: int, first_seed: int, names: Sequence[str] = ("",)) -> int:
    """Run and print. Returns 1 at a disagreement."""
    chosen = [c for c in comparisons.ALL.values() if any(c.name.startswith(name) for name in names)]
    with ProcessPoolExecutor(int(os.environ.get("SPLITBRAIN_ORACLE_JOBS", "2"))) as executor:
        for comparison in chosen:
            seen, problem = _run(comparison, examples, first_seed, executor)
            if problem is not None:
                print(problem)
                executor.shutdown(cancel_futures=True)
                return 1
            counts = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(seen.items()))
            print(f"{comparison.name}: agrees with its oracle on {seen.total():,} histories ({counts})", flush=True)
    return 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    words = [argument for argument in sys.argv[1:] if not argument.isdigit()]
    many, first, *_ = [*numbers, *(100_000, 0)[len(numbers) :]]
    sys.exit(main(many, first, words or [""]))
