"""Runs whose own parts fail at random: python -m tests.harness.running.swarm_run [HOW_MANY [FIRST_SEED]]

Prints each run that came out wrong, with its seed, then how many of each status there were, and what failed in them.
Ends with 1 if anything was wrong. Uses two processes, or as many as SPLITBRAIN_SWARM_JOBS says.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.harness.running.interrupts_run import left
from tests.harness.running.swarm import performed


def one(seed: int) -> tuple[int, str, str, tuple[str, ...], bool]:
    """The seed, what came of it, what is wrong with it, what failed in it, and whether something was lost."""
    folder = Path(tempfile.mkdtemp(prefix="splitbrain-swarm-"))
    try:
        before = left()
        outcome = performed(seed, folder / "runs")
        wrong = outcome.wrong or (f"left {left()}, there was {before}" if left() != before else "")
        failed = tuple(f"{each.part} {each.how}" for each in outcome.case.injections if each.fired)
        told = "; ".join(str(each) for each in outcome.case.injections)
        lost = outcome.found is not None and outcome.found.bad
        return seed, outcome.status, wrong and f"{wrong} [{told}] {outcome.status}: {outcome.reason}", failed, lost
    finally:
        shutil.rmtree(folder)


def main(count: int, first: int) -> int:
    began, statuses, failures, parts, lost = time.monotonic(), Counter[str](), 0, Counter[str](), 0
    with ProcessPoolExecutor(int(os.environ.get("SPLITBRAIN_SWARM_JOBS", "2"))) as executor:
        for seed, status, wrong, failed, lossy in executor.map(one, range(first, first + count), chunksize=10):
            statuses[status] += 1
            parts.update(failed)
            lost += lossy
            if wrong:
                failures += 1
                print(f"seed {seed}: {wrong}", flush=True)
    print(
        f"{count:,} runs from seed {first}: {failures} wrong, {lost:,} with something lost; {time.monotonic() - began:,.0f} s"
    )
    print("  " + ", ".join(f"{times:,} {status}" for status, times in sorted(statuses.items())))
    print("  " + ", ".join(f"{part} {times:,}" for part, times in sorted(parts.items())))
    return int(failures > 0)


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(words[0] if words else 10_000, words[1] if len(words) > 1 else 0))
