"""The witness: what a person would point at, and not a call more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import msgspec
import pytest

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, Call, Model, check
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import judge, why
from splitbrain.checkers.linearizability.model import call_text
from splitbrain.checkers.linearizability.witness import Blocked
from splitbrain.checkers.verdict import Witness
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.objects import KINDS, history
from tests.checkers.linearizability.timeline import recorded

STALE = """
    write 1         |-|
    write 2             |-|
    read -> 2               |-|
    read -> 1                   |-|
    """
LOST_CAS = """
    write 1         |-|
    cas [1, 2]          |-|
    read -> 2               |-|
    read -> 1                   |-|
    """
WON_TWICE = """
    write 1         |-|
    cas [1, 2]          |-----|
    cas [1, 3]            |-----|
    read -> 3                       |-|
    """
NEVER_WRITTEN = """
    write 1         |-|
    read -> 1           |-|
    read -> 7               |-|
    write 2                     |-|
    """
BACK_IN_TIME = """
    write 1         |-|
    write 2             |----------------|
    read -> 2              |-|
    read -> 1                  |-|
    read -> 2                                |-|
    """
LOST_APPEND = """
    append "a"      |-|
    append "b"          |-|
    get -> "ab"             |-|
    append "c"                  |-|
    get -> "ab"                     |-|
    """
TORN_READ = """
    txn [["w", "x", 1], ["w", "y", 1]] -> [["w", "x", 1], ["w", "y", 1]]                  |-------|
    txn [["r", "x", null], ["r", "y", null]] -> [["r", "x", 1], ["r", "y", null]]           |---|
    """
LOST_ADD = """
    add 1           |-|
    add 2               |-|
    read -> 1               |-|
    """
TAKEN_TWICE = """
    acquire         |-|
    release             |-|
    acquire                 |-|
    acquire                      |-|
    """


def blocked_of(calls: Sequence[Call], model: Model, budget: Budget | None = None) -> Blocked | None:
    budget = budget or Budget()
    judged = judge(calls, model, budget)
    return why(calls, model, judged, budget) if judged.linearizable is False else None


def witness_of(drawing: str, model: str) -> Witness:
    verdict = check(recorded(drawing), model=model)
    assert verdict.witness is not None, verdict.reason
    return verdict.witness


def core_of(drawing: str, model: str) -> list[str]:
    return [call["call"] for call in witness_of(drawing, model).data["calls"]]


@pytest.mark.parametrize(
    ("drawing", "model", "core"),
    [
        # Whatever was read in between: 2 was written after 1, and then 1 is read.
        (STALE, "register", ["write 1", "write 2", "read -> 1"]),
        # As a cas register it is the same, but where a cas has been, nothing distinct is known of values any more.
        (STALE.rstrip() + "\n    cas [1, 2]" + " " * 40 + "|-|", "cas-register", ["write 1", "write 2", "read -> 1"]),
        # 1 was written once, whenever that was: the cas took it away.
        (LOST_CAS, "cas-register", ["cas [1, 2]", "read -> 1"]),
        # Only one of them can have met the single 1.
        (WON_TWICE, "cas-register", ["cas [1, 2]", "cas [1, 3]"]),
        (NEVER_WRITTEN, "register", ["read -> 7"]),
        (BACK_IN_TIME, "register", ["write 1", "write 2", "read -> 2", "read -> 1"]),
        (LOST_APPEND, "kv", ['append "c"', 'get -> "ab"']),
        # The read is torn by itself, if x and y are only written together; who wrote them does not matter.
        (TORN_READ, "multi-register", ['txn [["r", "x", null], ["r", "y", null]] -> [["r", "x", 1], ["r", "y", null]]']),
        (LOST_ADD, "counter", ["add 2", "read -> 1"]),
        # Three, and one release between them, whenever that was.
        (TAKEN_TWICE, "mutex", ["acquire"] * 3),
    ],
)  # fmt: skip
def test_the_core_is_what_a_person_would_point_at(drawing: str, model: str, core: list[str]) -> None:
    assert core_of(drawing, model) == core


def _relaxed(calls: Sequence[Call], kept: set[int], model: Model, until: int) -> list[Call]:
    """What the kept calls leave open: other reads left out, others free to happen late or never; later returns too."""
    return [
        (call if call.returned <= until else msgspec.structs.replace(call, returned=FOREVER))
        if call.invoked in kept
        else msgspec.structs.replace(call, known=False, failed=False, result=None, returned=FOREVER)
        for call in calls
        if call.invoked < until and (call.invoked in kept or not model.read_only(call))
    ]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_call_of_a_core_is_needed(name: str) -> None:
    """Of histories that fit in the window. With any call of the core relaxed too, the rest could have happened."""
    kind, seen = KINDS[name], 0
    for seed in range(2000):
        if seen == 40:
            break
        for calls in calls_of(history(Random(seed), kind, operations=9), kind.model).values():
            blocked = blocked_of(calls, kind.model)
            if blocked is None or blocked.blocked is None:
                continue
            seen += 1
            kept, until = {call.invoked for call in blocked.core}, blocked.blocked.returned
            assert blocked.blocked.invoked in kept
            assert not linearizable(_relaxed(calls, kept, kind.model, until), kind.model), seed
            for each in kept:
                assert linearizable(_relaxed(calls, kept - {each}, kind.model, until), kind.model), (seed, each)
    assert seen >= 20  # Mutexes are wrong less often.


def test_the_core_of_distinct_writes_is_minimal() -> None:
    """Zones know all calls of the values in question; who is told of them all looks for what is wrong with each."""
    seen = 0
    for seed in range(300):
        calls = _random_register(Random(seed))
        blocked = blocked_of(calls, MODELS["register"])
        if blocked is None:
            continue
        seen += 1
        kept = {call.invoked for call in blocked.core}
        assert not linearizable(_relaxed(calls, kept, MODELS["register"], FOREVER), MODELS["register"]), seed
        read = {call.result for call in blocked.core if call.f == "read"}
        for each in blocked.core:
            # The write of a value that was read too early is shown, though it is wrong whatever that write did.
            if each.f == "read" or each.argument not in read:
                rest = _relaxed(calls, kept - {each.invoked}, MODELS["register"], FOREVER)
                assert linearizable(rest, MODELS["register"]), (seed, each)
    assert seen >= 100


def _random_register(random: Random) -> list[Call]:
    marks = random.sample(range(40), 14)
    calls = []
    for n in range(7):
        invoked, returned = sorted(marks[2 * n : 2 * n + 2])
        if n < 3:
            calls.append(Call("write", n, n, True, False, invoked, returned))
        else:
            calls.append(Call("read", None, random.randrange(3), True, False, invoked, returned))
    return sorted(calls, key=lambda call: call.invoked)


def test_the_text_names_what_is_blocked_what_the_object_held_and_each_call_of_the_core() -> None:
    text = witness_of(LOST_CAS, "cas-register").text
    opening, *lines = text.splitlines()
    assert opening.startswith("the first 3 operations to return can be put in an order; then read -> 1 can't")
    assert "the cas-register could only hold 2" in opening
    assert "These can't all have happened" in opening
    assert lines == [
        "  process 1: cas [1, 2], events 2–3, 0.002 s to 0.003 s",
        "  process 3: read -> 1, events 6–7, 0.006 s to 0.007 s",
    ]


@pytest.mark.parametrize(
    ("drawing", "model", "states"),
    [
        (LOST_CAS, "cas-register", ["2"]),
        (WON_TWICE, "cas-register", ["2"]),
        (LOST_APPEND, "kv", ['"abc"']),
        (LOST_ADD, "counter", ["3"]),
        (TAKEN_TWICE, "mutex", ['"taken"']),
    ],
)
def test_the_states_before_the_blocked_return_are_named(drawing: str, model: str, states: list[str]) -> None:
    assert witness_of(drawing, model).data["states"] == states


def test_several_states_are_all_named() -> None:
    drawing = """
        add 1        |...
        add 4          |...
        read -> 0         |-|
        read -> 2             |-|
        """
    assert sorted(witness_of(drawing, "counter").data["states"]) <= ["0", "1", "4", "5"]
    text = witness_of(drawing, "counter").text
    assert " and " not in text.splitlines()[0].split("could only hold")[1].split(".")[0]


def test_a_state_that_has_the_word_and_in_it_stays_as_it_is() -> None:
    """The states of a sentence were joined by "or" by replacing every "and", in the states too."""
    drawing = """
        put "salt and pepper"    |-|
        append "!"                   |-|
        get -> "sugar"                   |-|
        """
    assert '"salt and pepper!"' in witness_of(drawing, "kv").text


def test_the_events_of_the_core_are_given_in_order() -> None:
    recorded_ = recorded(BACK_IN_TIME)
    witness = check(recorded_, model="register").witness
    assert witness is not None
    assert list(witness.events) == sorted(set(witness.events))
    for call in witness.data["calls"]:
        assert {call["invoked"], call["returned"]} <= set(witness.events)
        assert recorded_.events[call["invoked"]].type == "invoke"
        assert recorded_.events[call["returned"]].type == "ok"
        assert (
            recorded_.events[call["invoked"]].process == recorded_.events[call["returned"]].process == call["process"]
        )


def test_the_data_is_all_a_report_needs_to_draw_it() -> None:
    data = witness_of(LOST_CAS, "cas-register").data
    assert json.loads(json.dumps(data)) == data
    assert data["kind"] == "not linearizable"
    assert data["blocked"] == 6
    assert data["returns"] == 3
    assert data["begin"] == []
    assert data["others"] == 2
    assert data["calls"][-1] == {
        "process": 3,
        "call": "read -> 1",
        "key": None,
        "invoked": 6,
        "returned": 7,
        "invoked_ns": 6_000_000,
        "returned_ns": 7_000_000,
    }


def test_a_crashed_call_that_no_order_needs_is_not_in_the_core() -> None:
    drawing = """
        write 1         |-|
        cas [1, 2]          |-|
        write 5              |....
        read -> 1                |-|
        """
    assert "write 5" not in " ".join(core_of(drawing, "cas-register"))


def _long(before: int, between: int) -> list[Call]:
    """Reads of 1, then a write of 9 that is never read, a write of 1, reads of 1 again, and a read of 9."""
    asked: list[tuple[str, int]] = [("write", 1), ("write", 1)]
    asked += [("read", 1)] * before + [("write", 9), ("write", 1)] + [("read", 1)] * between + [("read", 9)]
    return [
        Call(f, value if f == "write" else None, value, True, False, 2 * n, 2 * n + 1)
        for n, (f, value) in enumerate(asked)
    ]


def test_a_window_that_begins_late_says_what_the_object_held_by_then() -> None:
    events: list[Event] = []
    for call in _long(100, 20):
        events.append(Event(len(events), len(events), 0, "invoke", call.f, None, call.argument))
        events.append(Event(len(events), len(events), 0, "ok", call.f, None, call.result))
    witness = check(History(events), model="register").witness
    assert witness is not None
    assert witness.data["begin"] == ["1"]
    assert "from a register that by then could only hold 1" in witness.text
    assert witness.data["returns"] == 124
    # Had the 9 come late, or had the 1 not hidden it, it could have been read.
    assert [call["call"] for call in witness.data["calls"]] == ["write 9", "write 1", "read -> 9"]


@pytest.mark.parametrize("between", range(40, 50))
def test_the_states_as_a_window_begins_are_never_lost_ones(between: int) -> None:
    """A state that the next write was to hide counted as lost, and then that write was relaxed: "read -> 9 can't be"
    was all there was to see, of a register that held 9."""
    calls = _long(100, between)
    blocked = blocked_of(calls, MODELS["register"])
    assert blocked is not None
    assert [call_text(call) for call in blocked.core][-1] == "read -> 9"
    if len(blocked.core) == 1:
        # By itself it is wrong only where 9 was gone before the window began.
        assert blocked.begin == ("1",)
    assert set(blocked.begin) <= {"1", "9"}


def test_explaining_keeps_to_the_budget() -> None:
    """A search of a second was explained for half a minute."""
    letters = [chr(97 + n) for n in range(12)]
    appends = [Call("append", each, None, True, False, n, 200 + n) for n, each in enumerate(letters)]
    reads = [Call("get", None, "", True, False, 20 + 2 * n, 21 + 2 * n) for n in range(8)]
    late = [Call("get", None, "zz", True, False, 300 + 2 * n, 301 + 2 * n) for n in range(2)]
    asked = 0

    class Counted(type(MODELS["kv"])):  # type: ignore[misc]
        leads_to = Model.leads_to

        def step(self, state: str, call: Call) -> Sequence[str]:
            nonlocal asked
            asked += 1
            return super().step(state, call)  # type: ignore[no-any-return]

    blocked_of([*appends, *reads, *late], Counted(), Budget(memory_mb=1))
    assert asked < 2_000_000
