"""What a campaign deals: workloads, fault sets and settings of the default plan, and what a swarm draws from.

1. A fault set has families that go together within one short run: each of them strikes at least once in it.
2. The order counts. The first twenty runs of a plan should meet every kind of fault, on the workloads that see most.
3. Names that nobody has registered are left out, so that the same plan serves systems of all kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TIME_LIMIT_S = 10.0
"""The load of a run, in seconds. Half of it is struck, and the rest is quiet."""

INTERVAL_S = 0.5
"""From one strike to the next, on average."""

FIRST = ("registers", "sets", "registers", "carts", "registers", "staleness", "registers", "sessions", "registers")
"""Workloads that are dealt first, some of them more than once a turn: those that see most kinds of mistakes."""


@dataclass(frozen=True)
class FaultSet:
    """Families that strike in one run. time_limit_s: of its load, in seconds; None for the campaign's own. rate:
    operations a second.
    """

    families: tuple[str, ...]
    time_limit_s: float | None = None
    rate: float = 100.0


FAULT_SETS = (
    FaultSet(("partition", "kill")),
    FaultSet(("storm", "ambush", "packets")),
    FaultSet(("ambush", "one-way"), 20.0),
    FaultSet(("wipe", "bridge", "failing-disk", "rolling-restart")),
    FaultSet(("membership", "partition", "terminate"), 20.0),
    FaultSet(("partition", "flapping", "pause")),
    FaultSet(("full-disk", "timers", "clients"), 20.0),
    FaultSet(("partition", "kill", "stalled-disk")),
    # Some things a system does only once a node was away for longer than a message may be under way. Few operations
    # make that affordable.
    FaultSet(("absence",), 75.0, 60.0),
    FaultSet(("power-cut", "ambush", "wipe", "bit-flip", "clock")),
)

NODES = (3, 5, 7, 9)
RATES = (20.0, 50.0, 100.0, 200.0)
CONCURRENCIES = (2, 5, 10, 20)
KEYS = ("3", "60", "60", "3", "60", "1")
INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
"""From one strike to the next: about log-uniform."""


def dealt(served: Sequence[str]) -> tuple[str, ...]:
    """The workloads that a system can serve, in the order in which they are dealt."""
    first = [name for name in FIRST if name in served]
    return (*first, *(name for name in served if name not in first))
