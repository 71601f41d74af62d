"""Signatures tell failures apart, and by nothing that changes from run to run."""

from __future__ import annotations

from splitbrain.checkers import check_all
from splitbrain.harness.campaigns.signature import SHAPE_MAX, Signature, signatures
from tests.checkers.script import Script


def lost(*, shift: int = 0, value: int = 1, key: str = "s0") -> Script:
    """An acknowledged add that the final read does not show, made during a cut."""
    script = Script().cut(at=shift + 5).add(value, at=shift + 10, key=key).heal(at=shift + 20)
    return script.stage("final-reads", at=shift + 30).read([], at=shift + 40, key=key)


def told(script: Script) -> tuple[Signature, ...]:
    return signatures(check_all(script.history, {"lost-writes": {}}), script.history)


def test_a_signature_has_checker_kind_faults_and_the_operations_in_order() -> None:
    assert told(lost()) == (Signature("lost-writes", "lost", ("partition",), ("add ok", "read ok")),)


def test_keys_values_and_times_do_not_count() -> None:
    assert told(lost()) == told(lost(shift=70, value=9, key="s7"))


def test_a_fault_that_was_over_before_the_anomaly_is_not_part_of_it() -> None:
    script = Script().cut(at=5).heal(at=8).add(1, at=20).stage("final-reads", at=30).read([], at=40)
    assert [signature.faults for signature in told(script)] == [()]


def test_a_history_without_an_anomaly_has_none() -> None:
    script = Script().add(1, at=10).stage("final-reads", at=30).read([1], at=40)
    assert told(script) == ()


def test_each_checker_that_found_something_gives_one() -> None:
    script = lost().poll(["a"], at=50, node="n1").poll(["b"], at=52, node="n2").stage("end", at=60)
    verdict = check_all(script.history, {"lost-writes": {}, "convergence": {}})
    assert [signature.checker for signature in signatures(verdict, script.history)] == ["lost-writes", "convergence"]


def test_a_shape_is_bounded() -> None:
    long = Signature("transactions", "G0", (), tuple(f"txn{number} ok" for number in range(SHAPE_MAX)))
    assert long.text.count("ok") == SHAPE_MAX
    assert long.core == ("transactions", "G0")
