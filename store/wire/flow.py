"""Flow: long messages to one peer, as fast as it can take them in.

1. A message of several datagrams goes out in fragments. The peer says which have come (`progress`): those are never
   sent again, and what it misses is sent at once.
2. Bytes on their way to a peer are bounded by a window, over all messages to it. The window grows while all arrives,
   shrinks by a fifth for each round trip in which something was lost, and never exceeds the room that the peer says
   it has.
3. Of a message that the peer has said nothing about, only the first fragments are sent (`outgoing.FIRST`): a peer may
   refuse it (`busy`), or be dead. If it says nothing, one fragment is sent again, after a wait that doubles.
4. The message of which the least is left goes first, so that no small one waits behind a large one. Every fourth turn
   is the oldest one's, so that none waits forever.
5. A fragment counts as lost once one that was sent later has arrived, and up to a round trip more has passed. What only
   came in another order is not sent twice (RACK, RFC 8985); nor is what waits unread in the peer's buffer.
6. Whatever a peer says, at most `outgoing.SENT_MAX` times its length is sent of a message. A peer that claims to have
   what it has not harms itself alone; one that takes back what it said is sent that again (it may have dropped an
   incomplete message), within the same bound.
"""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.scheduling.timers import Present, Timer, Timers
from splitbrain.store.wire.datagrams import DATAGRAM_BYTES_MAX
from splitbrain.store.wire.outgoing import Outgoing
from splitbrain.store.wire.progress import Progress

WINDOW_BYTES = 256 << 10
UNTOLD_BYTES = 64 << 10
"""Until the peer has said how much room it has: three such senders fit in the buffer that Linux grants everybody."""
WINDOW_MIN_BYTES, WINDOW_MAX_BYTES = 32 << 10, 1 << 20
SHRINK, GROW = 0.8, 1 / 8
"""Of the window, for each round trip: with loss, and without."""
ROOM_MIN = 4
BATCH = 8
LANES = 16
"""Messages of which part is sent: fewer than a peer puts together at a time (`reassembly.PARTIALS_PER_SENDER`)."""
OLDEST_EVERY = 4
FIRST_ROUND_TRIP_S = 0.05
PROBE_MIN_S, PROBE_MAX_S = 0.02, 0.6
PROBES_MAX = 5
REORDER_MIN_S = 0.001


