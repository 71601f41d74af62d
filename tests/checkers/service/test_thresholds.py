from __future__ import annotations

import re

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.registry import find
from splitbrain.checkers.service import availability, latency
from splitbrain.checkers.service.thresholds import check
from tests.checkers.script import Script


def served() -> Script:
    """99 operations of 1 ms and one of 400 ms; then one that failed. One after the other, without a pause."""
    script = Script()
    for number in range(99):
        script.add(number, at=number)
    return script.add(99, at=99, took=400).add(100, at=499, type_="fail")


def test_a_percentile_above_its_bound_names_threshold_and_measured_value() -> None:
    verdict = check(served().history, fail_if=["max>300ms"])
    assert (verdict.outcome, verdict.reason) == ("invalid", "max was 400.0 ms (max>300ms)")
    assert verdict.evidence["thresholds"] == [{"threshold": "max>300ms", "measured": 400.0, "crossed": True}]
    assert verdict.witness is not None
    assert verdict.witness.events == (198, 199)
    assert "1 of 100 ok operations took longer than 300 ms; the slowest, add of s0" in verdict.witness.text
    # The same history keeps to the same bound at the 99th percentile: 99 of 100 took a millisecond.
    assert check(served().history, fail_if=["p99>300ms"]).outcome == "valid"


def test_a_bound_is_kept_by_what_is_equal_to_it() -> None:
    assert check(served().history, fail_if="max>400ms").outcome == "valid"
    assert check(served().history, fail_if="max>399.9ms").outcome == "invalid"
    assert check(served().history, fail_if="p99>1000us").outcome == "valid"
    assert check(served().history, fail_if="p99.5 > 0.3s").outcome == "invalid"


def test_an_ok_rate_below_its_bound_is_invalid() -> None:
    # 100 of 101 were ok.
    assert check(served().history, fail_if="ok-rate<99%").outcome == "valid"
    verdict = check(served().history, fail_if="ok-rate<0.995")
    assert (verdict.outcome, verdict.reason) == ("invalid", "ok-rate was 99.0099% (ok-rate<0.995)")
    assert verdict.witness is not None
    assert verdict.witness.text == "100 of 101 operations were ok"


def test_a_silence_and_a_recovery_have_bounds_too() -> None:
    script = Script().add(1, at=0).cut(at=10).add(2, at=20, type_="info", took=500).heal(at=600)
    history = script.add(3, at=900, process=1).history
    # From the first invocation after the last answer, at 20 ms, to the next answer, at 901 ms.
    assert check(history, fail_if="silence>800ms").reason == "silence was 881.0 ms (silence>800ms)"
    after_ms = availability.check(history).evidence["windows"][0]["recovered_after_ms"]
    assert 295 <= after_ms <= 301
    verdict = check(history, fail_if=["recovery>200ms", "silence>1s"])
    assert verdict.reason == f"recovery was {after_ms} ms (recovery>200ms)"
    assert check(history, fail_if="recovery>302ms").outcome == "valid"


def test_a_node_that_never_served_again_is_past_every_bound_of_recovery() -> None:
    history = Script().add(1, at=0).cut(at=10).heal(at=600).history
    verdict = check(history, fail_if="recovery>1000s")
    assert (verdict.outcome, verdict.reason) == ("invalid", "recovery never came (recovery>1000s)")
    assert verdict.evidence["thresholds"][0]["measured"] is None


def test_every_threshold_that_is_crossed_is_named_and_no_other() -> None:
    verdict = check(served().history, fail_if=["p50>100ms", "max>300ms", "ok-rate<100%"])
    assert verdict.reason == "max was 400.0 ms (max>300ms) and ok-rate was 99.0099% (ok-rate<100%)"


def test_what_was_not_measured_is_unknown_and_hides_no_threshold_that_is_crossed() -> None:
    failed = Script().add(1, at=0, type_="fail").history
    verdict = check(failed, fail_if="p99>300ms")
    assert (verdict.outcome, verdict.reason) == ("unknown", "p99 could not be measured (p99>300ms)")
    assert check(failed, fail_if=["p99>300ms", "ok-rate<99%"]).outcome == "invalid"
    assert check(served().history, fail_if="recovery>1s").outcome == "unknown"
    assert check(served().history).outcome == "unknown"
    assert check(History([]), fail_if=["max>1s", "ok-rate<99%", "silence>1s"]).outcome == "unknown"


def test_percentiles_are_those_of_the_checker_latency() -> None:
    history = served().history
    overall = latency.check(history).evidence["overall"]
    bounds = [f"{name}>1us" for name in overall]
    measured = [each["measured"] for each in check(history, fail_if=bounds).evidence["thresholds"]]
    assert measured == list(overall.values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99<300ms", "fails a run whose p99 is low; turn < round"),
        ("ok-rate>99%", "fails a run whose ok-rate is high; turn > round"),
        ("p99>300", "needs a time in us, ms or s; write p99>300ms"),
        ("ok-rate<99", "needs a share; write ok-rate<99% or ok-rate<0.99"),
        ("ok-rate<99ms", "needs a share"),
        ("p99>30%", "needs a time"),
        ("p101>300ms", "has no percentile; write p0.1 to p100"),
        ("p0>300ms", "has no percentile"),
        ("p99>=300ms", "can't be read; write p99>300ms"),
        ("latency>300ms", "can't be read"),
        ("", "can't be read"),
    ],
)
def test_a_threshold_that_can_not_be_read_is_refused_with_how_one_is_written(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"threshold {re.escape(repr(text))}.*{re.escape(told)}"):
        check(History([]), fail_if=[text])


def test_thresholds_are_an_option_of_a_checker_like_any_other() -> None:
    assert find("thresholds").accept({"fail_if": ["p99>1s"]}) == {"fail_if": ["p99>1s"]}
    assert find("thresholds").accept({"fail_if": "p99>1s"}) == {"fail_if": "p99>1s"}
