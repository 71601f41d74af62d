"""The status: how a node is, for people and for programs that watch it.

1. It shows what this node knows by itself; no other node is asked. Reading it changes nothing.
2. It can be written as JSON. Durations are in the unit that their names end with.
"""

from __future__ import annotations

from collections.abc import Mapping

from splitbrain.store.actions import host_port
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.scheduling.latencies import Latencies


def status(
    core: Core, handoff: Handoff, latencies: Mapping[str, Latencies], requests: int, put_bytes: int
) -> dict[str, object]:
    """Ring, peers, hints, queues, counters, latencies. O(members + partitions).

    requests, put_bytes: clients' requests under way, and the bytes of the puts among them.

    Nodes whose ring's `view` is the same have the same ring. standing: this node's own (`membership.Standing`).
    """
    ring = core.ring
    return {
        "config": core.config.settings(),
        "ring": {
            "view": f"{core.membership.view:016x}",
            "standing": core.membership.standing or "outside",
            "leaving": core.membership.leaving(),
            "members": {m.name: host_port(m.address) for m in ring.members.values()},
            "partitions": {name: ring.owners.count(name) for name in ring.members},
        },
        "peers": _peers(core),
        "hints": handoff.count(),
        "buffer": core.buffer.status(),
        "background": core.background.status(),
        "queues": {"requests": requests, "put_bytes": put_bytes, "unsynced": core.replica.unsynced, **core.rpc.queues},
        "counters": dict(sorted((core.rpc.counters + core.counters + core.replica.counters).items())),
        "latency_ms": {kind: _quantiles(taken, core.now) for kind, taken in latencies.items() if taken.count},
    }


def _peers(core: Core) -> dict[str, dict[str, object]]:
    known = {}
    for peer, opinion in core.detector.opinions(core.now).items():
        address = core.membership.address(peer)
        round_trip_s = None if address is None else core.rpc.round_trip_s(address)
        says = None if address is None else core.rpc.says(address) or None
        known[peer] = {**opinion, "round_trip_ms": _ms(round_trip_s), "says": says}
    return known


def _quantiles(taken: Latencies, now: float) -> dict[str, float | None]:
    return {name: _ms(taken.quantile(share, now)) for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
