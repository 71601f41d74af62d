"""`kademlia` from PyPI under many seeds: `python -m tests.harness.simulation.programs.kademlia_run 300`.

For each fault alone, and for all of them: how many sets were acknowledged, refused and not answered, in how many seeds
an acknowledged key was not found by every node in the end, how many such keys there were, and what the library raised.
Every tenth seed runs twice, and must give the same record.
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.harness.simulation.programs.kademlia_nodes import NODES, drive

SETS = ((), ("partition",), ("kill",), ("pause",), ("partition", "kill", "pause"))
TWICE = 10


def main(seeds: int) -> int:
    different = 0
    for faults in SETS:
        counts: Counter[str] = Counter()
        raised: Counter[str] = Counter()
        for seed in range(1, seeds + 1):
            found = drive(seed, faults)
            counts["acknowledged"] += len(found.acknowledged)
            counts["refused"] += found.refused
            counts["unanswered"] += found.unanswered
            counts["seeds with a loss"] += bool(found.lost)
            counts["keys lost by a node"] += len(found.lost)
            counts["keys lost by all"] += sum(len(nodes) == len(NODES) for nodes in found.lost.values())
            counts["wrong values"] += len(found.wrong)
            raised.update(found.tracebacks)
            if seed % TWICE == 0:
                different += drive(seed, faults).record != found.record
        print(f"{'+'.join(faults) or 'no fault'}, {seeds} seeds:", flush=True)
        print(*(f"  {kind}: {number:,}" for kind, number in counts.items()), sep="\n")
        print(*(f"  raised {number:,} times: {problem}" for problem, number in raised.items()), sep="\n", flush=True)
    print(f"seeds that gave another record when repeated: {different}")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
