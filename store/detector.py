"""Failure detection: this node's own opinion of which peers answer.

1. A peer is suspected once something sent to it has gone unanswered for `SUSPECT_AFTER_S`, and trusted again at its
   next answer. Its requests don't count: under a one-way cut they arrive, while nothing reaches it.
2. A peer that has not answered lately is pinged every `PING_EVERY_S`, suspected or not, so that its return is noticed.
3. It steers *routing* only. It never changes the ring: a detector that did would move ranges at every hiccup.

Dynamo (SOSP 2007), section 4.8.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

PING_EVERY_S = 1.0
SUSPECT_AFTER_S = 0.6


class Detector:
    """Opinions about peers, by name."""

    def __init__(self, peers: Iterable[str], on_return: Callable[[str], None]) -> None:
        self._heard: dict[str, float | None] = dict.fromkeys(sorted(peers))
        self._unanswered: dict[str, float] = {}
        self._suspected: set[str] = set()
        self._on_return = on_return

    def watch(self, peers: Iterable[str]) -> None:
        """These are the peers from now on."""
        now = sorted(peers)
        self._heard = {peer: self._heard.get(peer) for peer in now}
        self._unanswered = {peer: at for peer, at in self._unanswered.items() if peer in self._heard}
        self._suspected &= set(now)

    def sent(self, peer: str, now: float) -> None:
        """Something that wants an answer was sent to the peer."""
        self._unanswered.setdefault(peer, now)

    def heard(self, peer: str, now: float) -> None:
        """An answer came from that name; names that are no peer's are ignored."""
        if peer not in self._heard:
            return
        self._heard[peer] = now
        self._unanswered.pop(peer, None)
        if peer in self._suspected:
            self._suspected.discard(peer)
            self._on_return(peer)

    def suspects(self, peer: str, now: float) -> bool:
        """Whether routing should pass the peer by."""
        since = self._unanswered.get(peer)
        if since is not None and now - since > SUSPECT_AFTER_S:
            self._suspected.add(peer)
        return peer in self._suspected

    def silent(self, now: float) -> list[str]:
        """Peers not heard of for a ping interval."""
        return [peer for peer, at in self._heard.items() if at is None or now - at >= PING_EVERY_S]

    def opinions(self, now: float) -> dict[str, dict[str, object]]:
        """By peer: `state` ("trusted" or "suspected") and `silent_s`, seconds since it was heard (None: never)."""
        return {
            peer: {
                "state": "suspected" if self.suspects(peer, now) else "trusted",
                "silent_s": None if at is None else round(now - at, 3),
            }
            for peer, at in self._heard.items()
        }