class Flow:
    """All long messages to one peer.

    emit: sends a fragment of a message; asks: and has the peer say what has come.
    """

    def __init__(self, timers: Timers, present: Present, emit: Callable[[Outgoing, int, bool], None]) -> None:
        self._timers = timers
        self._present = present
        self._emit = emit
        self._begun: dict[Outgoing, None] = {}
        self._waiting: dict[Outgoing, None] = {}
        self._window = WINDOW_BYTES
        self._granted = UNTOLD_BYTES
        self._flying = 0
        """Bytes on their way."""
        self._round_trip_s: float | None = None
        self._variation_s = 0.0
        self._shrunk_at = -1.0
        self._turn = self._order = 0
        self._timer: Timer | None = None
        self._due = 0.0
        self.bytes_left = 0
        """Of all messages that are not delivered."""
        self.heard_at = -1.0
        """When the peer last said that more has come."""

    def __len__(self) -> int:
        """How many messages are not delivered."""
        return len(self._begun) + len(self._waiting)

    @property
    def window(self) -> int:
        """How many bytes may be on their way."""
        return int(min(self._window, self._granted))

    def send(self, message: Outgoing) -> None:
        """Begin to send it, now or when its turn comes."""
        self._waiting[message] = None
        self.bytes_left += len(message.payload)
        self._pump()

    def stop(self, message: Outgoing) -> None:
        """Send nothing of it any more. To stop one that is over does nothing."""
        if self._forget(message):
            self._pump()

    def progress(self, message: Outgoing, progress: Progress, sequence: int) -> bool:
        """The peer says what has come. sequence: its datagram's. Returns whether that can be. O(fragments flying)."""
        base, seen, now = progress.base, progress.seen, self._present.now.monotonic
        if base > message.count or seen >> (message.count - base):
            return False
        if sequence <= message.heard or (message not in self._begun and message not in self._waiting):
            return True
        held = (1 << base) - 1 | seen << base
        message.heard = sequence
        self._granted = max(ROOM_MIN, progress.room) * DATAGRAM_BYTES_MAX
        self._arrived(message, held, now)
        message.tell(held)
        message.probes = 0
        if held.bit_count() == message.count:
            self._forget(message)
            message.on_delivered()
        else:
            self._find_lost(message, now)
        self._pump()
        return True

    def _arrived(self, message: Outgoing, held: int, now: float) -> None:
        flying = message.flying
        arrived = [part for part in flying if held >> part & 1]
        if not arrived:
            return
        self.heard_at = now
        arrived_bytes, earliest_at = 0, now
        for part in arrived:
            order, sent_at = flying.pop(part)
            arrived_bytes += message.size(part)
            message.newest = max(message.newest, order)
            earliest_at = min(earliest_at, sent_at)
        if not message.probes:  # Else nothing was heard for a while, though some of it had arrived.
            # The slowest of them: by the fastest, all others would soon count as lost.
            self._measured(now - earliest_at)
        if self._flying + BATCH * message.step >= self.window:  # It was the window that held back.
            self._window = min(WINDOW_MAX_BYTES, self._window + int(arrived_bytes * GROW))
        self._flying -= arrived_bytes

    def _measured(self, took_s: float) -> None:
        if self._round_trip_s is None:
            self._round_trip_s, self._variation_s = took_s, took_s / 2
            return
        self._variation_s += (abs(took_s - self._round_trip_s) - self._variation_s) / 4
        self._round_trip_s += (took_s - self._round_trip_s) / 8

    def _find_lost(self, message: Outgoing, now: float) -> None:
        until, lost = now - self._reorder_s, []
        for part, (order, sent_at) in message.flying.items():
            if order > message.newest or sent_at > until:
                break
            lost.append(part)
        for part in lost:
            _, sent_at = message.flying.pop(part)
            self._flying -= message.size(part)
            message.lost(part)
            if sent_at > self._shrunk_at:
                self._shrunk_at = now
                self._window = max(WINDOW_MIN_BYTES, int(self._window * SHRINK))

    @property
    def _reorder_s(self) -> float:
        """How long after it was sent a fragment has certainly arrived, if one sent later has."""
        round_trip_s = self._round_trip_s or FIRST_ROUND_TRIP_S
        return round_trip_s + max(min(round_trip_s, 4 * self._variation_s), round_trip_s / 2, REORDER_MIN_S)

    def _probe_s(self, message: Outgoing) -> float:
        if self._round_trip_s is None:
            base = 3 * FIRST_ROUND_TRIP_S
        else:
            base = max(PROBE_MIN_S, self._round_trip_s + 4 * self._variation_s)
        return min(PROBE_MAX_S, base * (1 << min(message.probes, 8)))

    def _forget(self, message: Outgoing) -> bool:
        if message in self._begun:
            del self._begun[message]
        elif message in self._waiting:
            del self._waiting[message]
        else:
            return False
        self.bytes_left -= len(message.payload)
        self._flying -= sum(map(message.size, message.flying))
        message.flying.clear()
        return True

    def _pump(self) -> None:
        """Send what may be sent."""
        now = self._present.now.monotonic
        while self._flying < self.window:
            message, ready = self._pick()
            if message is None:
                break
            room = max(1, (self.window - self._flying) // message.step)
            number = min(BATCH, room, ready)
            last = number if number in (room, ready) else 0
            for index in range(1, number + 1):
                if not message.left:  # The peer claims to have some that were never sent.
                    break
                self._launch(message, message.take(), index == last, now)
        self._arm(now)

    def _launch(self, message: Outgoing, part: int, asks: bool, now: float) -> None:
        self._order += 1
        message.flying[part] = (self._order, now)
        message.sent += 1
        self._flying += message.size(part)
        self._emit(message, part, asks)

    def _pick(self) -> tuple[Outgoing | None, int]:
        self._turn += 1
        oldest = self._turn % OLDEST_EVERY == 0
        if self._waiting and len(self._begun) < LANES:
            begun = next(iter(self._waiting)) if oldest else min(self._waiting, key=lambda each: each.count)
            del self._waiting[begun]
            self._begun[begun] = None
        picked, ready, least = None, 0, 0
        for message in self._begun:
            number = message.ready
            if number and (picked is None or message.left < least):
                picked, ready, least = message, number, message.left
                if oldest:
                    break
        if picked is None and self._waiting and len(self._begun) < LANES:
            return self._pick()
        return picked, ready

    def _arm(self, now: float) -> None:
        due = min((self._next_look(message) for message in self._begun if message.flying), default=None)
        if due is None or (self._timer is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = max(due, now)
        self._timer = self._timers.at(self._due, self._look)

    def _next_look(self, message: Outgoing) -> float:
        order, sent_at = next(iter(message.flying.values()))
        if order < message.newest:
            return sent_at + self._reorder_s
        _, sent_at = next(reversed(message.flying.values()))
        return sent_at + self._probe_s(message)

    def _look(self) -> None:
        """See what was lost; ask about messages of which nothing was heard."""
        self._timer = None
        now = self._present.now.monotonic
        for message in list(self._begun):
            if not message.flying:
                continue
            self._find_lost(message, now)
            if message.flying and self._next_look(message) <= now:
                self._probe(message, now)
        self._pump()

    def _probe(self, message: Outgoing, now: float) -> None:
        if message.on_given_up is not None and message.probes >= PROBES_MAX:
            self._forget(message)
            message.on_given_up()
            return
        message.probes += 1
        part = next(iter(message.flying))
        del message.flying[part]
        if message.allowance > 0:
            self._flying -= message.size(part)
            self._launch(message, part, True, now)
        else:
            message.flying[part] = (self._order, now)  # Nothing more is sent of it; whoever sends it will stop it.
