from __future__ import annotations

from dataclasses import replace

from splitbrain.harness.generators import (
    clients,
    concurrent_keys,
    each_thread,
    filter_ops,
    limit,
    log,
    map_ops,
    numbered,
    repeat,
    sequence,
    sequential_keys,
    stage,
    until_ok,
)
from splitbrain.harness.operation import Completion, Invocation
from tests.harness.fixed_latency import invocations, play, values


def test_map_rewrites_every_invocation() -> None:
    doubled = map_ops(lambda op: replace(op, value=op.value * 2), numbered(lambda n: Invocation("w", n), 4))
    assert values(play(doubled)) == [0, 2, 4, 6]


def test_filter_leaves_out_what_is_not_wanted() -> None:
    odd = filter_ops(lambda op: op.value % 2 == 1, numbered(lambda n: Invocation("w", n), 6))
    assert values(play(odd)) == [1, 3, 5]


def test_until_ok_stops_at_the_first_success() -> None:
    answers = iter(["fail", "info", "fail", "ok"])
    read = repeat(Invocation("read"))
    events = play(clients(until_ok(read)), concurrency=1, outcome=lambda _: Completion(next(answers)))  # type: ignore[arg-type]
    assert len(invocations(events)) == 4


def test_until_ok_does_not_stop_at_another_generators_success() -> None:
    def outcome(invocation: Invocation) -> Completion:
        return Completion("ok" if invocation.process == 0 else "fail")

    events = play(clients(each_thread(limit(5, until_ok(repeat(Invocation("read")))))), outcome=outcome)
    assert sum(event.process == 0 for event in invocations(events)) == 1
    assert sum(event.process == 1 for event in invocations(events)) == 5


def test_sequential_keys_finish_one_key_before_the_next() -> None:
    generator = sequential_keys(["a", "b"], lambda key: limit(3, repeat(Invocation("read"))))
    assert [event.key for event in invocations(play(generator))] == ["a", "a", "a", "b", "b", "b"]


def test_concurrent_keys_give_each_group_its_threads_and_its_share_of_the_keys() -> None:
    generator = concurrent_keys(2, ["a", "b", "c"], lambda key: limit(4, repeat(Invocation("read"))), groups=2)
    events = invocations(play(clients(generator), concurrency=4))
    workers = {key: {event.process for event in events if event.key == key} for key in "abc"}
    assert workers["a"] <= {0, 1} and workers["c"] <= {0, 1} and workers["b"] <= {2, 3}
    assert len(events) == 12


def test_notes_need_no_thread_even_where_the_nemesis_is_out_of_reach() -> None:
    events = play(clients(sequence(stage("load"), log("hello"), Invocation("read"))))
    assert [(event.f, event.value) for event in events[:2]] == [("stage", "load"), ("log", "hello")]
    assert [event.type for event in events] == ["info", "info", "invoke", "ok"]
