"""Stacks whose values are distinct: linearizability in O(n log n).

1. Three anomalies are all there are. A value was popped that was never pushed, or before it was, or twice. A pop found
   nothing while some value was surely inside at every moment of it. Some values can't be *peeled*.
2. Peeling: a value can lie at the bottom, below all others, if its push has a moment at which no other value is surely
   inside, and its pop has one. It is removed with its two calls; then the next, until none is left or none can go.
3. Peeling finds every legal order: the value pushed first in it can be peeled, since nothing else is inside at its push
   and what came on top of it has left at its pop. Without it the order is still legal.
4. Peeling finds only legal orders: if the rest is linearizable, each of its values can leave before the push, or come
   between the push and the pop, or after the pop. What lies in between is whole lifetimes, legal by themselves. Which
   value goes first makes no difference: one that can be peeled now can be peeled later too.
5. `deadlines` says what crashed calls may have removed. Crashed pops may leave the verdict open: None.

Rules 2 to 4: Lee and Mathur 2025, Efficient Decrease-and-Conquer Linearizability Monitoring, section on stacks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.deadlines import Evidence, decide
from splitbrain.checkers.linearizability.polynomial.initial_elements import during as when
from splitbrain.checkers.linearizability.polynomial.lifetimes import (
    LINEARIZABLE,
    Lifetime,
    Presence,
    calls_of,
    during,
    found_nothing,
    gather,
    unlinearizable,
)

_SEEDS = 50  # From so many of the values that can't be peeled a witness is grown, and the smallest is kept.
_PRUNED_MAX = 500  # A witness of more values is given as it was found.
_EXPLAINED = 4  # For so many values the text says what kept them from the bottom.


def judge(calls: Sequence[Call], initial: Sequence[Hashable] = ()) -> Finding | None:
    """Calls of one stack (`push`, `pop`), in the order of their invocations. O(n log n).

    initial: the values inside at first, the top last.
    Returns None if a value was pushed twice, or if crashed pops leave the verdict open (rule 5).
    """
    return decide(gather(calls, "push", "pop", initial), _judge, _evidence, lambda each: each.begin)


def _judge(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding:
    stuck = _stuck(values)
    if stuck:
        return _unpeelable(stuck)
    return found_nothing(values, empties) or LINEARIZABLE


def _evidence(values: Sequence[Lifetime]) -> list[Evidence]:
    """What was pushed on top of a value had to leave before it did."""
    return [Evidence(each.inside, each.leaving, each.gone, each.calls) for each in values]


def _stuck(values: Sequence[Lifetime]) -> list[Lifetime]:
    """The values that can't be peeled, in order. O(n log n)."""
    return _Peeling(values).stuck()


