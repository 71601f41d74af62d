from __future__ import annotations

from splitbrain.checkers.histories.faults import Span, actions, faults, stages
from tests.checkers.script import Script


def kill(script: Script, *nodes: str, at: float) -> Script:
    return script.act("kill", "kill", "start", at=at, nodes=list(nodes))


def restart(script: Script, *nodes: str, at: float) -> Script:
    return script.act("restart", "kill", "stop", at=at, nodes=list(nodes))


def test_a_fault_stands_from_the_completion_of_its_start_to_the_invocation_of_its_stop() -> None:
    (fault,) = faults(Script().cut(at=10).heal(at=30).history)
    assert (fault.began.time, fault.ended.time if fault.ended else None) == (11_000_000, 30_000_000)
    assert (fault.label, fault.as_prose()) == (
        "partition halves",
        "partition halves stood from 0.011 s to 0.030 s",
    )


def test_a_fault_without_stop_stands_until_the_end() -> None:
    (fault,) = faults(Script().cut(at=10).history)
    assert fault.ended is None
    assert fault.as_prose() == "partition halves stood from 0.011 s until the end"


def test_a_kill_ends_when_the_last_of_its_nodes_is_back() -> None:
    script = kill(Script(), "n1", "n2", at=0)
    restart(script, "n1", at=10)
    kill(script, "n1", at=20)
    restart(script, "n2", at=30)
    restart(script, "n1", at=40)
    assert [(f.label, f.ended.time // 1_000_000 if f.ended else None) for f in faults(script.history)] == [
        ("kill n1 and n2", 30),
        ("kill n1", 40),
    ]


def test_a_stop_without_nodes_ends_every_fault_of_its_family_and_no_other() -> None:
    script = kill(Script().cut(at=0).cut(at=10), "n1", at=20).heal(at=30)
    assert [(f.family, f.ended is not None) for f in faults(script.history)] == [
        ("partition", True),
        ("partition", True),
        ("kill", False),
    ]


def test_an_action_knows_whether_it_took_effect_and_what_was_seen() -> None:
    script = Script().cut(at=0).cut(at=10, effective=False).cut(at=20, effective=None)
    script.act("kill", "kill", "start", at=30, error="ssh: no route", nodes=["n1"])
    script.nemesis("stop-partition", {"fault": "partition", "phase": "stop"}, at=40)
    assert [(action.phase, action.effective) for action in actions(script.history)] == [
        ("start", True),
        ("start", False),
        ("start", None),
        ("start", False),
        ("stop", None),
    ]
    assert actions(script.history)[3].detail == "ssh: no route"
    assert actions(script.history)[4].detail == "the run ended before it was done"


def test_a_history_that_records_completions_only_is_understood() -> None:
    value = {"fault": "partition", "phase": "start", "evidence": {"effective": True}}
    script = Script().nemesis("start-partition", value, at=0).nemesis("start-partition", value, at=10)
    assert [action.effective for action in actions(script.history)] == [True, True]


def test_nemesis_events_of_other_harnesses_are_no_faults() -> None:
    script = (
        Script().nemesis("start", "cut off n1", at=0).nemesis("info", {"note": 1}, at=1).nemesis("stop", None, at=2)
    )
    assert faults(script.history) == []


def test_stages_are_known_by_name() -> None:
    reached = stages(Script().stage("load", "recovery", at=0).stage("recovery", at=5).history)
    assert {name: event.index for name, event in reached.items()} == {"load": 0, "recovery": 2}


def test_an_operation_is_struck_if_it_was_under_way_while_the_fault_stood() -> None:
    script = Script().invoke(0, "add", "s0", 1, at=0).invoke(1, "add", "s0", 2, at=1).invoke(4, "add", "s0", 9, at=1)
    script.cut(at=2).complete(0, "ok", 1, at=4).invoke(2, "add", "s0", 3, at=5).heal(at=6)
    history = script.complete(1, "ok", 2, at=8).complete(2, "ok", 3, at=9).add(4, at=10, process=3).history
    # Completed in it; around it; never completed; invoked in it; after it.
    assert list(Span.of(history.operations).struck(faults(history)[0])) == [True, True, True, True, False]
