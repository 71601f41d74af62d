"""Candidates: the nodes that a client may ask, and its memory of those that failed.

1. A node that let a request wait until another answered it is suspected, and asked last. It is never left out: the
   client may be wrong, and where all are suspected all are asked.
2. A suspected node is pinged at once, and then at growing intervals for as long as the client has requests. An answer
   of any kind makes it trusted again.
3. Without a ring, requests go to the nodes in turn: the client is its own load balancer. Those in standby are asked
   where none of the others answers.

Dynamo (SOSP 2007), sections 2.3, 4.8.3 (detection is local, and by the traffic itself) and 6.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from splitbrain.store.actions import Address

PROBE_FIRST_S, PROBE_MAX_S = 0.25, 4.0


class Candidates:
    """One client's. turn: a random number, where its turns begin."""

    def __init__(self, nodes: Sequence[Address], standby: Sequence[Address], turn: int) -> None:
        self.nodes = tuple(nodes)
        self.standby = tuple(standby)
        self._turn = turn
        self._probes: dict[Address, tuple[float, float]] = {}
        """By suspected node: when to ping it next, and how long to wait after that. Seconds."""

    def in_order(self) -> list[Address]:
        """The nodes as they were given."""
        return [*self.nodes, *self.standby]

    def in_turn(self) -> list[Address]:
        """The nodes for one more request, from the next one on."""
        first = self._turn % len(self.nodes)
        self._turn += 1
        return [*self.nodes[first:], *self.nodes[:first], *self.standby]

    def best_first(self, nodes: Iterable[Address]) -> list[Address]:
        """Each of them once, those that are suspected last."""
        once = dict.fromkeys(nodes)
        if not self._probes:
            return list(once)
        return sorted(once, key=self._probes.__contains__)

    def suspect(self, node: Address, now: float) -> bool:
        """The node let a request wait. now: monotonic seconds. Returns whether that is news, and it is to be pinged."""
        if node in self._probes:
            return False
        self._probes[node] = (now + PROBE_FIRST_S, 2 * PROBE_FIRST_S)
        return True

    def trust(self, node: Address) -> None:
        """The node has answered."""
        self._probes.pop(node, None)

    def suspects(self, node: Address) -> bool:
        """Whether the node is asked last."""
        return node in self._probes

    def to_ping(self, now: float) -> Iterator[Address]:
        """The suspected nodes whose time has come."""
        for node, (due, after_s) in self._probes.items():
            if due <= now:
                self._probes[node] = (now + after_s, min(PROBE_MAX_S, 2 * after_s))
                yield node
