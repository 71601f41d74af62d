"""The core: the parts of a node that its mechanisms share. `assembly` makes it, and them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from splitbrain.store.config import Config
from splitbrain.store.membership.failure_detector import Detector
from splitbrain.store.membership.membership import Membership
from splitbrain.store.ring.ring import Ring
from splitbrain.store.scheduling.background import Background
from splitbrain.store.scheduling.timers import Present, Timer, Timers
from splitbrain.store.storage.replica import Replica
from splitbrain.store.storage.tokens import TokenOwnership
from splitbrain.store.storage.write_buffer import WriteBuffer
from splitbrain.store.wire.messages import Request
from splitbrain.store.wire.peer import OnReply
from splitbrain.store.wire.peer_messages import Ping
from splitbrain.store.wire.rpc import Rpc


class Signal:
    """Tells one part of a node what another finds out about a peer, where each is made with the other in mind."""

    def __init__(self) -> None:
        self._receivers: list[Callable[[str], None]] = []

    def connect(self, receiver: Callable[[str], None]) -> None:
        """From now on the receiver is told."""
        self._receivers.append(receiver)

    def send(self, peer: str) -> None:
        """Tell the receivers the peer's name."""
        for receiver in self._receivers:
            receiver(peer)


@dataclass(frozen=True)
class Core:
    """One node's parts. name: its own. secret: what contexts are sealed with. note: writes a line to the node's log.
    halt: ends the process, and says why.

    sync: exchange membership histories with that node now, since rings seem to differ.
    """

    name: str
    secret: bytes
    config: Config
    membership: Membership
    ownership: TokenOwnership
    replica: Replica
    buffer: WriteBuffer
    rpc: Rpc
    detector: Detector
    timers: Timers
    present: Present
    counters: Counter[str]
    background: Background
    note: Callable[[str], None]
    halt: Callable[[str], None]
    sync: Callable[[str], None]

    @property
    def ring(self) -> Ring:
        """The ring in force. It changes: don't keep it."""
        return self.membership.ring

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.present.now.monotonic

    def ask(self, node: str, request: Request, deadline: float, on_reply: OnReply) -> None:
        """Send a request to a node by name; the detector notes whether it answers. One that is gone answers nothing."""
        address = self.membership.address(node)
        if address is None:
            self.timers.at(self.now, lambda: on_reply(None))
            return
        self.detector.sent(node, self.now)
        self.rpc.ask(address, request, deadline, on_reply, name=node)

    def hand(self, node: str, request: Request, deadline: float, on_reply: OnReply) -> Callable[[], float]:
        """Send a request whose answer may rightly take long: whether the peer lives is asked apart.

        Returns what says when the peer was last heard to take it in, or to answer (`Rpc.heard_at`).
        """
        address = self.membership.address(node)
        if address is None:
            self.timers.at(self.now, lambda: on_reply(None))
            return lambda: -math.inf
        self.ask(node, Ping(), deadline, lambda reply: None)
        request_id = self.rpc.ask(address, request, deadline, on_reply, name=node)
        return lambda: self.rpc.heard_at(address, request_id)

    def suspects(self, node: str) -> bool:
        """Whether routing should pass the node by; never this one."""
        return node != self.name and self.detector.suspects(node, self.now)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run the callback that much later."""
        return self.timers.at(self.now + seconds, callback)
