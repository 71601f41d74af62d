"""A system for generators to run on: every operation takes a fixed time and ends as scripted. No loop, no clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators import NOTES, Context, Generator, Pending, Test, Thread
from splitbrain.harness.operation import Completion, Invocation

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def play(
    generator: Generator,
    *,
    concurrency: int = 2,
    spares: int = 0,
    latency_ns: int | Callable[[Invocation], int] = 10 * MILLISECOND,
    outcome: Callable[[Invocation], Completion] = lambda invocation: Completion("ok", invocation.value),
    until_ns: int = 3600 * SECOND,
    nodes: tuple[str, ...] = ("n1", "n2", "n3"),
    nemesis_limit: int = 1,
) -> list[Event]:
    """Everything that happens until the generator is exhausted or the time is over.

    A fault's start and stop are completed with evidence of an effect. nemesis_limit: how many may be under way at once.
    """
    test = Test(nodes, concurrency)
    processes: dict[Thread, Thread] = {thread: thread for thread in range(concurrency + spares)}
    processes[NEMESIS] = NEMESIS
    free: list[Thread] = [*range(concurrency), NEMESIS]
    idle: list[Thread] = list(range(concurrency, concurrency + spares))
    fresh = count(concurrency + spares)
    under_way: list[tuple[int, int, Thread, Invocation]] = []
    order = count()
    events: list[Event] = []
    now_ns = 0

    def context() -> Context:
        busy = tuple(thread for _, _, thread, _ in sorted(under_way, key=lambda entry: entry[1]))
        return Context(now_ns, tuple(free), busy, processes, concurrency, idle[0] if idle else None)

    def record(kind: Any, process: Thread, invocation: Invocation, value: Any, error: str | None = None) -> Event:
        f, key, node = invocation.f, invocation.key, invocation.node
        events.append(Event(len(events), now_ns, process, kind, f, key, value, node, error))
        return events[-1]

    def complete() -> None:
        nonlocal now_ns, generator
        now_ns, _, thread, invocation = heapq.heappop(under_way)
        spare = thread != NEMESIS and thread >= concurrency
        if thread != NEMESIS or NEMESIS not in free:
            (idle if spare else free).append(thread)
        done = Completion("info", _seen(invocation.value)) if thread == NEMESIS else outcome(invocation)
        event = record(done.type, processes[thread], invocation, done.value, done.error)
        generator = generator.update(test, context(), event)
        if event.type == "info" and thread != NEMESIS:
            processes[thread] = next(fresh)

    while now_ns <= until_ns:
        step = generator.op(test, context())
        match step:
            case None:
                if not under_way:
                    return events
                complete()
            case (Pending(wake_ns), generator):
                if under_way and (wake_ns is None or under_way[0][0] <= wake_ns):
                    complete()
                else:
                    assert wake_ns is not None, "pending, and nothing under way"
                    assert wake_ns > now_ns, "pending until a moment that has passed"
                    now_ns = wake_ns
            case (Invocation() as invocation, following):
                due_ns = now_ns if invocation.time_ns is None else invocation.time_ns
                if due_ns > now_ns:
                    if under_way and under_way[0][0] <= due_ns:
                        complete()
                    else:
                        now_ns = due_ns
                    continue
                process = invocation.process
                assert process is not None
                if invocation.f in NOTES:
                    event = record("info", NEMESIS, invocation, invocation.value)
                else:
                    [thread] = [thread for thread in (*free, *idle) if processes[thread] == process]
                    injecting = sum(other == NEMESIS for _, _, other, _ in under_way)
                    if thread != NEMESIS or injecting + 1 >= nemesis_limit:
                        (free if thread in free else idle).remove(thread)
                    took_ns = latency_ns if isinstance(latency_ns, int) else latency_ns(invocation)
                    heapq.heappush(
                        under_way,
                        (now_ns + took_ns, next(order), thread, replace(invocation, process=process)),
                    )
                    kind = "info" if thread == NEMESIS else "invoke"
                    event = record(kind, process, invocation, invocation.value)
                generator = following.update(test, context(), event)
    return events


def _seen(value: Any) -> Any:
    return {**value, "evidence": {"effective": True}} if isinstance(value, dict) and "phase" in value else value


def invocations(events: list[Event]) -> list[Event]:
    """What clients and nemesis were asked to do."""
    opened: set[Any] = set()
    asked = []
    for event in events:
        if event.process == NEMESIS and event.f not in NOTES:
            if isinstance(event.value, dict) and "phase" in event.value:
                asked += [] if "evidence" in event.value else [event]
            elif NEMESIS not in opened:
                opened.add(NEMESIS)
                asked.append(event)
            else:
                opened.discard(NEMESIS)
        elif event.type == "invoke" or event.f in NOTES:
            asked.append(event)
    return asked


def values(events: list[Event]) -> list[Any]:
    """The values that were asked for, in order."""
    return [event.value for event in invocations(events)]
