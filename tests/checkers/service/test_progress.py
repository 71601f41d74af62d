from __future__ import annotations

import pytest

from splitbrain.checkers import Verdict, check
from tests.checkers.script import Script


def strike(script: Script, number: int, since_s: float, until_s: float, *, effective: bool = True) -> Script:
    value = {"strike": number, "shape": "halves", "cut": [["n1", "n2"]]}
    script.act("start-partition", "partition", "start", at=since_s * 1000, **value)
    return script.act("stop-partition", "partition", "stop", at=until_s * 1000, effective=effective, **value)


def writes(script: Script, since_s: float, until_s: float, type_: str, count: int = 20) -> Script:
    step = (until_s - since_s) * 1000 / count
    for number in range(count):
        number_of_events = len(script.events)  # Each write has a process of its own: an indeterminate one retires it.
        at_ms = since_s * 1000 + step * number
        script.add(number_of_events, at=at_ms, type_=type_, process=number_of_events)
    return script


def judged(script: Script, **options: float) -> Verdict:
    return check("evidence", script.history, faults=("partition",), min_operations=1, **options)


def ended(script: Script, at_s: float) -> Script:
    script.stage("recovery", "recovered", "final-reads", at=at_s * 1000)
    return script.read([1], at=at_s * 1000 + 10)


def test_a_system_that_is_mute_after_the_last_heal_did_not_recover() -> None:
    script = strike(writes(Script().stage("load", at=0), 1, 9, "ok"), 0, 10, 20)
    verdict = judged(ended(writes(script, 21, 50.9, "info"), 51))
    assert verdict.outcome == "invalid"
    assert "the system did not recover: no write succeeded within 30 s after the heal at 20.001 s" in verdict.reason
    assert verdict.witness is not None
    assert verdict.witness.data["tried"] == 20


def test_a_system_that_was_mute_between_two_faults_and_not_later_did_not_recover_from_the_first() -> None:
    script = strike(writes(Script().stage("load", at=0), 1, 9, "ok"), 0, 10, 20)
    script = strike(writes(script, 21, 54, "fail"), 1, 55, 60)
    verdict = judged(ended(writes(script, 61, 70, "ok"), 71))
    assert (verdict.outcome, verdict.reason) == (
        "invalid",
        "the system did not recover: no write succeeded within 30 s after the heal at 20.001 s",
    )


@pytest.mark.parametrize(
    "why",
    ["one write was ok", "a fault stood", "it was too short a time", "too few writes", "the heal had no effect"],
)
def test_nothing_is_held_against_it_where(why: str) -> None:
    script = strike(
        writes(Script().stage("load", at=0), 1, 9, "ok"), 0, 10, 20, effective=why != "the heal had no effect"
    )
    if why == "a fault stood":
        value = {"strike": 7, "cut": []}
        script.act("start-partition", "partition", "start", at=20_500, **value)
    until_s = 48.0 if why == "it was too short a time" else 54.0
    script = writes(script, 21, until_s - 1, "fail", 9 if why == "too few writes" else 20)
    if why == "one write was ok":
        script.add(1000, at=until_s * 1000 - 500)
    if why == "a fault stood":
        script.act("stop-partition", "partition", "stop", at=until_s * 1000 - 300, strike=7, cut=[])
    script = strike(script, 1, until_s, 60)
    verdict = judged(ended(writes(script, 61, 70, "ok"), 71))
    assert "did not recover" not in verdict.reason


def test_how_long_a_system_may_take_can_be_stated() -> None:
    script = strike(writes(Script().stage("load", at=0), 1, 9, "ok"), 0, 10, 20)
    script = writes(script, 21, 25.9, "fail").act("start-partition", "partition", "start", at=26_000, strike=1, cut=[])
    script.add(999, at=27_000).act("stop-partition", "partition", "stop", at=30_000, strike=1, cut=[])
    script = ended(writes(script, 31, 40, "ok"), 41)
    assert judged(script).outcome == "valid"
    assert "no write succeeded within 5 s after the heal at 20.001 s" in judged(script, recovery_s=5.0).reason


def test_a_stop_of_a_strike_ends_that_strike_alone() -> None:
    script = Script().stage("load", at=0)
    for number, at in ((1, 1000), (2, 2000)):
        script.act("kill", "kill", "start", at=at, strike=number, nodes=["n1" if number == 1 else "n2"])
    script.act("restart", "kill", "stop", at=3000, strike=1, nodes=["n1"])
    script = writes(script, 4, 40, "fail")
    script.act("restart", "kill", "stop", at=41_000, strike=2, nodes=["n2"])
    script = ended(writes(script, 42, 50, "ok"), 51)
    # The second kill stood all the while, so there was no quiet time.
    verdict = check("evidence", script.history, faults=("kill",), min_operations=1)
    assert "did not recover" not in verdict.reason
