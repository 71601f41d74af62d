"""Counts and facts."""

from __future__ import annotations

from splitbrain.harness.report import tables
from splitbrain.harness.report.columns import columns
from splitbrain.harness.report.faults import bands, stages


def marks(parse, *events):
    history = parse(*events)
    table = columns(history)
    return {fact.title: fact for fact in tables.facts(history, table, bands(history), stages(history))}


def test_a_run_that_did_nothing_shows_nothing_as_good(parse, event):
    found = marks(parse, event(0, "nemesis", "info", "stage", value="load"))
    assert [fact.mark for fact in found.values()] == ["bad", "plain", "plain", "bad", "bad"]


def test_a_fault_without_effect_is_marked(parse, event):
    value = {"fault": "kill", "phase": "start", "nodes": ["n2"]}
    found = marks(
        parse,
        event(0, "nemesis", "info", "kill", value=value),
        event(1, "nemesis", "info", "kill", value=value | {"evidence": {"effective": False, "detail": "still there"}}),
        event(2, 0, "invoke", "read"),
        event(3, 0, "ok", "read", value=[]),
    )
    assert (found["faults took effect"].mark, found["faults took effect"].figure) == ("bad", "0 of 1")
    assert (found["operations under fault"].mark, found["operations under fault"].figure) == ("bad", "0")


def test_recovery_is_timed_from_the_heal_and_its_absence_is_named(parse, event):
    def stage(at, name):
        return event(at, "nemesis", "info", "stage", value=name)

    assert (
        marks(parse, stage(0, "load"), stage(10, "recovery"), stage(1510, "recovered"))["to recover"].figure == "1.50 s"
    )
    assert (
        marks(parse, stage(0, "load"), stage(10, "recovery"), stage(1510, "not-recovered"))["recovered"].mark == "bad"
    )


def test_final_reads_that_failed_are_not_all_of_them(parse, event):
    found = marks(
        parse,
        event(0, "nemesis", "info", "stage", value="final-reads"),
        event(1, 0, "invoke", "read", key="a"),
        event(2, 0, "ok", "read", key="a", value=[]),
        event(3, 0, "invoke", "read", key="b"),
        event(4, 0, "info", "read", key="b", error="timeout: none"),
    )
    assert (found["final reads answered"].mark, found["final reads answered"].figure) == ("bad", "1 of 2")


def test_errors_are_counted_by_code_and_by_whether_they_are_definite(parse, event):
    history = parse(
        event(0, 0, "invoke", "read"),
        event(1, 0, "fail", "read", error="busy: n1 is full"),
        event(2, 0, "invoke", "read"),
        event(3, 0, "fail", "read", error="busy: n2 is full"),
        event(4, 0, "invoke", "read"),
        event(5, 0, "info", "read", error="timeout: 1 s"),
        event(6, 1, "invoke", "read"),
    )
    rows, left = tables.errors(history, columns(history))
    assert [(row["code"], row["fail"], row["info"]) for row in rows] == [
        ("busy", 2, 0),
        ("timeout", 0, 1),
        ("never completed", 0, 1),
    ]
    assert rows[0]["text"] == "busy: n1 is full" and left == 0


def test_implicated_keys_come_first_and_the_rest_is_counted(parse, event):
    events = []
    for number in range(tables.KEYS_LISTED + 5):
        events += [event(number, 0, "invoke", "read", key=number), event(number, 0, "ok", "read", key=number, value=[])]
    rows, left = tables.keys(columns(parse(*events)), {"77"}, [], {})
    assert (rows[0]["key"], rows[0]["implicated"], rows[0]["ok"]) == ("77", True, 1)
    assert left == 5
