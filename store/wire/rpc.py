"""RPC: requests that are retried until answered, and answers that are given once.

1. A request keeps its id over every retry. An answer counts only from the address and the incarnation that were asked,
   to this incarnation, for a request still open. Until that is known it has no effect at all: otherwise recorded
   answers of a dead peer, sent on from anywhere, would keep it alive.
2. Retries wait for an adaptive timeout (Jacobson and Karels; Karn's rule), doubled each time, capped, with jitter.
3. A request that arrives again is not done again while it is being done, and a put not for as long as its sender may
   retry it: its answer is sent again. Answers to what may be repeated (reads, merges) are not kept.
4. A request is meant for one incarnation of its peer, so that it can't be replayed to another. A peer that it is not
   meant for answers with its own incarnation, and nothing else: then the request is sent again at once. If an earlier
   incarnation was sent it and may have done it, it says so (a retry). If the peer's name is known, only an incarnation
   of that name is believed: otherwise one node could be made to answer for another.
5. At most 128 requests are under way to one peer; more wait their turn until their deadline, and past a bound fail as
   `busy`. A request is not sent again while its answer is arriving.
6. A long message is sent in bursts, so that it does not overrun the receiver's socket buffer.
7. What can't be opened, or is no message, is counted and dropped. A peer's rejection of our own datagrams
   (`rejections`) is kept until its next answer, to explain why there was none, and changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from splitbrain.store.actions import Action, Address, Bits, Send, host_port
from splitbrain.store.scheduling.timers import Present, Timer, Timers
from splitbrain.store.wire.client_messages import Failed, Put
from splitbrain.store.wire.datagrams import HELLO, REPLY, REQUEST, RETRY, Fragment, Refused, Wire, name_checksum
from splitbrain.store.wire.incoming import Incoming
from splitbrain.store.wire.messages import Malformed, Reply, Request, decode_reply, decode_request, encode
from splitbrain.store.wire.peer_messages import Forward
from splitbrain.store.wire.reassembly import MESSAGE_BYTES_MAX, Reassembly
from splitbrain.store.wire.rejections import said

IN_FLIGHT_MAX = 128
WAITING_MAX = 4096
FIRST_TIMEOUT_S, TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.15, 0.03, 0.6
ANSWER_KEPT_S = 10.0
"""Longer than any client retries (`client_core.TIMEOUT_S`)."""
TAKEN_MAX = 50_000
"""Puts a node can coordinate in `ANSWER_KEPT_S`, several times over."""
BURST, BURST_EVERY_S = 32, 0.001
ARRIVING_S = 0.05
HELLOS_MAX = 3
"""How often a request is sent again at once; a peer with a new incarnation each time has to wait for the retries."""

OnReply = Callable[[Reply | None], None]


@dataclass(slots=True)
class _Asked:
    to: Address
    request_id: int
    payload: bytes
    deadline: float
    on_reply: OnReply
    named: int | None
    attempts: int = 0
    hellos: int = 0
    sent_to: int = 0
    elsewhere: bool = False
    sent_at: float = 0.0
    heard_at: float = -math.inf
    timer: Timer | None = None


@dataclass(slots=True)
class _Peer:
    """A peer's round trips, and the requests to it. incarnation, named: from its last HELLO."""

    smoothed_s: float | None = None
    variation_s: float = 0.0
    in_flight: int = 0
    incarnation: int = 0
    named: int | None = None
    says: str = ""
    waiting: OrderedDict[int, _Asked] = field(default_factory=OrderedDict)

    def timeout_s(self, attempt: int) -> float:
        if self.smoothed_s is None:
            base = FIRST_TIMEOUT_S
        else:
            base = max(TIMEOUT_MIN_S, self.smoothed_s + 4 * self.variation_s)
        return min(TIMEOUT_MAX_S, base * (1 << min(attempt, 8)))

    def measured(self, took_s: float) -> None:
        if self.smoothed_s is None:
            self.smoothed_s, self.variation_s = took_s, took_s / 2
            return
        self.variation_s += (abs(took_s - self.smoothed_s) - self.variation_s) / 4
        self.smoothed_s += (took_s - self.smoothed_s) / 8


