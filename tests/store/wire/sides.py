"""Two sides that ask each other, and a network between them that does as it is told."""

from __future__ import annotations

import heapq
import random
import zlib
from itertools import count

from splitbrain.store.actions import Instant
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.wire.client_messages import Put
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.rpc import Rpc

SECRET = b"k" * 32


def fragmented(wire, kind, request_id, meant_for, payload, **flags):
    """A whole message, sealed as datagrams."""
    checksum, step = zlib.crc32(payload), wire.chunk_bytes
    count = max(1, -(-len(payload) // step))
    for i in range(count):
        yield wire.fragment(
            kind, request_id, meant_for, checksum, i, count, payload[i * step : (i + 1) * step], **flags
        )


class Side:
    def __init__(self, pair, name, address):
        bits = random.Random(name).getrandbits
        self.pair, self.address = pair, address
        self.out, self.timers, self.present = [], Timers(), Present(Instant(0.0, 0))
        self.wire = Wire(SECRET, "c", name, bits)
        self.rpc = Rpc(self.wire, self.timers, self.present, bits, self.out)
        self.replies = []
        self.taken = []

    def ask(self, other, request, deadline=1.0, **more):
        replies = []
        self.rpc.ask(other.address, request, deadline, replies.append, **more)
        self.pair.flush(self)
        return replies

    def restart(self):
        """The same side, and nothing of what it knew."""
        bits = random.Random(f"{self.address} {self.wire.incarnation}").getrandbits
        self.wire = Wire(SECRET, "c", self.address[0], bits)
        self.rpc = Rpc(self.wire, self.timers, self.present, bits, self.out)
        self.taken = []
        return self

    def answer_with(self, reply):
        def take(incoming):
            self.taken.append(incoming)
            if reply is not None:
                self.rpc.answer(incoming, reply)

        self.rpc.on_request = take
        return self


class Pair:
    """Two sides. `carries(sender, datagram)` says whether a datagram arrives; `delays()` how long each copy of it takes.

    By default one copy, and a millisecond.
    """

    def __init__(self):
        self.now = 0.0
        self.a, self.b = Side(self, "a", ("a", 1)), Side(self, "b", ("b", 1))
        self.carries = lambda sender, datagram: True
        self.delays = lambda: [0.001]
        self.sent = []
        self._events, self._order = [], count()

    def flush(self, side):
        for send in side.out:
            self.sent.append((side, send.datagram))
            for delay_s in self.delays() if self.carries(side, send.datagram) else ():
                heapq.heappush(self._events, (self.now + delay_s, next(self._order), side.address, send))
        side.out.clear()

    def run(self, until):
        while True:
            dues = [(side.timers.next, 1, side) for side in (self.a, self.b) if side.timers.next is not None]
            if self._events:
                dues.append((self._events[0][0], 0, None))
            due, _, side = min(dues, key=lambda d: d[:2], default=(until + 1, 0, None))
            if due > until:
                break
            self.now = max(self.now, due)
            for each in (self.a, self.b):
                each.present.now = Instant(self.now, 0)
            if side is not None:
                side.timers.run(self.now)
                self.flush(side)
            else:
                _, _, source, send = heapq.heappop(self._events)
                target = self.a if send.to == self.a.address else self.b
                target.rpc.receive(send.datagram, source)
                self.flush(target)
        self.now = until
        for each in (self.a, self.b):
            each.present.now = Instant(self.now, 0)

    def greeted(self, request, **more):
        """b knows a, and takes that request and does not answer. What a has heard, and the request's fragment."""
        self.b.answer_with(Pong())
        self.a.ask(self.b, Ping(), **more)
        self.run(self.now + 0.1)
        self.b.answer_with(None)
        replies = self.a.ask(self.b, request, self.now + 1.0, **more)
        return replies, Wire(SECRET, "c", "spy", random.Random(0).getrandbits).open(self.sent[-1][1])

    def count(self, side):
        return sum(sender is side for sender, _ in self.sent)


PUT = Put(b"k", b"v", None)
