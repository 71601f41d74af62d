"""Targets: which nodes a strike may hit, and how they are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from splitbrain.harness.seeds import choose, draw, shuffled, split
from splitbrain.harness.system import Led, Marking, Partitioned, System, Tolerant

LEADER, PRIMARIES = "leader", "primaries"
"""What only some systems can name: who leads, and who holds the same keys."""
T = TypeVar("T")


@dataclass(frozen=True)
class Targets:
    """The nodes of a run, as families see them before it starts.

    nodes: their names. spares: of further nodes, which are no members at first. primaries: sets of nodes that hold the
    same keys, if the system says so. expendable: nodes that may lose what they hold: as many as the system tolerates.
    led: the system can say which node leads. marks: the system's (`system.Marking`).
    """

    nodes: tuple[str, ...]
    spares: tuple[str, ...] = ()
    primaries: tuple[tuple[str, ...], ...] = ()
    expendable: tuple[str, ...] = ()
    led: bool = False
    marks: tuple[tuple[str, ...], ...] = ()

    def kinds(self, *kinds: str) -> tuple[str, ...]:
        """These kinds, and those that this system has besides: `primaries` and `leader`."""
        return (*kinds, *[PRIMARIES] * bool(self.primaries), *[LEADER] * self.led)

    def count(self, kind: str, rng: random.Random) -> int:
        """How many nodes that is, at least one; `some` is any number. Raises KeyError for a kind that is none."""
        total = len(self.nodes)
        numbers: dict[str, Callable[[], int]] = {
            "one": lambda: 1,
            "minority": lambda: max(1, (total - 1) // 2),
            "majority": lambda: total // 2 + 1,
            "all": lambda: total,
            "some": lambda: 1 + int(rng.random() * total),
        }
        return numbers[kind]()

    def draw(self, kind: str, rng: random.Random) -> list[str]:
        """Nodes of that kind, sorted. Who leads is found out when the strike starts: until then it may be any node."""
        if kind == PRIMARIES:
            return sorted(choose(rng, self.primaries))
        if kind == LEADER:
            return sorted(self.nodes)
        count = self.count(kind, rng)
        return sorted(shuffled(rng, self.nodes)[:count])


def targets(system: System, nodes: Sequence[str], spares: Sequence[str] = ()) -> Targets:
    """The nodes as this system, configured for so many, sees them."""
    tolerated = system.tolerates(len(nodes)) if isinstance(system, Tolerant) else 0
    owned = system.owners(tuple(nodes)) if isinstance(system, Partitioned) else ()
    # Those that may lose what they hold are the same ones for the whole run: of each thing, another node has a copy.
    return Targets(
        tuple(nodes),
        tuple(spares),
        tuple(tuple(some) for some in owned),
        tuple(nodes[: max(0, tolerated)]),
        isinstance(system, Led),
        tuple(map(tuple, system.marks)) if isinstance(system, Marking) else (),
    )


def in_turn(kinds: Sequence[T], seed: int, turn: int) -> T:
    """Each of the kinds once, in random order, before any comes again: short runs see different ones too."""
    order = shuffled(draw(split(split(seed, "kinds"), turn // len(kinds))), kinds)
    return order[turn % len(kinds)]
