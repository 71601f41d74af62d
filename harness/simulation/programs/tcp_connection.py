"""One end of a TCP connection, as a kernel keeps it.

1. Bytes arrive once and in order, or the connection ends. What the network loses is sent again, each time after twice
   as long (RFC 6298), so that loss is seen as delay.
2. A cut link refuses nothing. Connecting goes unanswered for about two minutes and then times out; an established
   connection stalls until the heal and the next retransmission, and gives up after a quarter of an hour.
3. A connection that its peer does not know (it has restarted) is reset as soon as anything is sent on it.
4. What the user does not read closes the window: the sender's buffer fills, and then its user has to wait.
5. A read gives what has arrived, which is seldom just what one write sent: segments are cut where the seed says.

RFC 9293 without urgent data, options and congestion control; limits are Linux's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

from splitbrain.harness.environment import Address
from splitbrain.harness.simulation.programs.segments import ACK, FIN, RST, SYN, Segment

SEGMENT_BYTES = 14_480
"""Ten Ethernet frames, as one offloaded send has them; each is an event, so smaller ones would cost more."""
RECEIVE_BYTES = 131_072
SEND_BYTES = 131_072
CUT_SHORT = 1 / 16
"""The share of segments that end before the bytes at hand do."""
SHORTEST_RTO_S, LONGEST_RTO_S, CONNECTING_RTO_S = 0.2, 120.0, 1.0
CONNECTING_RETRIES, RETRIES = 6, 15
"""Linux's tcp_syn_retries and tcp_retries2: about 127 s and 924 s."""
LINGER_S = 60.0
"""How long a finished connection stays known, to answer what its peer sends again (TIME_WAIT)."""


class User(Protocol):
    """Who uses a connection: told when there is something to do, from outside its process."""

    def established(self) -> None: ...
    def readable(self) -> None: ...
    def writable(self) -> None: ...
    def lost(self, problem: OSError) -> None: ...


class Wire(Protocol):
    """What a connection needs of its host."""

    def now(self) -> float: ...
    def later(self, delay_s: float, callback: Callable[[], None]) -> None: ...
    def random(self) -> float: ...
    def transmit(self, to: str, segment: Segment) -> None: ...
    def forget(self, connection: TcpConnection) -> None: ...


