from __future__ import annotations

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.service.latency import check
from tests.checkers.script import Script


def test_percentiles_are_given_by_f_and_under_fault_and_without() -> None:
    script = Script().add(1, at=0, took=2).cut(at=10).add(2, at=20, took=8).read([1, 2], at=30, took=4).heal(at=40)
    evidence = check(script.history).evidence
    assert (evidence["operations"], evidence["overall"]["p50"], evidence["overall"]["max"]) == (3, 4.0, 8.0)
    assert evidence["by_f"]["add"]["max"] == 8.0
    assert evidence["by_f"]["read"]["max"] == 4.0
    assert evidence["under_fault"]["p50"] == 4.0
    assert evidence["without_fault"]["max"] == 2.0


def test_polls_have_a_figure_of_their_own_and_are_in_no_other() -> None:
    evidence = check(Script().add(1, at=0, took=5).poll(["a"], at=10, node="n1").history).evidence
    assert (evidence["operations"], evidence["overall"]["max"], evidence["by_f"]["replica"]["max"]) == (1, 5.0, 1.0)


def test_what_failed_or_was_never_answered_has_no_latency() -> None:
    script = (
        Script().add(1, at=0).add(2, at=10, type_="fail", took=900).add(3, at=1000, process=1, type_="info", took=900)
    )
    assert check(script.history).evidence["overall"]["max"] == 1.0
    assert check(Script().add(2, at=10, type_="fail").history).outcome == "unknown"


def test_an_sla_is_met_up_to_its_bound_and_at_its_percentile_only() -> None:
    script = Script()
    for number in range(999):
        script.add(number, at=number * 2)
    history = script.add(999, at=5000, took=301).history
    assert check(history, sla_ms=300).outcome == "valid"
    assert check(history, sla_ms=301, percentile=100).outcome == "valid"
    verdict = check(history, sla_ms=300, percentile=100)
    assert verdict.outcome == "invalid"
    assert verdict.evidence["over_sla"] == 1
    assert verdict.witness is not None
    assert verdict.witness.events == (1998, 1999)


def test_an_operation_that_waited_for_a_free_client_is_late_from_when_it_was_due() -> None:
    invoked, done = Event(0, 5_000_000, 0, "invoke", "read", due=1_000_000), Event(1, 6_000_000, 0, "ok", "read")
    assert check(History([invoked, done])).evidence["overall"]["max"] == 5.0
