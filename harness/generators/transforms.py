"""Transforms: map and filter invocations, give them keys of their own, repeat them until ok, and note stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators.core import Context, Generator, Pending, Source, Step, Test, lift
from splitbrain.harness.generators.order import any_of, sequence, unfold
from splitbrain.harness.generators.threads import on_threads
from splitbrain.harness.operation import Invocation


def map_ops(rewrite: Callable[[Invocation], Invocation], source: Source) -> Generator:
    """The source's invocations, rewritten. The source is updated with the rewritten ones."""
    return Mapped(rewrite, lift(source))


@dataclass(frozen=True, slots=True)
class Mapped:
    """See `map_ops`."""

    rewrite: Callable[[Invocation], Invocation]
    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        shown = self.rewrite(offered) if isinstance(offered, Invocation) else offered
        return shown, Mapped(self.rewrite, after)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        return self if inner is self.inner else Mapped(self.rewrite, inner)


def filter_ops(wanted: Callable[[Invocation], bool], source: Source) -> Generator:
    """Only the wanted invocations of the source. An endless source must always have another one."""
    return Filtered(wanted, lift(source))


@dataclass(frozen=True, slots=True)
class Filtered:
    """See `filter_ops`."""

    wanted: Callable[[Invocation], bool]
    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        inner = self.inner
        while (step := inner.op(test, context)) is not None:
            offered, inner = step
            if isinstance(offered, Pending) or self.wanted(offered):
                return offered, Filtered(self.wanted, inner)
        return None

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return replace(self, inner=self.inner.update(test, context, event))


def until_ok(source: Source) -> Generator:
    """The source until one of its invocations was answered `ok`."""
    return UntilOk(lift(source))


@dataclass(frozen=True, slots=True)
class UntilOk:
    """See `until_ok`. ours: processes with an invocation of ours open."""

    inner: Generator
    ours: frozenset[int | str] = frozenset()
    done: bool = False

    def op(self, test: Test, context: Context) -> Step:
        step = None if self.done else self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        if isinstance(offered, Pending):
            return offered, replace(self, inner=after)
        assert offered.process is not None
        return offered, replace(self, inner=after, ours=self.ours | {offered.process})

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        if event.type == "invoke" or event.process not in self.ours:
            return replace(self, inner=inner)
        done = self.done or event.type == "ok"
        return replace(self, inner=inner, ours=self.ours - {event.process}, done=done)


def sequential_keys(keys: Sequence[str], source: Callable[[str], Source]) -> Generator:
    """Independent keys one after another: all of `source(keys[0])` with that key, then the next."""
    return sequence(*(_keyed(key, source) for key in keys))


def concurrent_keys(threads: int, keys: Sequence[str], source: Callable[[str], Source], *, groups: int) -> Generator:
    """Independent keys, `groups` of them at once, each with so many client threads of its own.

    Group g does keys g, g + groups, and so on. Put it inside `clients`; threads beyond the groups' idle.
    """
    return any_of(
        *(on_threads(_group(group, threads), sequential_keys(keys[group::groups], source)) for group in range(groups))
    )


def _group(group: int, threads: int) -> Callable[[int | str], bool]:
    return lambda thread: isinstance(thread, int) and thread // threads == group


def _keyed(key: str, source: Callable[[str], Source]) -> Generator:
    # Made when its turn comes: there may be many keys.
    return unfold(lambda _: map_ops(lambda invocation: replace(invocation, key=key), source(key)), 1)


def stage(name: str) -> Invocation:
    """A line in the history that says which stage of the run begins. Nothing is done."""
    return Invocation(f="stage", value=name, process=NEMESIS)


def log(text: str) -> Invocation:
    """A line in the history for its readers. Nothing is done."""
    return Invocation(f="log", value=text, process=NEMESIS)
