"""Failure detection: this node's own opinion of which peers answer.

1. A peer is suspected once something sent to it has gone unanswered for `SUSPECT_AFTER_S`, and trusted again at its
   next answer. Its requests don't count: under a one-way cut they arrive, while nothing reaches the peer.
2. A peer is also suspected once its heartbeat, which gossip carries, is overdue beyond `PHI_MAX`, until the next
   heartbeat or answer. So this node notices the death of a peer to which it sends nothing.
3. Every `PING_EVERY_S` the peers not heard of lately are pinged, suspected or not, at most `PINGS_MAX` and in turns. So
   a return is noticed, and a cluster of a thousand nodes is not flooded with pings.
4. While this node itself did not run, silence proves nothing.
5. The detector affects *routing* only. It never changes the ring: otherwise every hiccup would move ranges.

phi says how improbable a silence is, as a power of ten: at 8, a live peer would be silent for that long once in 10^8
times. Inter-arrival times are assumed to be exponential, as in Cassandra, not normal. Every node gossips with one
random peer at a time. So each round brings a peer's heartbeat with some probability, whatever the rounds before
brought, and now and then a live peer's heartbeat stays away for several rounds. A normal distribution would take that
for a death. An exponential one has one parameter, the mean, which a few samples estimate well. It is slow (18 means
until phi is 8), which rule 1 makes up for where it matters.

Hayashibara, Defago, Yared, Katayama: The phi Accrual Failure Detector (2004); Dynamo (SOSP 2007), section 4.8.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PING_EVERY_S = 1.0
PINGS_MAX = 16
SUSPECT_AFTER_S = 0.6
PHI_MAX = 8.0
LN_10 = math.log(10)
WINDOW = 64
"""About how many heartbeats the mean covers."""
FIRST_WEIGHT = 4
"""How many samples the first estimate counts as: two rapid heartbeats are no habit."""


@dataclass(slots=True)
class _Peer:
    """One peer, as far as this node knows.

    mean_s: the mean time between two heartbeats, over `samples` of them. heard_at: its last answer. unanswered_since:
    the first request after that. beat_at: its last heartbeat. alive_at: the later of heartbeat and answer.
    """

    mean_s: float
    samples: int = FIRST_WEIGHT
    heard_at: float | None = None
    unanswered_since: float | None = None
    beat_at: float | None = None
    alive_at: float = 0.0
    suspected: bool = False

    def phi(self, now: float) -> float:
        """The suspicion level; 0 before the first heartbeat, since nothing is overdue then."""
        return 0.0 if self.beat_at is None else (now - self.alive_at) / (self.mean_s * LN_10)


class Detector:
    """This node's opinion of its peers, by name.

    on_return: called with a peer that was suspected and is trusted again. heartbeat_s: how often a heartbeat may be
    expected before any came (`config.gossip_s`).
    """

    def __init__(self, peers: Iterable[str], on_return: Callable[[str], None], heartbeat_s: float = 1.0) -> None:
        self._heartbeat_s = heartbeat_s
        self._peers: dict[str, _Peer] = {}
        self._on_return = on_return
        self.watch(peers)

    def watch(self, peers: Iterable[str]) -> None:
        """Replace the set of peers."""
        # In the order of the last ping: new ones come first.
        now = set(peers)
        new = sorted(now - self._peers.keys())
        kept = {name: peer for name, peer in self._peers.items() if name in now}
        self._peers = {name: _Peer(2 * self._heartbeat_s) for name in new} | kept

    def sent(self, peer: str, now: float) -> None:
        """A request was sent to the peer."""
        known = self._peers.get(peer)
        if known is not None and known.unanswered_since is None:
            known.unanswered_since = now

    def heard(self, peer: str, now: float) -> None:
        """The peer answered. Names that are no peer's are ignored."""
        known = self._peers.get(peer)
        if known is None:
            return
        known.heard_at = known.alive_at = now
        known.unanswered_since = None
        self._trust(peer, known)

    def heartbeat(self, peer: str, now: float) -> None:
        """The peer's heartbeat advanced, as gossip has it. O(1)."""
        known = self._peers.get(peer)
        if known is None:
            return
        suspected = self.suspects(peer, now)
        if known.beat_at is not None and not suspected:  # A silence while it was suspected is no sample.
            known.samples = min(known.samples + 1, WINDOW)
            known.mean_s += (now - known.beat_at - known.mean_s) / known.samples
        known.beat_at = known.alive_at = now
        # If our own requests go unanswered the peer can't be reached from here, however well others hear it.
        if known.unanswered_since is None or now - known.unanswered_since <= SUSPECT_AFTER_S:
            self._trust(peer, known)

    def stalled(self, seconds: float) -> None:
        """This node did not run for that many seconds."""
        for peer in self._peers.values():
            peer.alive_at += seconds
            if peer.beat_at is not None:
                peer.beat_at += seconds
            if peer.unanswered_since is not None:
                peer.unanswered_since += seconds

    def suspects(self, peer: str, now: float) -> bool:
        """Whether routing should avoid the peer. O(1)."""
        known = self._peers.get(peer)
        if known is None or known.suspected:
            return known is not None
        since = known.unanswered_since
        known.suspected = (since is not None and now - since > SUSPECT_AFTER_S) or known.phi(now) > PHI_MAX
        return known.suspected

    def to_ping(self, now: float) -> list[str]:
        """Peers not heard of for `PING_EVERY_S`; those pinged the longest ago come first."""
        silent: list[str] = []
        for name, peer in self._peers.items():
            if peer.heard_at is None or now - peer.heard_at >= PING_EVERY_S:
                silent.append(name)
                if len(silent) == PINGS_MAX:
                    break
        for name in silent:
            self._peers[name] = self._peers.pop(name)
        return silent

    def opinions(self, now: float) -> dict[str, dict[str, object]]:
        """By peer: `state` ("trusted" or "suspected"), `silent_s` (since its last answer; None: never), and `phi`."""
        return {
            name: {
                "state": "suspected" if self.suspects(name, now) else "trusted",
                "silent_s": None if peer.heard_at is None else round(now - peer.heard_at, 3),
                "phi": round(peer.phi(now), 2),
            }
            for name, peer in sorted(self._peers.items())
        }

    def _trust(self, name: str, peer: _Peer) -> None:
        if peer.suspected:
            peer.suspected = False
            self._on_return(name)
