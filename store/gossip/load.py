"""Load: what this node serves, reported by gossip, and whether the cluster's load is balanced.

1. A node counts its keys, in the background after its start and exactly from then on. It counts the requests that it
   serves or coordinates, averaged over about a minute.
2. A node is out of balance if its load is more than `OFF_MEAN_MAX` off its part: the mean, in proportion to capacity.
3. Load means requests, if there are enough of them and every member's count is known. Otherwise it means what a node
   owns of the ring: the share of requests that evenly chosen keys would bring it.

Dynamo (SOSP 2007), section 6.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from splitbrain.store.ring.ring import RING_SIZE, Ring
from splitbrain.store.scheduling.background import Background
from splitbrain.store.storage.replica import ABSENT, Entry, Replica, place

AVERAGED_OVER_S = 60.0
OFF_MEAN_MAX = 0.15
ENOUGH_PER_S = 10.0
"""Requests a second, in the mean of the nodes. With fewer, chance alone makes some nodes busier than others."""
KEYS_A_SLICE = 256


class Load:
    """This node's own load."""

    def __init__(self, replica: Replica, background: Background) -> None:
        self._replica = replica
        self._background = background
        self._keys = 0
        self._counted_to: bytes | None = None
        self._counted = False
        self._requests = 0.0
        self._at = 0.0
        replica.on_durable.append(self._changed)

    def start(self) -> None:
        """Begin to count keys."""
        self._background.soon(self._count)

    def served(self, now: float) -> None:
        """A request was served. O(1)."""
        self._requests = self._requests * _left(now - self._at) + 1
        self._at = now

    def report(self, now: float) -> dict[str, int]:
        """This node's load as gossip reports it: `keys`, and `requests_per_s`."""
        rate = self._requests * _left(now - self._at) / AVERAGED_OVER_S
        return {"keys": self._keys, "requests_per_s": round(rate)}

    def _count(self) -> None:
        entries, last = self._replica.reported((0, RING_SIZE), self._counted_to, KEYS_A_SLICE)
        self._keys += sum(entry != ABSENT for entry in entries.values())
        if last is None:
            self._counted = True
        else:
            self._counted_to = last
            self._background.soon(self._count)

    def _changed(self, key: bytes, before: Entry, after: Entry) -> None:
        if self._counted or (self._counted_to is not None and place(key) <= place(self._counted_to)):
            self._keys += (after != ABSENT) - (before != ABSENT)


def _left(seconds: float) -> float:
    return math.exp(-seconds / AVERAGED_OVER_S)


def balance(ring: Ring, loads: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """For the status: how the load is spread over the members. O(partitions).

    Returns `by`, which is "requests" or "ring", and `nodes`: each member's `keys` and `requests_per_s` (None: not
    reported yet), its `share` of the load, how far that is `off_mean` (0.2: a fifth above), and whether it is
    `balanced`.
    """
    members = ring.members.values()
    heard = [loads[member.name]["requests_per_s"] for member in members if member.name in loads]
    by_requests = len(heard) == len(members) and sum(heard) >= ENOUGH_PER_S * len(heard) > 0
    if by_requests:
        load: dict[str, float] = {name: loads[name]["requests_per_s"] for name in ring.members}
    else:
        load = _owned(ring)
    whole = sum(load.values()) or 1.0
    capacity = sum(member.capacity for member in members)
    nodes = {}
    for member in members:
        share = load[member.name] / whole
        off = share * capacity / member.capacity - 1
        nodes[member.name] = {
            "keys": loads.get(member.name, {}).get("keys"),
            "requests_per_s": loads.get(member.name, {}).get("requests_per_s"),
            "share": round(share, 4),
            "off_mean": round(off, 4),
            "balanced": abs(off) <= OFF_MEAN_MAX,
        }
    return {"by": "requests" if by_requests else "ring", "nodes": nodes}


def _owned(ring: Ring) -> dict[str, float]:
    owned = dict.fromkeys(ring.members, 0.0)
    for partition, owner in enumerate(ring.owners):
        start, end = ring.range(partition)
        owned[owner] += (end - start) / RING_SIZE
    return owned
