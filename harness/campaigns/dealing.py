"""What a campaign deals: workloads, fault sets and settings of the default plan, and what a swarm draws from.

1. A fault set has families that go together within one short run: each of them strikes at least once in it.
2. The order counts. The first twenty runs of a plan should meet every kind of fault, on the workloads that see most.
3. Names that nobody has registered are left out, so that the same plan serves systems of all kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

TIME_LIMIT_S = 10.0
"""The load of a run, in seconds. Half of it is struck, and the rest is quiet."""

INTERVAL_S = 0.5
"""From one strike to the next, on average."""

FIRST = ("registers", "sets", "registers", "staleness", "registers", "carts", "sessions")
"""Workloads that are dealt first, some of them more than once a turn: those that see most kinds of mistakes."""

FAULT_SETS: Sequence[tuple[str, ...]] = (
    ("partition", "kill"),
    ("wipe", "kill", "one-way"),
    ("storm", "packets"),
    ("membership", "partition", "terminate"),
    ("power-cut", "wipe", "clock"),
    ("partition", "flapping", "pause"),
    ("wipe", "rolling-restart", "clients"),
    ("bit-flip", "stalled-disk", "bridge"),
    ("full-disk", "failing-disk", "timers"),
)

NODES = (3, 5, 7, 9)
RATES = (20.0, 50.0, 100.0, 200.0)
CONCURRENCIES = (2, 5, 10, 20)
KEYS = ("3", "60", "300", "1")
INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
"""From one strike to the next: about log-uniform."""


def dealt(served: Sequence[str]) -> tuple[str, ...]:
    """The workloads that a system can serve, in the order in which they are dealt."""
    first = [name for name in FIRST if name in served]
    return (*first, *(name for name in served if name not in first))