class _Peeling:
    """Values are peeled until no more can be.

    It keeps a binary tree over the moments. Leaf p, at `_leaves + p`, is the moment from the p-th event to the next. A
    span of moments is made up of O(log n) nodes. A node is *clear* if no value that is left is surely inside for all
    of it, nor for all of a node above it. A clear leaf is a moment at which nothing is surely inside. A node becomes
    clear once.
    """

    def __init__(self, values: Sequence[Lifetime]) -> None:
        self._values = values
        moments = sorted({m for v in values for m in (v.begin, v.inside, v.leaving, v.gone)})
        self._rank = {moment: at for at, moment in enumerate(moments)}
        self._leaves = 1 << len(moments).bit_length()
        # By node: how many values are surely inside for all of it; the calls that may take effect during it; whether it
        # is clear; whether a leaf below it is.
        self._covers = [0] * (2 * self._leaves)
        self._waiting: list[list[int] | None] = [None] * (2 * self._leaves)
        self._clear = bytearray(2 * self._leaves)
        self._open = bytearray(2 * self._leaves)
        # By call, whether it has a clear moment: the push of value v is call 2v, its pop 2v + 1.
        self._served = bytearray(2 * len(values))
        for number, each in enumerate(values):
            for node in self._span(each.inside, each.leaving):
                self._covers[node] += 1
            for call, start, stop in ((2 * number, each.begin, each.inside), (2 * number + 1, each.leaving, each.gone)):
                for node in self._span(start, stop):
                    waiting = self._waiting[node]
                    if waiting is None:
                        self._waiting[node] = [call]
                    else:
                        waiting.append(call)

    def stuck(self) -> list[Lifetime]:
        """The values that can't be peeled, in order."""
        ready = self._uncover(1)
        while ready:
            each = self._values[ready.pop()]
            for node in self._span(each.inside, each.leaving):
                self._covers[node] -= 1
                if self._clear[node >> 1]:
                    ready += self._uncover(node)
        served = self._served
        return [each for at, each in enumerate(self._values) if not (served[2 * at] and served[2 * at + 1])]

    def _span(self, start: int, stop: int) -> Iterator[int]:
        """The nodes that make up the moments from start to stop."""
        if start >= stop:
            return
        low, high = self._rank[start] + self._leaves, self._rank[stop] + self._leaves
        while low < high:
            if low & 1:
                yield low
                low += 1
            if high & 1:
                yield high - 1
            low >>= 1
            high >>= 1

    def _uncover(self, top: int) -> list[int]:
        """Clear the node, whose parent is clear, and those below it, as far as nothing covers them.

        Returns the values that can be peeled now and could not before.
        """
        ready: list[int] = []
        todo = [top]
        while todo:
            node = todo.pop()
            if self._covers[node]:
                continue
            self._clear[node] = True
            if node < self._leaves:
                todo += (2 * node, 2 * node + 1)
                continue
            while node and not self._open[node]:
                self._open[node] = True
                for call in self._waiting[node] or ():
                    if not self._served[call]:
                        self._served[call] = True
                        if self._served[call ^ 1]:
                            ready.append(call >> 1)
                node >>= 1
        return ready


def _unpeelable(stuck: Sequence[Lifetime]) -> Finding:
    """The finding against a few values that can't be peeled.

    These are one of them, those that keep it from the bottom, those that keep these from it, and so on; and of all of
    them a minimal subset that can't be peeled.
    """
    presence = Presence(stuck)
    few: Sequence[Lifetime] = stuck
    for seed in stuck[:_SEEDS]:
        few = _closed(seed, presence, len(few)) or few
    if len(few) <= _PRUNED_MAX:
        few = pruned(few, lambda some: bool(_stuck(some)))
    names = listing(literal(each.value) for each in few)
    text = (
        f"of {names} the one pushed first had none of the others on the stack at its push, nor at its pop; but that is "
        f"true of none: {'; '.join(_kept(each, Presence(few)) for each in few[:_EXPLAINED])}"
    )
    return unlinearizable(text, calls_of(few))


def _blocked(each: Lifetime, presence: Presence) -> tuple[str, int, int]:
    """The call of the value during which another one was always inside: its name, start and stop."""
    if presence.always(each.begin, each.inside):
        return "push", each.begin, each.inside
    return "pop", each.leaving, each.gone


def _closed(seed: Lifetime, presence: Presence, limit: int) -> list[Lifetime] | None:
    """The seed, the values that keep it from the bottom, those that keep these from it, and so on.

    None if they are no fewer than the limit.
    """
    chosen = {seed.begin: seed}
    todo = [seed]
    while todo:
        for each in presence.cover(*_blocked(todo.pop(), presence)[1:]):
            if each.begin not in chosen:
                chosen[each.begin] = each
                todo.append(each)
        if len(chosen) >= limit:
            return None
    return sorted(chosen.values(), key=lambda each: each.begin)


def _kept(each: Lifetime, presence: Presence) -> str:
    f, start, stop = _blocked(each, presence)
    return f"at the {f} of {literal(each.value)} {when(start, stop)} {during(presence.cover(start, stop))}"
