from __future__ import annotations

from splitbrain.checkers.service.write_outage import WriteOutage
from tests.checkers.script import Script


def look(script: Script) -> WriteOutage | None:
    return WriteOutage.of(script.history, script.history.operations)


def refused(script: Script, number: int, *, at: float) -> Script:
    for turn in range(number):
        script.add(100 + turn, at=at + turn * 2, type_="fail")
    return script


def test_an_outage_is_certain_once_ten_writes_were_refused_after_the_last_heal() -> None:
    for number, certain in ((9, False), (10, True)):
        outage = look(refused(Script().add(1, at=0).cut(at=5).heal(at=10), number, at=20))
        assert outage is not None
        assert (len(outage.late), outage.certain) == (number, certain)


def test_a_fault_that_still_stands_may_be_to_blame() -> None:
    script = Script().add(1, at=0).cut(at=5).heal(at=10).act("kill", "kill", "start", at=12, nodes=["n1"])
    outage = look(refused(script, 10, at=20))
    assert outage is not None
    assert not outage.certain


def test_nodes_that_answered_only_at_the_recovery_may_be_to_blame_and_so_may_a_lost_environment() -> None:
    script = Script().add(1, at=0).act("kill", "kill", "start", at=5, nodes=["n1"])
    script.act("restart", "kill", "stop", at=10, nodes=["n1"], effective=False)
    outage = look(refused(script, 10, at=20).stage("recovery", "recovered", at=60))
    assert outage is not None and not outage.certain
    gone = look(refused(Script().add(1, at=0).cut(at=5).heal(at=10), 10, at=20).stage("environment-lost", at=60))
    assert gone is not None and not gone.certain


def test_a_write_that_was_ok_after_the_first_fault_is_no_outage_and_neither_is_none_before_it() -> None:
    assert look(refused(Script().add(1, at=0).cut(at=5).heal(at=10).add(2, at=15), 10, at=20)) is None
    assert look(refused(Script().cut(at=5).heal(at=10), 10, at=20)) is None
    assert look(Script().add(1, at=0).cut(at=5).heal(at=10).read([1], at=20)) is None


def test_the_witness_shows_the_last_write_and_those_that_followed() -> None:
    outage = look(refused(Script().add(1, at=0).cut(at=5).heal(at=10), 10, at=20))
    assert outage is not None
    assert outage.witness().text == (
        "the last write that was ok was invoked at 0.000 s (n1); after the last heal 10 writes were tried, "
        "from 0.020 s (n1) to 0.038 s (n1), and none was ok"
    )
    assert outage.witness().events == (0, 1, *range(6, 26))
