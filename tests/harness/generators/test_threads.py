from __future__ import annotations

from splitbrain.checkers.histories.event import NEMESIS
from splitbrain.harness.generators import (
    clients,
    each_process,
    each_thread,
    limit,
    nemesis,
    numbered,
    on_threads,
    once,
    phases,
    process_limit,
    repeat,
    reserve,
    sequence,
    stagger,
)
from splitbrain.harness.operation import Completion, Invocation
from tests.harness.fixed_latency import MILLISECOND, SECOND, invocations, play

READ = Invocation("read")
CUT = Invocation("cut", process=NEMESIS)


def processes(events: list) -> set[object]:  # type: ignore[type-arg]
    return {event.process for event in events}


def test_clients_never_use_the_nemesis_thread() -> None:
    assert processes(play(clients(limit(20, repeat(READ))), concurrency=3)) == {0, 1, 2}


def test_the_nemesis_does_not_do_clients_work_while_they_are_busy() -> None:
    assert processes(play(limit(20, repeat(READ)), concurrency=1)) == {0}


def test_nemesis_operations_need_no_process_named() -> None:
    assert processes(play(nemesis(limit(3, repeat(Invocation("cut")))))) == {NEMESIS}


def test_clients_and_nemesis_work_side_by_side() -> None:
    events = play(clients(limit(10, repeat(READ)), limit(2, repeat(Invocation("cut")))))
    assert sum(event.f == "cut" for event in invocations(events)) == 2
    assert sum(event.f == "read" for event in invocations(events)) == 10


def test_every_thread_does_all_of_each_thread() -> None:
    source = sequence(Invocation("w", 1), Invocation("w", 2))
    events = invocations(play(clients(each_thread(source)), concurrency=4))
    assert sorted((event.process, event.value) for event in events) == [
        (process, value) for process in range(4) for value in (1, 2)
    ]


def test_each_thread_leaves_spare_threads_out() -> None:
    events = play(clients(stagger(0.001, each_thread(READ), seed=1)), concurrency=2, spares=5, latency_ns=SECOND)
    assert sorted(event.process for event in invocations(events)) == [0, 1]


def test_each_thread_goes_on_after_its_process_was_retired_and_each_process_begins_anew() -> None:
    def crash_once(invocation: Invocation) -> Completion:
        return Completion("info") if (invocation.process, invocation.value) == (0, 1) else Completion("ok")

    source = sequence(Invocation("w", 1), Invocation("w", 2))
    by_thread = invocations(play(clients(each_thread(source)), concurrency=2, outcome=crash_once))
    by_process = invocations(play(clients(each_process(source)), concurrency=2, outcome=crash_once))
    assert [event.value for event in by_thread if event.process in (0, 2)] == [1, 2]
    assert [event.value for event in by_process if event.process in (0, 2)] == [1, 1, 2]


def test_reserve_gives_each_source_its_own_threads() -> None:
    split = reserve((1, limit(10, repeat(Invocation("a")))), (2, limit(10, repeat(Invocation("b")))), rest=READ)
    events = play(clients(split), concurrency=5)
    assert {event.process for event in events if event.f == "a"} == {0}
    assert {event.process for event in events if event.f == "b"} == {1, 2}
    assert {event.process for event in events if event.f == "read"} <= {3, 4}


def test_a_generator_only_hears_of_its_own_threads() -> None:
    heard: list[object] = []

    class Listening:
        def op(self, test, context):  # type: ignore[no-untyped-def]
            return once(READ).op(test, context)[0], self  # type: ignore[index]

        def update(self, test, context, event):  # type: ignore[no-untyped-def]
            heard.append(event.process)
            return self

    on_zero = on_threads(lambda thread: thread == 0, Listening())  # type: ignore[arg-type]
    play(clients(on_zero, repeat(Invocation("cut"))), until_ns=SECOND)
    assert set(heard) == {0}


def test_phases_wait_for_every_thread() -> None:
    def latency_ns(invocation: Invocation) -> int:
        return SECOND if invocation.value == 0 else MILLISECOND

    generator = phases(numbered(lambda number: Invocation("w", number), 5), Invocation("after"))
    events = invocations(play(generator, concurrency=3, latency_ns=latency_ns))
    assert events[-1].f == "after"
    assert events[-1].time == SECOND


def test_phases_wait_for_spare_threads_too() -> None:
    load = limit(3, stagger(0.001, repeat(READ), seed=1))
    events = play(phases(clients(load), Invocation("after")), concurrency=1, spares=5, latency_ns=SECOND)
    last = max(event.time for event in events if event.type == "ok" and event.f == "read")
    assert invocations(events)[-1].time == last


def test_a_process_limit_ends_when_one_process_too_many_would_be_needed() -> None:
    events = play(clients(process_limit(3, repeat(READ))), concurrency=1, outcome=lambda _: Completion("info"))
    assert [event.process for event in invocations(events)] == [0, 1, 2]
