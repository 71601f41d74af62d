"""Order: sequences, repetitions, and choices between generators.

1. Only the generator that is being asked, or that could be asked next, is updated.
2. A choice that was offered but not taken is the same choice when asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators.core import NOTHING, Context, Generator, Pending, Source, Step, Test, at_ns, lift
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import fraction, split


def sequence(*sources: Source) -> Generator:
    """All invocations of the first source, then all of the second, and so on."""
    return Unfold(lambda number: sources[number] if number < len(sources) else NOTHING, count=len(sources))


def unfold(source: Callable[[int], Source], count: int | None = None) -> Generator:
    """A sequence made as it is needed: all of `source(0)`, then of `source(1)`, ..., `count` or for ever.

    source must be pure. It is asked for the same number more than once.
    """
    return Unfold(source, count)


def numbered(invocation: Callable[[int], Invocation], count: int | None = None) -> Generator:
    """The invocations for 0, 1, 2, ..., `count` of them or for ever. invocation must be pure."""
    return Unfold(invocation, count)


def cycle(source: Source, times: int | None = None) -> Generator:
    """All of the source, from its start again and again, `times` times or for ever."""
    return Unfold(lambda _: source, times)


@dataclass(frozen=True, slots=True)
class Unfold:
    """See `unfold`. current: the rest of source number `at - 1`."""

    source: Callable[[int], Source]
    count: int | None
    at: int = 0
    current: Generator = NOTHING

    def op(self, test: Test, context: Context) -> Step:
        at, current = self.at, self.current
        while (step := current.op(test, context)) is None:
            if at == self.count:
                return None
            at, current = at + 1, lift(self.source(at))
        return step[0], Unfold(self.source, self.count, at, step[1])

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        current = self.current.update(test, context, event)
        return self if current is self.current else replace(self, current=current)


def once(source: Source) -> Generator:
    """The first invocation of the source."""
    return limit(1, source)


def limit(count: int, source: Source) -> Generator:
    """At most `count` invocations of the source."""
    return Limit(count, lift(source))


@dataclass(frozen=True, slots=True)
class Limit:
    """See `limit`."""

    left: int
    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        if self.left <= 0:
            return None
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        return offered, Limit(self.left - isinstance(offered, Invocation), after)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return replace(self, inner=self.inner.update(test, context, event))


def repeat(source: Source, count: int | None = None) -> Generator:
    """The source's next invocation again and again, `count` times or for ever; the source stays in place."""
    forever = Repeat(lift(source))
    return forever if count is None else limit(count, forever)


@dataclass(frozen=True, slots=True)
class Repeat:
    """See `repeat`."""

    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        return offered, Repeat(after) if isinstance(offered, Pending) else self

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return replace(self, inner=self.inner.update(test, context, event))


def mix(seed: int, *sources: tuple[float, Source]) -> Generator:
    """Invocations of all sources at random, until all are exhausted.

    sources: (weight, source), weights above 0. One that is exhausted is left out. While the one drawn is
    pending, so is the mixture: drawing again would favour those that never wait.
    """
    weighted = tuple((weight, lift(source)) for weight, source in sources)
    if any(weight <= 0 for weight, _ in weighted):
        raise ValueError("a weight in a mix is not above 0; leave that generator out instead")
    return Mix(seed, weighted)


@dataclass(frozen=True, slots=True)
class Mix:
    """See `mix`. drawn: how many invocations have been taken so far."""

    seed: int
    sources: tuple[tuple[float, Generator], ...]
    drawn: int = 0

    def op(self, test: Test, context: Context) -> Step:
        sources = self.sources
        while sources:
            at = self._pick(sources)
            weight, inner = sources[at]
            step = inner.op(test, context)
            if step is not None:
                rest = (*sources[:at], (weight, step[1]), *sources[at + 1 :])
                return step[0], Mix(self.seed, rest, self.drawn + isinstance(step[0], Invocation))
            sources = (*sources[:at], *sources[at + 1 :])
        return None

    def _pick(self, sources: Sequence[tuple[float, Generator]]) -> int:
        left = fraction(split(self.seed, self.drawn)) * sum(weight for weight, _ in sources)
        for at, (weight, _) in enumerate(sources):
            left -= weight
            if left < 0:
                return at
        return len(sources) - 1

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        updated = tuple((weight, inner.update(test, context, event)) for weight, inner in self.sources)
        if all(new[1] is old[1] for new, old in zip(updated, self.sources, strict=True)):
            return self
        return Mix(self.seed, updated, self.drawn)


def any_of(*sources: Source) -> Generator:
    """Whatever any of the sources wants to do soonest, until all are exhausted.

    Of several that are equally soon, the one that was longest not chosen: none starves.
    """
    return AnyOf(tuple(lift(source) for source in sources))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """See `any_of`. sources: the one that was not chosen for longest comes first."""

    sources: tuple[Generator, ...]

    def op(self, test: Test, context: Context) -> Step:
        soonest: tuple[int, int, Invocation, Generator] | None = None
        wakes: list[int] = []
        after: list[Generator] = []
        for inner in self.sources:
            step = inner.op(test, context)
            match step:
                case None:
                    continue
                case (Pending(until_ns), waiting):
                    wakes += [] if until_ns is None else [until_ns]
                    after.append(waiting)
                case (Invocation() as offered, following):
                    at = at_ns(offered, context)
                    if soonest is None or at < soonest[0]:
                        soonest = (at, len(after), offered, following)
                    after.append(inner)
        if not after:
            return None
        if soonest is None or soonest[0] > context.time_ns:
            # Not an offer for later: it might not be taken, and those that began to wait would forget since when.
            wakes += [] if soonest is None else [soonest[0]]
            return Pending(min(wakes, default=None)), AnyOf(tuple(after))
        _, position, offered, following = soonest
        return offered, AnyOf((*after[:position], *after[position + 1 :], following))

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        updated = tuple(inner.update(test, context, event) for inner in self.sources)
        same = all(new is old for new, old in zip(updated, self.sources, strict=True))
        return self if same else AnyOf(updated)


def flip_flop(*sources: Source) -> Generator:
    """One invocation of each source in turn. It is exhausted once the source in turn is."""
    return FlipFlop(tuple(lift(source) for source in sources))


@dataclass(frozen=True, slots=True)
class FlipFlop:
    """See `flip_flop`. sources: the one in turn comes first."""

    sources: tuple[Generator, ...]

    def op(self, test: Test, context: Context) -> Step:
        if not self.sources:
            return None
        first, *others = self.sources
        step = first.op(test, context)
        match step:
            case None:
                return None
            case (Pending() as pending, waiting):
                return pending, FlipFlop((waiting, *others))
            case (offered, after):
                return offered, FlipFlop((*others, after))

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return FlipFlop(tuple(inner.update(test, context, event) for inner in self.sources))
