"""Depth first: the same configurations as the walk along the history, but one of them followed to the end at a time.

1. A configuration that gets past a return goes on to the next one at once. What else could have got past that return is
   left for later. If one comes to the end, the calls are linearizable.
2. Before a return, an *eager* search tries the open calls in the order of their invocations, whether or not they are
   needed. The other one tries first what gets past the return, then the call that returns soonest, and crashed calls
   last. It begins again and again, in orders drawn at random, since most ways are short and some have no end.
3. A configuration from which every way ended is *dead*. What a dead one beats is dead too, and is not followed again:
   by neither search, however often they begin.
4. If all of them are dead, the calls are not linearizable. The return that none got past is then the one at which the
   walk would have ended, since both leave out only what can do nothing more than another one.
5. Open calls are kept for the moment that is looked at. Going back takes invocations and returns back, one by one.

Wing and Gong 1993, with Lowe's memory of what failed (2017). Restarts: Luby, Sinclair and Zuckerman 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from sys import getsizeof

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.configurations import CONFIGURATION_BYTES, Frontier, insert
from splitbrain.checkers.linearizability.expansion import Expansion
from splitbrain.checkers.linearizability.kinds import Kinds
from splitbrain.checkers.linearizability.model import Model, State
from splitbrain.checkers.linearizability.open_calls import Alike, OpenCalls, Rival
from splitbrain.checkers.linearizability.timeline import Layout

_COMPARED = 64  # A configuration is compared with so many dead ones.
_FRAME_BYTES = 2500  # About what a return takes at which something was left for later.


_ATTEMPT = 1000  # So many configurations may lead no further in the first attempt.


def luby(number: int) -> int:
    """The sequence 1, 1, 2, 1, 1, 2, 4 and so on, from its first member on."""
    while number & number + 1:
        number -= (1 << number.bit_length() - 1) - 1
    return number + 1 >> 1


class _Frame:
    """A return at which a configuration lacks the call: what it may become by then.

    at: the position of the return among the steps. ready: those that are known and were not followed yet.
    """

    __slots__ = ("at", "bits", "expansion", "ready", "state")

    def __init__(self, at: int, state: State, bits: int) -> None:
        self.at = at
        self.state = state
        self.bits = bits
        self.ready: list[tuple[State, int]] = []
        self.expansion: Expansion | None = None


class Found:
    """What several searches of one layout found.

    Which configurations are dead, by the position of the return. furthest: the position of the last return that any of
    them reached. arrived: all configurations that came to the last returns before it. Only together with the others
    does one know that: it leaves out what is dead.
    """

    def __init__(self, *, remembered: int) -> None:
        """remembered: how many returns before the furthest one."""
        self._remembered = remembered
        self._rivals: dict[tuple[int, State, int], list[Rival]] = {}
        self.held_bytes = 0
        self.furthest = -1
        self.arrived: dict[int, dict[State, set[int]]] = {}

    def arrive(self, at: int, state: State, bits: int) -> None:
        """Note a configuration just before a return."""
        if at > self.furthest:
            self.furthest = at
            self.arrived[at] = {}
            if len(self.arrived) > self._remembered:
                del self.arrived[next(iter(self.arrived))]
        if at in self.arrived:
            insert(self.arrived[at], state, bits)

    def has(self, key: tuple[int, State, int], bits: int) -> bool:
        """Whether a dead configuration beats that one."""
        hidable = bits >> 1
        return any(not matters & hidable | fixed & (one ^ bits) for one, matters, fixed in self._rivals.get(key, ()))

    def add(self, key: tuple[int, State, int], rival: Rival) -> None:
        """Remember that every way from there ended."""
        several = self._rivals.setdefault(key, [])
        if len(several) == _COMPARED:
            several.pop(0)
        several.append(rival)
        self.held_bytes += CONFIGURATION_BYTES + getsizeof(key[1]) + 3 * getsizeof(rival[0])


class DepthFirst:
    """A search of a layout.

    end: how many steps there are to get past. found: is shared with other searches. eager: see rule 2. explored:
    configurations made. linearizable: None until it is known.
    """

    def __init__(
        self,
        layout: Layout,
        model: Model,
        kinds: Kinds,
        horizons: Sequence[int],
        end: int,
        found: Found,
        *,
        eager: bool,
    ) -> None:
        self._layout = layout
        self._kinds = kinds
        self._horizons = horizons
        self._end = end
        self.found = found
        self._eager = eager
        self._attempted = self._begin = 0
        self._random = Random(0)
        self._open = OpenCalls(layout, model, kinds, losing=True)
        self._at = 0
        self._moves: Sequence[Alike] | None = None  # Those of the frame that is expanded, until another one is.
        self._frames: list[_Frame] = []
        self.explored = 0
        self.linearizable: bool | None = None

    @property
    def held_bytes(self) -> int:
        """About how many bytes it holds, besides what it shares."""
        return len(self._frames) * _FRAME_BYTES

    def moments(self) -> Iterator[tuple[int, Frontier]]:
        """The last returns that were reached, by position, with all configurations that came there."""
        return ((at, frontier) for at, frontier in self.found.arrived.items() if at >= self._begin)

    def run(self, begin: Callable[[], tuple[int, Frontier]]) -> Iterator[None]:
        """Search until it is known. Yields after every configuration.

        begin: gives the position of a return, and all configurations just before it, to begin the next attempt from.
        """
        for attempt in count():
            yield from self._attempt(*begin(), attempt)
            if self.linearizable is not None:
                return

    def _attempt(self, begin: int, frontier: Frontier, attempt: int) -> Iterator[None]:
        """Search once, in an order of its own, until so many configurations led no further than before."""
        left = -1 if self._eager else _ATTEMPT * luby(attempt + 1)
        self._attempted, self._begin = attempt, begin
        self._frames.clear()
        self._moves = None
        self._go_back(begin)
        while self._at < begin:
            self._go_on()
        for state in frontier:
            for bits in sorted(frontier[state]):
                self._go_back(begin)
                if self._descend(state, bits):
                    self.linearizable = True
                    return
                while self._frames:
                    yield
                    self.explored += 1
                    furthest = self.found.furthest
                    if self._advance():
                        self.linearizable = True
                        return
                    left -= self.found.furthest == furthest
                    if not left:
                        return
        self.linearizable = False

    def _advance(self) -> bool:
        """Follow the last frame for a step. Returns whether the end was reached."""
        frame = self._frames[-1]
        if self._at != frame.at:
            self._go_back(frame.at)
            self._moves = None
        if frame.ready:
            return self._past(*frame.ready.pop())
        if frame.expansion is None:
            frame.expansion = self._expansion(frame)
            self._moves = None
        if self._moves is None:
            self._moves = self._in_order(frame.expansion.moves() or ())
        found = frame.expansion.one_more(self._moves, eager=self._eager)
        if found is None:
            self.found.add(self._key(frame.at, frame.state, frame.bits), self._open.rival(frame.bits))
            self._frames.pop()
            self._moves = None
        elif found[2] is None:
            return self._past(found[0], found[1])
        return False

    def _past(self, state: State, bits: int) -> bool:
        self._moves = None
        self._go_on()
        return self._descend(state, bits)

    def _in_order(self, moves: Sequence[Alike]) -> Sequence[Alike]:
        """The moves, the last of which is followed first."""
        if self._eager:
            return sorted(moves, key=lambda alike: -alike.numbers[0])
        if self._attempted == 0:
            return sorted(moves, key=lambda alike: -alike.returns[0])  # Crashed ones return at FOREVER.
        draw = self._random.random
        return sorted(moves, key=lambda alike: (alike.returns[0] < FOREVER, draw()))

    def _expansion(self, frame: _Frame) -> Expansion:
        number = ~self._layout.steps[frame.at]
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        expansion = Expansion(kind, bit, self._open, self._kinds, {}, self._horizons[frame.at])
        expansion.begin_with(frame.state, frame.bits & ~(bit << 1))
        return expansion

    def _descend(self, state: State, bits: int) -> bool:
        """Go on with a configuration to the next return that lacks its call. Returns whether the end was reached."""
        steps, layout = self._layout.steps, self._layout
        while self._at < self._end:
            step = steps[self._at]
            if step >= 0:
                bits = self._open.invoked(step, state, bits)
                self._at += 1
                continue
            self.found.arrive(self._at, state, bits)
            bit = layout.bits[~step]
            if bits & bit:
                bits ^= bit
                self._go_on()
                continue
            if self.found.has(self._key(self._at, state, bits), bits):
                return False
            frame = _Frame(self._at, state, bits)
            if bits & bit << 1:  # It is hidable, so it may count as hidden here.
                frame.ready.append((state, bits ^ bit << 1))
            self._frames.append(frame)
            return False
        return True

    def _key(self, at: int, state: State, bits: int) -> tuple[int, State, int]:
        open_calls = self._open
        return at, state, bits & open_calls.lower & ~(open_calls.reading | open_calls.crashed | open_calls.hidable)

    def _go_on(self) -> None:
        step = self._layout.steps[self._at]
        if step >= 0:
            self._open.open(step)
        else:
            self._open.close(~step)
        self._at += 1

    def _go_back(self, at: int) -> None:
        while self._at > at:
            self._at -= 1
            step = self._layout.steps[self._at]
            if step >= 0:
                self._open.withdraw(step)
            else:
                self._open.reopen(~step)
