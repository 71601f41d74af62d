"""Long messages: requests and replies of more than one datagram, on their way out and in.

1. Out: each peer has a `Flow`, which requests and replies share. A reply is sent until its receiver has it, or has said
   nothing for `flow.PROBES_MAX` probes: then it asks again if it still wants it.
2. In: `Reassembly` puts fragments together. The sender is told which have come (`progress`) every `SAY_EVERY`
   fragments, more often while some are missing, whenever it asks, and once the message is there.
3. The sender is told, too, for how many datagrams there is room: half of what the socket's buffer holds, shared by all
   whose messages are arriving. So the buffer does not overflow, however many send.
4. What is said of a message counts only from the address it was sent to, from the incarnation it is meant for, and for
   this incarnation. Anything else has no effect at all.
5. Replies on their way are bounded in number and bytes; over a bound the oldest is given up.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable

from splitbrain.store.actions import Action, Address, Send
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.wire.datagrams import PROGRESS, REPLY, REQUEST, Fragment, Wire
from splitbrain.store.wire.flow import Flow
from splitbrain.store.wire.outgoing import FIRST, Outgoing
from splitbrain.store.wire.peer import Asked
from splitbrain.store.wire.progress import Progress
from splitbrain.store.wire.reassembly import Reassembly

SAY_EVERY, SAY_EVERY_WITH_GAPS = 16, 8
FLOWS_MAX = 1024
REPLIES_MAX, REPLY_BYTES_MAX = 1024, 64 << 20
ROOM = 2048
"""Datagrams that the socket's buffer holds, until the shell says how many (`LongMessages.buffer_datagrams`)."""
ROOM_MAX = 0xFFFF


