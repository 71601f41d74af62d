"""What a campaign deals: workloads, fault sets and settings of the default plan, and what a swarm draws from.

1. The default plan is stratified: each twenty runs have every stratum once. Independent draws would leave out a third
   of them (1 / e), and which ones would be luck.
2. A stratum has families that go together: each of them strikes at least once in its run. It says which workload sees
   most of what they do, and whether the system's settings are as they are or drawn.
3. Some things a system does only once a node was away for longer than a message may be under way. Few operations and
   few nodes make such long runs affordable.
4. Names that nobody has registered are left out, so that the same plan serves systems of all kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

TIME_LIMIT_S = 10.0
"""The load of a run, in seconds. Half of it is struck, and the rest is quiet."""

INTERVAL_S = 0.5
"""From one strike to the next, on average."""

FIRST = ("registers", "sets", "registers", "carts", "registers", "staleness", "registers", "sessions", "registers")
"""Workloads that are dealt first, some of them more than once a turn: those that see most kinds of mistakes."""


@dataclass(frozen=True)
class Stratum:
    """A kind of run. workload: that it has in every other block, if the system serves it. families: that strike.
    time_limit_s: of its load, in seconds; None for the campaign's own. rate: operations a second. nodes: how many.
    drawn: whether settings are.
    """

    workload: str
    families: tuple[str, ...]
    time_limit_s: float | None = None
    rate: float = 100.0
    nodes: int = 5
    drawn: bool = False


_AS_THEY_ARE = (
    Stratum("registers", ("partition", "kill")),
    Stratum("sets", ("storm", "ambush", "packets")),
    Stratum("registers", ("ambush", "one-way"), 20.0),
    Stratum("carts", ("wipe", "bridge", "failing-disk", "rolling-restart")),
    Stratum("registers", ("membership", "partition", "terminate"), 20.0),
    Stratum("staleness", ("partition", "flapping", "pause")),
    Stratum("registers", ("full-disk", "timers", "clients"), 20.0),
    Stratum("sessions", ("stalled-disk", "partition"), 20.0, 60.0, nodes=3),
    Stratum("carts", ("absence",), 125.0, 25.0, nodes=3),
    Stratum("causal", ("power-cut", "ambush", "wipe", "bit-flip", "clock")),
)
_DRAWN = (
    Stratum("counters", ("partition", "kill")),
    Stratum("grow-sets", ("storm", "ambush", "packets")),
    Stratum("registers", ("ambush", "one-way"), 20.0),
    Stratum("sets", ("wipe", "bridge", "failing-disk", "rolling-restart")),
    Stratum("registers", ("membership", "partition", "terminate"), 30.0),
    Stratum("sessions", ("stalled-disk", "partition"), 20.0, 60.0, nodes=3),
    Stratum("registers", ("full-disk", "timers", "clients"), 20.0),
    Stratum("staleness", ("partition",), 30.0, 40.0, nodes=3),
    Stratum("registers", ("absence",), 125.0, 40.0, nodes=3),
    Stratum("carts", ("power-cut", "ambush", "wipe", "bit-flip", "clock")),
)
STRATA = (*_AS_THEY_ARE, *(replace(stratum, drawn=True) for stratum in _DRAWN))
"""A block of the default plan, in order."""

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