class Rpc:
    """One node's or client's requests and replies. out: collects what is to be sent. counters: what happened."""

    def __init__(self, wire: Wire, timers: Timers, present: Present, bits: Bits, out: list[Action]) -> None:
        self._wire = wire
        self._timers = timers
        self._present = present
        self._bits = bits
        self._out = out
        self._reassembly = Reassembly()
        self._asked: dict[tuple[Address, int], _Asked] = {}
        self._peers: dict[Address, _Peer] = {}
        self._taken: OrderedDict[tuple[int, int], tuple[float, bytes | None]] = OrderedDict()
        self._next_id = bits(64)
        self.counters: Counter[str] = Counter()
        self.on_request: Callable[[Incoming], None] = lambda incoming: None
        self.on_answer: Callable[[str, float], None] = lambda name, now: None
        self.on_refused: Callable[[str, bytes, Address], None] = lambda reason, datagram, source: None
        self.on_rejection: Callable[[Address, str], None] = lambda source, text: None

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
    ) -> None:
        """Send a request and retry it. on_reply gets the answer, or None once `deadline` (monotonic) has passed.

        name: of the one node that may take it; None: whoever is at that address.
        """
        peer = self._peers.setdefault(to, _Peer())
        own_id = self.new_id() if request_id is None else request_id
        asked = _Asked(to, own_id, encode(request), deadline, on_reply, None if name is None else name_checksum(name))
        if len(asked.payload) > MESSAGE_BYTES_MAX:
            self._refuse(asked, "too_large", f"the message exceeds {MESSAGE_BYTES_MAX} bytes; send less in one request")
        elif peer.in_flight < IN_FLIGHT_MAX:
            self._begin(peer, asked)
        elif len(peer.waiting) < WAITING_MAX:
            peer.waiting[own_id] = asked
            asked.timer = self._timers.at(deadline, lambda: self._expire(peer, asked))
        else:
            self.counters["window_full"] += 1
            text = f"{WAITING_MAX} requests to {host_port(to)} are waiting; send fewer at a time"
            self._refuse(asked, "busy", text)

    def drop(self, to: Address, request_id: int) -> None:
        """Ask no more: nobody waits for the answer. Nothing happens if the request is over."""
        peer, asked = self._peers.get(to), self._asked.get((to, request_id))
        if peer is not None and asked is None and (asked := peer.waiting.pop(request_id, None)) is not None:
            self._stop(asked)
        elif peer is not None and asked is not None:
            self._stop(asked)
            self._end(peer, asked)

    def answer(self, incoming: Incoming, reply: Reply) -> None:
        """Answer a request."""
        payload = encode(reply)
        if len(payload) > MESSAGE_BYTES_MAX:
            text = f"what is known of the key exceeds {MESSAGE_BYTES_MAX} bytes, more than a message holds"
            payload = encode(Failed("too_large", f"{text}; delete it with the context of one of its puts"))
        key = (incoming.incarnation, incoming.request_id)
        if isinstance(incoming.request, (Put, Forward)):
            self._taken[key] = (self._present.now.monotonic, payload)
        else:
            self._taken.pop(key, None)
        self._transmit(incoming.source, REPLY, incoming.request_id, incoming.incarnation, payload)

    def forget(self, incoming: Incoming) -> None:
        """Forget a request without an answer, as if it had not come: if it is sent again it is taken again."""
        self._taken.pop((incoming.incarnation, incoming.request_id), None)

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
        now = self._present.now.monotonic
        asked = None
        if fragment.kind == REQUEST:
            if fragment.meant_for != self._wire.incarnation:
                self._greet(fragment, source)
                return
            self._wire.accept(fragment)
        else:
            asked = self._asked.get((source, fragment.request_id))
            if asked is None or not self._is_answer(fragment, asked):
                self.counters["unasked_answers"] += 1
                return
            self._wire.accept(fragment)
            if fragment.kind == HELLO:
                self._take_hello(fragment, asked)
                return
            self.on_answer(fragment.name, now)
            if fragment.parts > 1:
                asked.heard_at = now
        payload = self._reassembly.add(fragment, now)
        if payload is None:
            return
        try:
            if asked is None:
                self._take_request(fragment, source, payload)
            else:
                self._settle(asked, decode_reply(payload))
        except Malformed:
            self.counters["malformed"] += 1

    @property
    def queues(self) -> dict[str, int]:
        """The lengths of all queues, for the status."""
        partials, partial_bytes = self._reassembly.held
        return {
            "asked": len(self._asked),
            "waiting": sum(len(peer.waiting) for peer in self._peers.values()),
            "answers_kept": len(self._taken),
            "partial_messages": partials,
            "partial_bytes": partial_bytes,
            "messages_given_up": self._reassembly.dropped,
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
        if peer is not None and peer.in_flight:
            peer.says = text
            self.on_rejection(source, text)
        return True

    def _begin(self, peer: _Peer, asked: _Asked) -> None:
        where = (asked.to, asked.request_id)
        if where in self._asked:
            raise ValueError(f"request id {asked.request_id} is under way to {host_port(asked.to)} already")
        peer.in_flight += 1
        self._asked[where] = asked
        self._send(asked)

    def _refuse(self, asked: _Asked, code: str, text: str) -> None:
        # Later, so that the asker is never answered before `ask` has returned.
        self._timers.at(0.0, lambda: asked.on_reply(Failed(code, text)))

    def _expire(self, peer: _Peer, asked: _Asked) -> None:
        del peer.waiting[asked.request_id]
        self.counters["timeouts"] += 1
        asked.on_reply(None)

    def _fill(self, peer: _Peer) -> None:
        """Begin waiting requests while there is room; those past their deadline expire by their own timers."""
        now = self._present.now.monotonic
        for asked in list(itertools.islice(peer.waiting.values(), IN_FLIGHT_MAX - peer.in_flight)):
            if asked.timer is not None and now < asked.deadline:
                asked.timer.cancel()
                del peer.waiting[asked.request_id]
                self._begin(peer, asked)

    def _send(self, asked: _Asked) -> None:
        now = self._present.now.monotonic
        if now >= asked.deadline:
            self._settle(asked, None)
            return
        if now - asked.heard_at < ARRIVING_S:
            asked.timer = self._timers.at(min(asked.deadline, now + ARRIVING_S), lambda: self._send(asked))
            return
        if asked.attempts:
            self.counters["retries"] += 1
        peer = self._peers[asked.to]
        incarnation = peer.incarnation if asked.named is None or asked.named == peer.named else 0
        if asked.attempts and asked.sent_to and asked.sent_to != incarnation:
            asked.elsewhere = True
        kind = RETRY if asked.elsewhere else REQUEST
        sent = self._transmit(asked.to, kind, asked.request_id, incarnation, asked.payload)
        asked.sent_at, asked.sent_to = now, incarnation
        patience = peer.timeout_s(asked.attempts) + sent / BURST * BURST_EVERY_S
        asked.attempts += 1
        jitter = 1 + self._bits(10) / 4096
        asked.timer = self._timers.at(min(asked.deadline, now + patience * jitter), lambda: self._send(asked))

    def _stop(self, asked: _Asked) -> None:
        if asked.timer is not None:
            asked.timer.cancel()

    def _settle(self, asked: _Asked, reply: Reply | None) -> None:
        self._stop(asked)
        peer = self._peers[asked.to]
        if reply is None:
            self.counters["timeouts"] += 1
        else:
            peer.says = ""
            if asked.attempts == 1:  # Karn: the answer to a repeated request says nothing of the round trip.
                peer.measured(self._present.now.monotonic - asked.sent_at)
        self._end(peer, asked)
        asked.on_reply(reply)

    def _end(self, peer: _Peer, asked: _Asked) -> None:
        del self._asked[asked.to, asked.request_id]
        peer.in_flight -= 1
        if peer.waiting:
            self._fill(peer)

    def _is_answer(self, fragment: Fragment, asked: _Asked) -> bool:
        """Whether a REPLY or HELLO, which has come from the right address, answers what was asked."""
        if fragment.meant_for != self._wire.incarnation:
            return False
        if fragment.kind == REPLY:
            return fragment.incarnation == asked.sent_to
        return asked.named is None or asked.named == fragment.checksum

    def _greet(self, fragment: Fragment, source: Address) -> None:
        """A request came for another incarnation: the peer does not know this one yet, or it is a replay."""
        self.counters["hellos"] += 1
        if fragment.part == 0:
            self._out.append(Send(source, self._wire.hello(fragment.request_id, fragment.incarnation)))
            self.counters["datagrams_out"] += 1

    def _take_hello(self, fragment: Fragment, asked: _Asked) -> None:
        if asked.sent_to == fragment.incarnation or asked.hellos == HELLOS_MAX:
            return
        peer = self._peers[asked.to]
        peer.incarnation, peer.named = fragment.incarnation, fragment.checksum
        asked.hellos += 1
        asked.attempts -= 1  # That one was not taken: it does not count.
        self._stop(asked)
        self._send(asked)

    def _take_request(self, fragment: Fragment, source: Address, payload: bytes) -> None:
        key = (fragment.incarnation, fragment.request_id)
        taken = self._taken.get(key)
        if taken is not None:
            self.counters["repeated_requests"] += 1
            if taken[1] is not None:
                self._transmit(source, REPLY, fragment.request_id, fragment.incarnation, taken[1])
            return
        request = decode_request(payload)
        self._forget_old()
        self._taken[key] = (self._present.now.monotonic, None)
        sender, request_id = (fragment.incarnation, fragment.name), fragment.request_id
        self.on_request(Incoming(*sender, source, request_id, request, fragment.retried))

    def _forget_old(self) -> None:
        horizon = self._present.now.monotonic - ANSWER_KEPT_S
        while self._taken:
            taken_at, _ = next(iter(self._taken.values()))
            if taken_at >= horizon and len(self._taken) < TAKEN_MAX:
                return
            self._taken.popitem(last=False)

    def _transmit(self, to: Address, kind: int, request_id: int, meant_for: int, payload: bytes) -> int:
        """Send a message, in bursts if it is long. Returns the number of datagrams."""
        if len(payload) <= self._wire.chunk_bytes:
            self._out.append(Send(to, self._wire.datagram(kind, request_id, meant_for, payload)))
            self.counters["datagrams_out"] += 1
            return 1
        datagrams = self._wire.datagrams(kind, request_id, meant_for, payload)
        return self._burst(to, datagrams) if len(payload) <= BURST * 1024 else self._bursts(to, datagrams, payload)

    def _bursts(self, to: Address, datagrams: Iterator[bytes], payload: bytes) -> int:
        def more() -> None:
            if self._burst(to, datagrams) == BURST:
                self._timers.at(self._present.now.monotonic + BURST_EVERY_S, more)

        more()
        return len(payload) // self._wire.chunk_bytes + 1

    def _burst(self, to: Address, datagrams: Iterator[bytes]) -> int:
        sent = 0
        for datagram in datagrams:
            self._out.append(Send(to, datagram))
            sent += 1
            if sent == BURST:
                break
        self.counters["datagrams_out"] += sent
        return sent