class LongMessages:
    """A node's or client's long messages. Arguments: as of `rpc.Rpc`."""

    def __init__(self, wire: Wire, timers: Timers, present: Present, out: list[Action], counters: Counter[str]) -> None:
        self._wire = wire
        self._timers = timers
        self._present = present
        self._out = out
        self._counters = counters
        self._reassembly = Reassembly()
        self._flows: OrderedDict[Address, Flow] = OrderedDict()
        self._replies: OrderedDict[tuple[int, int], Outgoing] = OrderedDict()
        self._reply_bytes = 0
        self.buffer_datagrams = ROOM

    # Out

    def request(self, asked: Asked, kind: int, meant_for: int, first: int, on_delivered: Callable[[], None]) -> None:
        """Send a request: `asked.outgoing`, from now on. kind: REQUEST or RETRY. first: as in `Outgoing`."""
        asked.outgoing = self._outgoing(
            asked.to, kind, asked.request_id, meant_for, asked.payload, first=first, defers=asked.defers
        )
        asked.outgoing.on_delivered = on_delivered
        self._flow(asked.to).send(asked.outgoing)

    def reply(self, to: Address, request_id: int, meant_for: int, payload: bytes) -> None:
        """Send a reply, unless the same is on its way already."""
        key = (meant_for, request_id)
        made = self._outgoing(to, REPLY, request_id, meant_for, payload)
        before = self._replies.get(key)
        if before is not None:
            if before.checksum == made.checksum and before.to == to:
                return
            self._give_up(key)
        made.on_delivered = made.on_given_up = lambda: self._over(key)
        self._replies[key] = made
        self._reply_bytes += len(payload)
        while len(self._replies) > REPLIES_MAX or (self._reply_bytes > REPLY_BYTES_MAX and len(self._replies) > 1):
            self._give_up(next(iter(self._replies)))
        self._flow(to).send(made)

    def stop(self, message: Outgoing) -> None:
        """Send no more of it."""
        flow = self._flows.get(message.to)
        if flow is not None:
            flow.stop(message)

    def heard(self, fragment: Fragment, source: Address, request: Outgoing | None) -> bool:
        """A progress has come. request: the one under that id, if it is on its way to `source`.

        Returns whether it is about a message that is on its way; if not, it has changed nothing.
        """
        told = Progress.decode(fragment.chunk)
        if told is None or fragment.meant_for != self._wire.incarnation:
            return False
        message = request
        if told.kind == REPLY:
            message = self._replies.get((fragment.incarnation, fragment.request_id))
        if message is None or message.to != source or message.checksum != fragment.checksum:
            return False
        if message.meant_for != fragment.incarnation:
            return False
        self._wire.accept(fragment)
        if not self._flow(source).progress(message, told, fragment.sequence):
            self._counters["malformed"] += 1
        return True

    def waiting(self, to: Address) -> int:
        """How many messages to that peer are not delivered."""
        flow = self._flows.get(to)
        return 0 if flow is None else len(flow)

    def backlog_bytes(self, since: float) -> int:
        """Bytes that wait for the slowest of those peers that have taken in something since then (monotonic s)."""
        return max((flow.bytes_left for flow in self._flows.values() if flow.heard_at >= since), default=0)

    def heard_at(self, to: Address) -> float:
        """When that peer last said that it has taken in more (monotonic s); -inf if never."""
        flow = self._flows.get(to)
        return -math.inf if flow is None else flow.heard_at

    def put_out(self, to: Address, datagram: bytes) -> None:
        """Send a datagram."""
        self._out.append(Send(to, datagram))
        self._counters["datagrams_out"] += 1

    # In

    def receive(self, fragment: Fragment, source: Address) -> bytes | None:
        """A fragment for this incarnation. Returns the message if it is complete."""
        if fragment.parts == 1:
            return self._reassembly.add(fragment, self._present.now.monotonic)
        payload = self._reassembly.add(fragment, self._present.now.monotonic)
        if payload is not None:
            self.has_all(fragment, source)
            return payload
        partial = self._reassembly.partial(fragment)
        if partial is not None:
            every = SAY_EVERY_WITH_GAPS if partial.seen else SAY_EVERY
            if fragment.asks or partial.unsaid >= every:
                partial.unsaid = 0
                self._say(fragment, source, partial.base, partial.seen)
        return None

    def begins(self, fragment: Fragment) -> bool:
        """Whether nothing else of its message is here."""
        self._reassembly.expire(self._present.now.monotonic)
        return self._reassembly.partial(fragment) is None

    def has_all(self, fragment: Fragment, source: Address) -> None:
        """Say that all of that message has come."""
        self._say(fragment, source, fragment.parts, 0)

    @property
    def expected_bytes(self) -> int:
        """The length of all requests that are arriving and could have been refused as `busy`."""
        return self._reassembly.expected_bytes

    @property
    def queues(self) -> dict[str, int]:
        """For the status."""
        partials, partial_bytes = self._reassembly.held
        return {
            "sending": sum(map(len, self._flows.values())),
            "sending_bytes": sum(flow.bytes_left for flow in self._flows.values()),
            "partial_messages": partials,
            "partial_bytes": partial_bytes,
            "messages_given_up": self._reassembly.dropped,
        }

    def _say(self, fragment: Fragment, source: Address, base: int, seen: int) -> None:
        room = min(ROOM_MAX, self.buffer_datagrams // 2 // max(1, self._reassembly.senders))
        told = Progress(REPLY if fragment.kind == REPLY else REQUEST, room, base, seen)
        of = fragment.incarnation, fragment.checksum
        self.put_out(source, self._wire.fragment(PROGRESS, fragment.request_id, *of, 0, 1, told.encode()))

    def _outgoing(
        self,
        to: Address,
        kind: int,
        request_id: int,
        meant_for: int,
        payload: bytes,
        *,
        first: int = FIRST,
        defers: bool = False,
    ) -> Outgoing:
        checksum, step = zlib.crc32(payload), self._wire.chunk_bytes
        return Outgoing(to, kind, request_id, meant_for, payload, checksum, step, first=first, defers=defers)

    def _flow(self, to: Address) -> Flow:
        flow = self._flows.get(to)
        if flow is None:
            if len(self._flows) >= FLOWS_MAX:
                idle = next((address for address, each in self._flows.items() if not len(each)), None)
                if idle is not None:
                    del self._flows[idle]
            flow = self._flows[to] = Flow(self._timers, self._present, self._emit)
        return flow

    def _emit(self, message: Outgoing, part: int, asks: bool) -> None:
        self.put_out(
            message.to,
            self._wire.fragment(
                message.kind,
                message.request_id,
                message.meant_for,
                message.checksum,
                part,
                message.count,
                message.chunk(part),
                asks=asks,
                defers=message.defers,
            ),
        )

    def _give_up(self, key: tuple[int, int]) -> None:
        message = self._replies[key]
        self._over(key)
        self.stop(message)

    def _over(self, key: tuple[int, int]) -> None:
        self._reply_bytes -= len(self._replies.pop(key).payload)
