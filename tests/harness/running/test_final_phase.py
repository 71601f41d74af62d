from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import Source, clients, log, sequence, sleep, stage
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import (
    ASK_ROUNDS,
    READ_ROUNDS,
    ask_every_node,
    converged,
    final_reads,
    poll_replicas,
    with_final_stage,
)
from splitbrain.harness.workload import Plan
from tests.harness.fixed_latency import MILLISECOND, SECOND, invocations, play

NODES = ("n1", "n2", "n3")


def replica(versions: list[str], *, home: bool = True) -> Completion:
    return Completion("ok", {"home": home, "versions": versions, "values": [], "hinted": 0})


def asked(events: list[Event]) -> list[tuple[Any, Any]]:
    return [(event.key, event.node) for event in invocations(events) if event.f != "stage"]


def test_one_round_is_enough_where_all_agree() -> None:
    events = play(clients(poll_replicas(["a", "b"], NODES)), outcome=lambda _: replica(["v1"]))
    assert events[0].value == "convergence"
    assert asked(events) == [(key, node) for key in "ab" for node in NODES]


def test_rounds_follow_until_the_replicas_agree() -> None:
    seen: Counter[str] = Counter()

    def outcome(invocation: Invocation) -> Completion:
        assert invocation.node is not None
        seen[invocation.node] += 1
        return replica(["v1", "v2"] if invocation.node != "n3" or seen["n3"] > 3 else ["v1"])

    events = play(clients(poll_replicas(["a"], NODES, interval_s=0.5)), outcome=outcome)
    assert len(asked(events)) == 4 * len(NODES)
    rounds = [event.time for event in invocations(events) if event.node == "n1"]
    # The pauses double, from 0.5 s to 2 s at most.
    assert rounds == [0, 500 * MILLISECOND, 1500 * MILLISECOND, 3500 * MILLISECOND]


def diverging(at: dict[str, int]) -> Callable[[Invocation], Completion]:
    """n3 differs from the others for the first so many polls of each key."""
    seen: Counter[str | None] = Counter()

    def outcome(invocation: Invocation) -> Completion:
        seen[invocation.key] += invocation.node == "n3"
        differs = invocation.node == "n3" and seen[invocation.key] <= at.get(invocation.key or "", 0)
        return replica(["v1"] if differs else ["v1", "v2"])

    return outcome


def test_only_keys_that_did_not_agree_are_asked_again_and_all_of_them_in_the_last_round() -> None:
    events = play(clients(poll_replicas(["a", "b", "c"], NODES)), outcome=diverging({"b": 2}))
    rounds = ["a", "b", "c"], ["b"], ["b"], ["a", "b", "c"]
    assert asked(events) == [(key, node) for keys in rounds for key in keys for node in NODES]


def test_a_key_that_diverges_after_it_agreed_is_seen_in_the_last_round_and_asked_until_it_agrees_again() -> None:
    seen: Counter[str | None] = Counter()

    def outcome(invocation: Invocation) -> Completion:
        seen[invocation.key] += invocation.node == "n3"
        late = invocation.key == "a" and seen["a"] in (2, 3)  # It agrees at its first poll, and not at the next two.
        early = invocation.key == "b" and seen["b"] == 1
        return replica(["v1"] if invocation.node == "n3" and (late or early) else ["v1", "v2"])

    events = play(clients(poll_replicas(["a", "b"], NODES)), outcome=outcome)
    rounds = ["a", "b"], ["b"], ["a", "b"], ["a"], ["a"], ["a", "b"]
    assert asked(events) == [(key, node) for keys in rounds for key in keys for node in NODES]


def test_replicas_that_are_not_home_do_not_count() -> None:
    def outcome(invocation: Invocation) -> Completion:
        return replica(["v1"]) if invocation.node != "n3" else replica([], home=False)

    assert len(asked(play(clients(poll_replicas(["a"], NODES)), outcome=outcome))) == 3


def test_a_node_that_does_not_answer_has_not_converged() -> None:
    def outcome(invocation: Invocation) -> Completion:
        return replica(["v1"]) if invocation.node != "n3" else Completion("info", error="timeout: gone")

    events = play(clients(poll_replicas(["a"], NODES, interval_s=1, limit_s=10)), outcome=outcome)
    # At 0, 1, 3 and 7 s: at most four seconds lie between two rounds.
    assert len(asked(events)) == 4 * len(NODES)
    assert events[-1].time < 10 * SECOND


