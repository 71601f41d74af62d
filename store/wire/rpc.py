"""RPC: requests that are retried until answered, and answers that are given once.

1. A request keeps its id over every retry. An answer counts only from the address and the incarnation that were asked,
   to this incarnation, for a request still open. Until that is known it has no effect at all: otherwise recorded
   answers of a dead peer, sent on from anywhere, would keep it alive.
2. Retries wait for an adaptive timeout (`peer`), doubled each time, capped, with jitter.
3. A request that arrives again is not done again while it is being done, and a put not for as long as its sender may
   retry it: its answer is sent again. Answers to what may be repeated (reads, merges) are not kept, unless the request
   was long and the answer is not.
4. A request is meant for one incarnation of its peer, so that it can't be replayed to another. A peer that it is not
   meant for answers with its own incarnation, and nothing else: then the request is sent again at once. If an earlier
   incarnation may have done it, it says so (a retry). If the peer's name is known, only an incarnation of that name is
   believed: otherwise one node could be made to answer for another.
5. At most 128 requests of one datagram are under way to one peer. Longer messages, requests and replies, go by bytes
   (`long_messages`), and hold up no short one. More of either wait their turn until their deadline, and past a bound
   fail as `busy`. A request is not sent again while it, or its answer, is arriving.
6. A long request whose sender takes `busy` for an answer may be refused at its first fragment (`admit`). That refusal
   is kept like any answer to a put: what comes late of that request is refused as well, and it is certainly not done.
   A retry is never refused so: an earlier incarnation may have done it.
7. What can't be opened, or is no message, is counted and dropped. A peer's rejection of our own datagrams
   (`rejections`) is kept until its next answer, to explain why there was none, and changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from splitbrain.store.actions import Action, Address, Bits, host_port
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.wire.client_messages import Failed, Put
from splitbrain.store.wire.datagrams import HELLO, PROGRESS, REPLY, REQUEST, Fragment, Refused, Wire, name_checksum
from splitbrain.store.wire.long_messages import LongMessages
from splitbrain.store.wire.messages import Malformed, Reply, Request, decode_reply, decode_request, encode
from splitbrain.store.wire.outgoing import FIRST
from splitbrain.store.wire.peer import Asked, OnReply, Peer
from splitbrain.store.wire.peer_messages import Forward
from splitbrain.store.wire.reassembly import MESSAGE_BYTES_MAX
from splitbrain.store.wire.rejections import said
from splitbrain.store.wire.taken import Incoming, Key, Taken

IN_FLIGHT_MAX = 128
WAITING_MAX = 4096
LONG_MAX = 1024
"""Long requests to one peer, under way or waiting."""
BUSY_HERE_MS = 100
"""When to come back with what is refused because so much waits on this side."""
ARRIVING_S = 0.05
HELLOS_MAX = 3
"""How often a request is sent again at once; a peer with a new incarnation each time has to wait for the retries."""


class Rpc:
    """One node's or client's requests and replies. out: collects what is to be sent. counters: what happened.

    admit: whether a request of so many bytes, of which the first fragment has come, is refused; None: it is not.
    """

    def __init__(self, wire: Wire, timers: Timers, present: Present, bits: Bits, out: list[Action]) -> None:
        self._wire = wire
        self._timers = timers
        self._present = present
        self._bits = bits
        self._out = out
        self.counters: Counter[str] = Counter()
        self.long = LongMessages(wire, timers, present, out, self.counters)
        self._asked: dict[tuple[Address, int], Asked] = {}
        self._peers: dict[Address, Peer] = {}
        self._taken = Taken(present)
        self._next_id = bits(64)
        self.on_request: Callable[[Incoming], None] = lambda incoming: None
        self.on_answer: Callable[[str, float], None] = lambda name, now: None
        self.on_refused: Callable[[str, bytes, Address], None] = lambda reason, datagram, source: None
        self.on_rejection: Callable[[Address, str], None] = lambda source, text: None
        self.admit: Callable[[int], Failed | None] = lambda size: None

    def new_id(self) -> int:
        """A request id: counts from a random 64-bit number. Two writes of one id would be taken for one."""
        self._next_id = (self._next_id + 1) & 0xFFFFFFFFFFFFFFFF
        return self._next_id

    def jitter(self) -> float:
        """A random number between 0 and 1, to keep nodes out of step."""
        return self._bits(10) / 1024

    def ask(
        self,
        to: Address,
        request: Request,
        deadline: float,
        on_reply: OnReply,
        request_id: int | None = None,
        name: str | None = None,
        defers: bool = False,
    ) -> int:
        """Send a request and retry it. on_reply gets the answer, or None once `deadline` (monotonic) has passed.

        Returns the request's id: `request_id` if given, which may be under way to other addresses at the same time.
        name: of the one node that may take it; None: whoever is at that address. defers: whether `busy` will do for an
        answer before a long request is there.
        """
        peer = self._peers.setdefault(to, Peer())
        own_id = self.new_id() if request_id is None else request_id
        named = None if name is None else name_checksum(name)
        asked = Asked(to, own_id, encode(request), deadline, on_reply, named, defers)
        asked.long = len(asked.payload) > self._wire.chunk_bytes
        if len(asked.payload) > MESSAGE_BYTES_MAX:
            self._refuse(asked, "too_large", f"the message exceeds {MESSAGE_BYTES_MAX} bytes; send less in one request")
        elif self.long.waiting(to) < LONG_MAX if asked.long else peer.in_flight < IN_FLIGHT_MAX:
            self._begin(peer, asked)
        elif not asked.long and len(peer.waiting) < WAITING_MAX:
            peer.waiting[own_id] = asked
            asked.timer = self._timers.at(deadline, lambda: self._expire(peer, asked))
        else:
            self.counters["window_full"] += 1
            number = LONG_MAX if asked.long else WAITING_MAX
            self._refuse(asked, "busy", f"{number} requests to {host_port(to)} are waiting; send fewer at a time")
        return own_id

    def drop(self, to: Address, request_id: int) -> None:
        """Ask no more: nobody waits for the answer. Nothing happens if the request is over."""
        asked, peer = self._asked.get((to, request_id)), self._peers.get(to)
        if asked is not None:
            self._end(asked)
        elif peer is not None and (waiting := peer.waiting.pop(request_id, None)) is not None:
            self._halt(waiting)

    def heard_at(self, to: Address, request_id: int) -> float:
        """When the peer last sent a part of the answer, or took in some of what is sent to it if the request is long.

        Monotonic seconds; -inf if it did not, or the request is over.
        """
        asked = self._asked.get((to, request_id))
        if asked is None:
            return -math.inf
        return max(asked.heard_at, self.long.heard_at(to)) if asked.long else asked.heard_at

    def answer(self, incoming: Incoming, reply: Reply) -> None:
        """Answer a request."""
        payload = encode(reply)
        if len(payload) > MESSAGE_BYTES_MAX:
            text = f"what is known of the key exceeds {MESSAGE_BYTES_MAX} bytes, more than a message holds"
            payload = encode(Failed("too_large", f"{text}; delete it with the context of one of its puts"))
        key = (incoming.incarnation, incoming.request_id)
        short = len(payload) <= self._wire.chunk_bytes
        if isinstance(incoming.request, Put | Forward) or (incoming.long and short and key in self._taken):
            self._taken.keep(key, payload)
        else:
            self._taken.forget(key)
        self._reply(incoming.source, key, payload)

    def forget(self, incoming: Incoming) -> None:
        """Forget a request without an answer, as if it had not come: if it is sent again it is taken again."""
        self._taken.forget((incoming.incarnation, incoming.request_id))

    def receive(self, datagram: bytes, source: Address) -> None:
        """Process a datagram from the network, valid or not."""
        self.counters["datagrams_in"] += 1
        try:
            fragment = self._wire.open(datagram)
        except Refused as refusal:
            if not self._hear(datagram, source):
                self.counters[refusal.reason] += 1
                self.on_refused(refusal.reason, datagram, source)
            return
        if fragment.kind == REQUEST:
            if fragment.meant_for != self._wire.incarnation:
                self._greet(fragment, source)
                return
            self._wire.accept(fragment)
            self._receive_request(fragment, source)
        elif fragment.kind == PROGRESS:
            self._take_progress(fragment, source)
        else:
            self._receive_answer(fragment, source)

    @property
    def queues(self) -> dict[str, int]:
        """The lengths of all queues, for the status."""
        return {
            "asked": len(self._asked),
            "waiting": sum(len(peer.waiting) for peer in self._peers.values()),
            "answers_kept": len(self._taken),
            **self.long.queues,
        }

    def round_trip_s(self, to: Address) -> float | None:
        """The smoothed round trip to a peer, or None if nothing was measured."""
        peer = self._peers.get(to)
        return peer.smoothed_s if peer else None

    def says(self, to: Address) -> str:
        """What a peer says of our datagrams instead of answering (`rejections`), for people only; "" if nothing."""
        peer = self._peers.get(to)
        return peer.says if peer else ""

    def _hear(self, datagram: bytes, source: Address) -> bool:
        text = said(datagram, self._wire)
        if text is None:
            return False
        self.counters["notices"] += 1
        peer = self._peers.get(source)
        if peer is not None and (peer.in_flight or self.long.waiting(source)):
            peer.says = text
            self.on_rejection(source, text)
        return True

    # Requests from here

    def _begin(self, peer: Peer, asked: Asked) -> None:
        where = (asked.to, asked.request_id)
        if where in self._asked:
            raise ValueError(f"request id {asked.request_id} is under way to {host_port(asked.to)} already")
        self._asked[where] = asked
        peer.in_flight += not asked.long
        self._send(asked)

    def _refuse(self, asked: Asked, code: str, text: str) -> None:
        # Later, so that the asker is never answered before `ask` has returned.
        self._timers.at(0.0, lambda: asked.on_reply(Failed(code, text, BUSY_HERE_MS if code == "busy" else 0)))

    def _expire(self, peer: Peer, asked: Asked) -> None:
        del peer.waiting[asked.request_id]
        self.counters["timeouts"] += 1
        asked.on_reply(None)

    def _send(self, asked: Asked) -> None:
        now = self._present.now.monotonic
        if now >= asked.deadline:
            self._settle(asked, None)
            return
        if now - asked.heard_at < ARRIVING_S:
            asked.timer = self._timers.at(min(asked.deadline, now + ARRIVING_S), lambda: self._send(asked))
            return
        peer = self._peers[asked.to]
        if asked.attempts:
            self.counters["retries"] += 1
            peer.silent_attempts = max(peer.silent_attempts, asked.attempts)
        incarnation = peer.incarnation if asked.named is None or asked.named == peer.named else 0
        # A peer that has it already, or that is not there, needs to be sent one fragment only.
        first = FIRST if incarnation and not asked.attempts else 1
        kind = asked.attempt(now, self._wire.incarnation, incarnation)
        if asked.long:
            asked.timer = self._timers.at(asked.deadline, lambda: self._send(asked))
            self.long.request(asked, kind, incarnation, first, lambda: self._arrived(asked))
            return
        datagram = self._wire.datagram(kind, asked.request_id, incarnation, asked.payload)
        self.long.put_out(asked.to, datagram)
        self._await(asked)

    def _await(self, asked: Asked) -> None:
        """Send it again, unless the answer comes in time."""
        jitter = 1 + self._bits(10) / 4096
        patience_s = self._peers[asked.to].timeout_s(asked.attempts - 1) * jitter
        due = min(asked.deadline, self._present.now.monotonic + patience_s)
        asked.timer = self._timers.at(due, lambda: self._send(asked))

    def _arrived(self, asked: Asked) -> None:
        """The peer says that it has all of a long request."""
        self._halt(asked)
        self._await(asked)

    def _halt(self, asked: Asked) -> None:
        """Send no more of it."""
        if asked.timer is not None:
            asked.timer.cancel()
        if asked.outgoing is not None:
            self.long.stop(asked.outgoing)
            asked.outgoing = None

    def _end(self, asked: Asked) -> None:
        """It is over: make room for those that wait."""
        self._halt(asked)
        del self._asked[asked.to, asked.request_id]
        peer = self._peers[asked.to]
        peer.in_flight -= not asked.long
        for waiting in peer.next(IN_FLIGHT_MAX, self._present.now.monotonic) if peer.waiting else ():
            self._begin(peer, waiting)

    def _settle(self, asked: Asked, reply: Reply | None) -> None:
        peer = self._peers[asked.to]
        if reply is None:
            self.counters["timeouts"] += 1
        else:
            peer.says = ""
            if asked.attempts == 1 and not asked.long:  # Karn; and a long one's way says nothing of a short one's.
                peer.measured(self._present.now.monotonic - asked.sent_at)
        self._end(asked)
        asked.on_reply(reply)

    def _receive_answer(self, fragment: Fragment, source: Address) -> None:
        asked = self._asked.get((source, fragment.request_id))
        if asked is None or not asked.is_answered_by(fragment, self._wire.incarnation):
            self.counters["unasked_answers"] += 1
            return
        self._wire.accept(fragment)
        self._peers[asked.to].silent_attempts = 0
        if fragment.kind == HELLO:
            self._take_hello(fragment, asked)
            return
        now = self._present.now.monotonic
        self.on_answer(fragment.name, now)
        if fragment.parts > 1:
            asked.heard_at = now
        payload = self.long.receive(fragment, source)
        if payload is None:
            return
        try:
            reply = decode_reply(payload)
        except Malformed:
            self.counters["malformed"] += 1
            return
        self._settle(asked, reply)

    def _take_progress(self, fragment: Fragment, source: Address) -> None:
        asked = self._asked.get((source, fragment.request_id))
        if self.long.heard(fragment, source, None if asked is None else asked.outgoing):
            self.on_answer(fragment.name, self._present.now.monotonic)
        else:
            self.counters["unasked_answers"] += 1

    def _take_hello(self, fragment: Fragment, asked: Asked) -> None:
        if asked.sent_to == fragment.incarnation or asked.hellos == HELLOS_MAX:
            return
        peer = self._peers[asked.to]
        peer.incarnation, peer.named = fragment.incarnation, fragment.checksum
        asked.hellos += 1
        if not asked.may_have_arrived:
            asked.attempts -= 1  # That one was not taken: it does not count.
        self._halt(asked)
        self._send(asked)

    # Requests from elsewhere

    def _greet(self, fragment: Fragment, source: Address) -> None:
        """A request came for another incarnation: the peer does not know this one yet, or it is a replay."""
        self.counters["hellos"] += 1
        if fragment.part == 0 or fragment.asks:
            self.long.put_out(source, self._wire.hello(fragment.request_id, fragment.incarnation))

    def _receive_request(self, fragment: Fragment, source: Address) -> None:
        key = (fragment.incarnation, fragment.request_id)
        long = fragment.parts > 1
        if long and key in self._taken:
            if fragment.asks:
                self.long.has_all(fragment, source)
                self._repeat(key, source)
            return
        if long and fragment.defers and not fragment.retried and self._deferred(fragment, source, key):
            return
        payload = self.long.receive(fragment, source)
        if payload is None:
            return
        if key in self._taken:
            self._repeat(key, source)
            return
        try:
            request = decode_request(payload)
        except Malformed:
            self.counters["malformed"] += 1
            return
        self._taken.begin(key)
        self.on_request(Incoming(key[0], fragment.name, source, key[1], request, fragment.retried, long))

    def _deferred(self, fragment: Fragment, source: Address, key: Key) -> bool:
        """Whether the request, the first of which has come, is refused as `busy`."""
        refusal = self.admit(fragment.parts * len(fragment.chunk)) if self.long.begins(fragment) else None
        if refusal is None:
            return False
        self.counters["busy"] += 1
        self._taken.begin(key)
        self._taken.keep(key, encode(refusal))
        self._reply(source, key, encode(refusal))
        return True

    def _repeat(self, key: Key, source: Address) -> None:
        """A request came again: answer it as before, or not yet."""
        self.counters["repeated_requests"] += 1
        payload = self._taken.answer(key)
        if payload is not None:
            self._reply(source, key, payload)

    def _reply(self, to: Address, key: Key, payload: bytes) -> None:
        incarnation, request_id = key
        if len(payload) <= self._wire.chunk_bytes:
            self.long.put_out(to, self._wire.datagram(REPLY, request_id, incarnation, payload))
        else:
            self.long.reply(to, request_id, incarnation, payload)
