"""The attacker of `replays` for long: `python -m tests.store.wire.replays_run 1000000 [SEED]` sends that many datagrams.

Each seed is a cluster, attacked with `A_CLUSTER` datagrams. Exits with 1 if anything but a counter changes; the line that
says so names the seed. SPLITBRAIN_PROOF_JOBS: processes (default: as many as there are cores).
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.store.wire.replays import Attack

A_CLUSTER, A_BURST = 50_000, 500


def one(seed: int, steps: int) -> tuple[Counter[str], str]:
    """Figures of one cluster, and what went wrong there; "": nothing."""
    attack, problem = Attack(seed), ""
    try:
        attack.run(steps, A_BURST)
        attack.check()
    except AssertionError as failure:
        problem = f"seed {seed}: {failure}"[:2000]
    calls = [call for call in attack.life.calls if call.done]
    figures = Counter(attack.attacks)
    figures.update({f"refused: {reason}": number for reason, number in attack.refused.items()})
    figures["bytes sent"], figures["bytes answered"] = attack.received_bytes, attack.answered_bytes
    figures["clients' requests"], figures["of them ok"] = len(calls), sum(call.ok for call in calls)
    figures["bursts"], figures["lines in logs"] = attack.life.turns, attack.notes
    figures["datagrams"] = attack.steps
    return figures, problem


def main(number: int, first: int) -> int:
    """Print the figures."""
    began = time.perf_counter()
    parts = [min(A_CLUSTER, number - done) for done in range(0, number, A_CLUSTER)]
    figures: Counter[str] = Counter()
    failed = 0
    jobs = int(os.environ.get("SPLITBRAIN_PROOF_JOBS", os.cpu_count() or 1))
    with ProcessPoolExecutor(jobs) as executor:
        for found, problem in executor.map(one, count(first), parts):
            figures.update(found)
            if problem:
                failed += 1
                print(problem, flush=True)
    for name, figure in sorted(figures.items()):
        print(f"  {name:28} {figure:>14,}")
    took_s = time.perf_counter() - began
    print(
        f"{figures['datagrams']:,} datagrams at {len(parts)} clusters from seed {first}, {took_s:.0f} s, {failed} failed"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