def test_a_key_without_a_home_replica_has_not_converged() -> None:
    item = ("a", "n1")
    assert not converged("a", ["n1"], {item: {"home": False, "versions": [], "hinted": 0}})
    assert converged("a", ["n1"], {item: {"home": True, "versions": [], "hinted": 0}})


def test_a_key_with_a_hint_for_its_only_home_replica_has_not_converged() -> None:
    home, other = ("k", "n1"), ("k", "n2")
    answers = {
        home: {"home": True, "versions": ["a"], "hinted": 0},
        other: {"home": False, "versions": [], "hinted": 1},
    }
    assert not converged("k", ["n1", "n2"], answers)
    answers[other]["hinted"] = 0
    assert converged("k", ["n1", "n2"], answers)


def staged(source: Source) -> list[Any]:
    """What a final phase notes and asks, in order: stages by name, operations by f."""
    events = play(clients(with_final_stage(source)), outcome=lambda _: replica(["v1"]))
    return [event.value if event.f == "stage" else event.f for event in invocations(events)]


def test_a_final_phase_without_its_stage_is_given_it_before_the_first_operation_that_is_no_poll() -> None:
    poll, read = Invocation("replica", key="a", node="n1"), Invocation("read", key="a")
    assert staged(sequence(read, read)) == ["final-reads", "read", "read"]
    assert staged(sequence(stage("settle"), poll, log("now"), read)) == [
        "settle",
        "replica",
        "log",
        "final-reads",
        "read",
    ]
    assert staged(sequence(sleep(1), read)) == ["final-reads", "read"]
    assert staged(None) == []


def test_a_final_phase_that_notes_its_stage_is_left_as_it_is() -> None:
    assert staged(final_reads(["a"], ["n1"])) == ["final-reads", "read"]
    assert staged(sequence(poll_replicas(["a"], ["n1"]), final_reads(["a"], ["n1"]))) == [
        "convergence",
        "replica",
        "final-reads",
        "read",
    ]


def test_a_final_read_is_asked_of_every_node_and_again_where_it_failed() -> None:
    failures = Counter({("a", "n2"): 2, ("b", "n3"): 100})

    def outcome(invocation: Invocation) -> Completion:
        item = (invocation.key, invocation.node)
        failures[item] -= 1
        return Completion("fail", error="no") if failures[item] >= 0 else Completion("ok", [1])

    events = play(clients(final_reads(["a", "b"], NODES)), outcome=outcome)
    assert events[0].value == "final-reads"
    times = Counter(asked(events))
    assert times.pop(("a", "n2")) == 3
    assert times.pop(("b", "n3")) == READ_ROUNDS
    assert set(times.values()) == {1}
    assert len(times) == 4


def test_what_every_node_is_asked_at_the_end_is_asked_again_where_it_failed_with_growing_pauses() -> None:
    failures = Counter({("drain", "n2"): 3, ("txn", "n3"): 100})

    def outcome(invocation: Invocation) -> Completion:
        failures[item := (invocation.f, invocation.node or "")] -= 1
        return Completion("fail", error="no") if failures[item] >= 0 else Completion("ok", [1])

    ended = ask_every_node(Plan(NODES, 1, {}), Invocation("drain", key="q"), Invocation("txn", [["r", "k", None]]))
    events = invocations(play(clients(ended), outcome=outcome))
    assert events[0].value == "final-reads"
    times = Counter((event.f, event.key, event.node) for event in events[1:])
    assert times == {
        ("drain", "q", "n1"): 1,
        ("drain", "q", "n2"): 4,
        ("drain", "q", "n3"): 1,
        ("txn", None, "n1"): 1,
        ("txn", None, "n2"): 1,
        ("txn", None, "n3"): ASK_ROUNDS,
    }
    drains = [event.time for event in events if (event.f, event.node) == ("drain", "n2")]
    assert [later - earlier for earlier, later in pairwise(drains)] == [SECOND, 2 * SECOND, 4 * SECOND]
