from __future__ import annotations

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.service.log_patterns import check

EMPTY = History([])
LOGS = {"n1/server.log": "started\npanic: nil\nstopped\n", "n2/server.log": "started\n"}


def test_every_line_that_matches_is_named_by_log_and_number() -> None:
    verdict = check(EMPTY, pattern=r"panic|stop", logs=LOGS)
    assert (verdict.outcome, verdict.reason) == ("invalid", "2 lines of n1/server.log matched 'panic|stop'")
    assert verdict.evidence["matches"] == [
        {"log": "n1/server.log", "line": 2, "text": "panic: nil"},
        {"log": "n1/server.log", "line": 3, "text": "stopped"},
    ]
    assert (verdict.evidence["lines"], verdict.evidence["by_log"]) == (4, {"n1/server.log": 2})
    assert verdict.witness is not None
    assert verdict.witness.text == "n1/server.log, line 2: panic: nil"


def test_logs_without_a_match_are_valid() -> None:
    verdict = check(EMPTY, pattern="assert", logs=LOGS)
    assert (verdict.outcome, verdict.reason) == ("valid", "no line of 4 in 2 logs matched 'assert'")


def test_without_logs_or_without_a_pattern_there_is_nothing_to_judge() -> None:
    assert check(EMPTY, pattern="panic").reason == "no logs were given to search"
    assert check(EMPTY, logs=LOGS).reason == "no pattern was given to look for"
    assert check(EMPTY, pattern="panic", logs={"n1": ""}).outcome == "valid"


@pytest.mark.parametrize(("pattern", "position"), [("[a", 0), ("a)", 1), ("ab(?P<", 6)])
def test_a_pattern_that_is_none_is_refused_with_the_position(pattern: str, position: int) -> None:
    with pytest.raises(ValueError, match=f"log-patterns: .* is no regular expression: .* at position {position}"):
        check(EMPTY, pattern=pattern, logs=LOGS)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}$"])
def test_a_line_made_for_a_pattern_that_backtracks_took_longer_than_anyone_waits(pattern: str) -> None:
    # With Python's `re`, 30 of these letters take a minute, and each further one doubles it.
    hostile = "a" * 5_000 + "!"
    assert check(EMPTY, pattern=pattern, logs={"n1": f"{hostile}\n" * 20}).outcome == "valid"


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "a{5000}"])
def test_what_can_not_be_matched_in_linear_time_is_refused_in_one_line(
    pattern: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"can't be matched in linear time .*; write it without") as refusal:
        check(EMPTY, pattern=pattern, logs=LOGS)
    assert "\n" not in str(refusal.value)
    assert capfd.readouterr().err == ""  # The engine has a log of its own.


def test_any_text_can_be_searched() -> None:
    logs = {"n1": "\udc80 über\x00 中\n"}
    for pattern in ("ü", "中$", "\x00", r"(?i)ÜBER", "b.r"):
        assert check(EMPTY, pattern=pattern, logs=logs).outcome == "invalid"
    assert check(EMPTY, pattern="\udc80", logs=logs).outcome == "valid"  # No text has it: it can't be written.


def test_lines_are_matched_one_at_a_time_and_end_with_a_newline_only() -> None:
    logs = {"n1": "a\r\nb\x0cb\n\nlast"}
    assert [m["line"] for m in check(EMPTY, pattern="^$", logs=logs).evidence["matches"]] == [3]
    assert [m["line"] for m in check(EMPTY, pattern="^a$|^last$", logs=logs).evidence["matches"]] == [1, 4]
    assert check(EMPTY, pattern="a\nb", logs=logs).outcome == "valid"


def test_lists_and_texts_are_bounded_and_counts_are_not() -> None:
    evidence = check(EMPTY, pattern="x", logs={"n1": ("x" * 500 + "\n") * 150}).evidence
    assert (evidence["matching_lines"], len(evidence["matches"])) == (150, 100)
    assert evidence["matches"][0]["text"] == "x" * 200