class TcpConnection:
    """One end. local_port, remote: its own port, and the other end's host and port. first: its first sequence number,
    drawn at random, so that it also is the connection's `number`.

    user: None until accepted, and again once closed. finished: the other end sends nothing more, and all is in order.
    """

    def __init__(self, wire: Wire, local_port: int, remote: Address, first: int) -> None:
        self.local_port, self.remote, self.number = local_port, remote, first
        self.user: User | None = None
        self.is_established = self.finished = self.dead = False
        self._wire = wire
        self._passive: Callable[[TcpConnection], None] | None = None
        self._accepted_from: int | None = None
        # What is sent: `outgoing` begins at `una`, the first byte that was not acknowledged.
        self._outgoing = bytearray()
        self._una, self._next = first, first + 1
        self._peer_window = 0
        self._finishing = self._fin_sent = self._fin_acked = False
        # What is received: `incoming` ends before `expected`; `early` came out of order.
        self._incoming = bytearray()
        self._early: dict[int, bytes] = {}
        self._expected = 0
        self._fin_at: int | None = None
        self._orphan = False
        # Retransmission.
        self._rto_s = CONNECTING_RTO_S
        self._smoothed_s: float | None = None
        self._variation_s = 0.0
        self._timed: tuple[int, float] | None = None
        self._deadline: float | None = None
        self._tick_at: float | None = None
        self._retries = self._repeated_acks = 0
        self._recover = 0

    # What its user does.

    def connect(self) -> None:
        """Ask for the connection."""
        self._emit(SYN, self._una)
        self._arm()

    def accept(self, syn: Segment, accepted: Callable[[TcpConnection], None]) -> None:
        """Answer a request for it. accepted: called once it is established."""
        self._passive, self._accepted_from = accepted, syn.seq
        self._expected, self._peer_window = syn.seq + 1, syn.window
        self._emit(SYN | ACK, self._una)
        self._arm()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much of it as there is room for. Returns how much. Raises OSError once it is dead."""
        if self.dead or self._finishing:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        taken = min(len(data), SEND_BYTES - len(self._outgoing))
        self._outgoing += data[:taken]
        self._push()
        return taken

    @property
    def waiting_bytes(self) -> int:
        """How much can be read now."""
        return len(self._incoming)

    def receive(self, most: int) -> bytes:
        """What has arrived, up to so many bytes; empty if nothing has."""
        before = self._window
        data = bytes(self._incoming[:most])
        del self._incoming[:most]
        if before < SEGMENT_BYTES <= self._window and not self.dead:
            self._emit(ACK, self._next)
        return data

    def finish(self) -> None:
        """Send what is left, and then nothing more (half-close)."""
        self._finishing = True
        self._push()

    def close(self) -> None:
        """Both ways. What was not read, or comes from now on, resets the connection, as Linux does it."""
        self.user = None
        self._orphan = True
        if self._incoming and not self.dead:
            self.abort()
        elif not self.dead and not self._finishing:
            self.finish()
        self._close_if_done()

    def abort(self) -> None:
        """Reset it."""
        if not self.dead:
            self._emit(RST | ACK, self._next)
            self.drop()

    def drop(self) -> None:
        """End it without a word."""
        self.dead = True
        self.user = None
        self._outgoing.clear()
        self._wire.forget(self)

    # What the network does.

    def arrived(self, segment: Segment) -> None:
        """A segment for this connection."""
        if self.dead:
            return
        if not self.is_established and not self._handshake(segment):
            return
        if segment.flags & RST:
            if self._expected <= segment.seq <= self._expected + RECEIVE_BYTES:
                self._fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
            return
        if segment.flags & SYN:
            self._emit(ACK, self._next)
            return
        if segment.flags & ACK:
            self._acknowledged(segment)
        if not self.dead and (segment.payload or segment.flags & FIN):
            self._take(segment)

    def renewed(self, syn: Segment) -> bool:
        """Whether this SYN comes from another life of the peer, which knows no such connection: then it is lost."""
        if syn.seq == self._accepted_from:
            return False
        self._fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        return True

    def _handshake(self, segment: Segment) -> bool:
        """Whether the segment established the connection, so that there may be more in it."""
        if segment.flags & RST:
            if segment.ack == self._next or segment.seq == self._expected:
                self._fail(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            return False
        if self._passive is not None and segment.flags & SYN:
            self._emit(SYN | ACK, self._una)
            return False
        if not segment.flags & ACK or segment.ack <= self._una:
            return False
        if self._passive is None:
            if not segment.flags & SYN:
                return False
            self._expected = segment.seq + 1
        self.is_established = True
        self._una, self._peer_window = self._una + 1, segment.window
        self._rto_s, self._deadline, self._retries = SHORTEST_RTO_S, None, 0
        if self._passive is not None:
            self._passive(self)
            return True
        self._emit(ACK, self._next)
        if self.user is not None:
            self.user.established()
        self._push()
        return False

    def _acknowledged(self, segment: Segment) -> None:
        if segment.ack > self._next or segment.ack < self._una:
            return
        self._retries = 0
        moved = segment.ack - self._una
        repeated = moved == 0 and not segment.payload and segment.window == self._peer_window
        was_closed, self._peer_window = self._peer_window == 0, segment.window
        if moved:
            self._measure(segment.ack)
            del self._outgoing[:moved]
            self._una = segment.ack
            self._repeated_acks = 0
            self._deadline = None
            if self._fin_sent and self._una == self._next:
                self._fin_acked = True
                self._close_if_done()
            if self._una < self._recover:
                self._resend()
        elif repeated and self._next > self._una:
            self._repeated_acks += 1
            if self._repeated_acks == 3:
                self._recover = self._next
                self._resend()
        elif was_closed and segment.window and self._next > self._una:
            self._measure(self._una)  # The byte that asked whether the window is open was refused: it goes first.
            self._resend()
        self._push()
        if moved and self.user is not None and len(self._outgoing) < SEND_BYTES:
            self.user.writable()

    def _take(self, segment: Segment) -> None:
        if self._orphan and segment.payload and segment.end > self._expected:
            self.abort()
            return
        if segment.flags & FIN:
            self._fin_at = segment.end - 1
        if segment.payload and segment.seq < self._expected + self._window:
            held = self._early.get(segment.seq, b"")
            if len(segment.payload) > len(held):
                self._early[segment.seq] = segment.payload
        news = False
        while self._early and (start := min(self._early)) <= self._expected:
            fresh = self._early.pop(start)[self._expected - start :]
            self._incoming += fresh
            self._expected += len(fresh)
            news = news or bool(fresh)
        if self._fin_at == self._expected and not self.finished:
            self._expected += 1
            self.finished = news = True
        self._emit(ACK, self._next)
        if news and self.user is not None:
            self.user.readable()
        self._close_if_done()

    @property
    def _window(self) -> int:
        return max(0, RECEIVE_BYTES - len(self._incoming))

    def _push(self) -> None:
        """Send what the window allows, and see that what is under way has a deadline."""
        if not self.is_established or self.dead:
            return
        while (sent := self._next - self._una) < min(len(self._outgoing), self._peer_window):
            length = min(SEGMENT_BYTES, len(self._outgoing) - sent, self._peer_window - sent)
            if length > 1 and self._wire.random() < CUT_SHORT:
                length = 1 + int(self._wire.random() * (length - 1))
            self._emit(ACK, self._next, bytes(self._outgoing[sent : sent + length]))
            self._next += length
            if self._timed is None:
                self._timed = (self._next, self._wire.now())
        if self._finishing and not self._fin_sent and self._next - self._una == len(self._outgoing):
            self._emit(FIN | ACK, self._next)
            self._next += 1
            self._fin_sent = True
        if self._deadline is None and (self._next > self._una or self._outgoing):
            self._arm()

    def _resend(self) -> None:
        """The first segment that was not acknowledged; into a closed window, its first byte."""
        self._timed = None
        if not self.is_established:
            self._emit(SYN if self._passive is None else SYN | ACK, self._una)
            return
        if self._next == self._una and self._outgoing:
            self._next += 1
        length = min(SEGMENT_BYTES, self._next - self._una, len(self._outgoing))
        fin = FIN if self._fin_sent and self._una + length == self._next - 1 else 0
        self._emit(ACK | fin, self._una, bytes(self._outgoing[:length]))

    def _measure(self, ack: int) -> None:
        """RFC 6298; a segment that was sent again is no measure (Karn)."""
        if self._timed is not None and ack >= self._timed[0]:
            took_s = self._wire.now() - self._timed[1]
            self._timed = None
            if self._smoothed_s is None:
                self._smoothed_s, self._variation_s = took_s, took_s / 2
            else:
                self._variation_s += (abs(took_s - self._smoothed_s) - self._variation_s) / 4
                self._smoothed_s += (took_s - self._smoothed_s) / 8
        rto_s = SHORTEST_RTO_S if self._smoothed_s is None else self._smoothed_s + 4 * self._variation_s
        self._rto_s = min(max(rto_s, SHORTEST_RTO_S), LONGEST_RTO_S)

    # One timer, which is late rather than replaced: nearly every deadline is moved before it comes.

    def _arm(self) -> None:
        self._deadline = self._wire.now() + self._rto_s
        if self._tick_at is None or self._deadline < self._tick_at:
            self._tick_later(self._deadline)

    def _tick_later(self, when: float) -> None:
        self._tick_at = when
        self._wire.later(max(0.0, when - self._wire.now()), partial(self._tick, when))

    def _tick(self, when: float) -> None:
        if when != self._tick_at:
            return  # An earlier deadline came up, and has a timer of its own.
        self._tick_at = None
        if self.dead or self._deadline is None:
            return
        if self._deadline > when:
            self._tick_later(self._deadline)
            return
        self._retries += 1
        if self._retries > (RETRIES if self.is_established else CONNECTING_RETRIES):
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        self._rto_s = min(2 * self._rto_s, LONGEST_RTO_S)
        self._recover = self._next
        self._resend()
        self._arm()

    def _fail(self, problem: OSError) -> None:
        user = self.user
        self.drop()
        if user is not None:
            user.lost(problem)

    def _close_if_done(self) -> None:
        if self._fin_acked and self._orphan:
            self._wire.later(LINGER_S, self._expire)

    def _expire(self) -> None:
        if not self.dead and self._orphan:
            self.drop()

    def _emit(self, flags: int, seq: int, payload: bytes = b"") -> None:
        segment = Segment(self.local_port, self.remote[1], flags, seq, self._expected, self._window, payload)
        self._wire.transmit(self.remote[0], segment)
