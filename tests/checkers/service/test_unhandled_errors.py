from __future__ import annotations

from splitbrain.checkers.service.unhandled_errors import check
from tests.checkers.lines import Lines


def test_errors_are_grouped_by_code_the_most_frequent_first() -> None:
    lines = (
        Lines().fail(0, "add", 1, "conflict: v1").crash(1, "add", 2, "timeout: 1 s").fail(0, "read", None, "timeout")
    )
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("valid", "3 errors: 2 timeout and 1 conflict")
    assert verdict.evidence["by_code"][0] == {
        "code": "timeout",
        "count": 2,
        "fail": 1,
        "info": 1,
        "by_f": {"add": 1, "read": 1},
        "example": {"index": 3, "process": 1, "f": "add", "error": "timeout: 1 s"},
    }


def test_codes_that_are_equally_frequent_come_in_the_order_of_the_history() -> None:
    lines = (
        Lines().fail(0, "add", 1, "z: 1").fail(0, "add", 1, "a: 1").fail(0, "add", 1, " z : 2").fail(0, "add", 1, "a")
    )
    assert [each["code"] for each in check(lines.history).evidence["by_code"]] == ["z", "a"]


def test_the_nemesis_has_errors_too_and_is_no_client() -> None:
    lines = Lines().nemesis("kill", None, "ssh: no route to host").nemesis("kill")
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["errors"], verdict.evidence["without_error"]) == ("unknown", 1, 0)
    assert verdict.evidence["by_code"][0]["example"]["process"] == "nemesis"


def test_completions_that_do_not_say_why_are_counted() -> None:
    lines = Lines().crash(0, "add", 1, None).fail(1, "add", 2, None).ok(2, "add", 3).invoke(3, "add", 4)
    evidence = check(lines.history).evidence
    assert (evidence["without_error"], evidence["errors"], evidence["completed"]) == (2, 0, 3)


def test_an_ok_completion_has_no_error_whatever_it_says() -> None:
    lines = Lines().invoke(0, "add", 1).complete(0, "ok", 1, "warning: slow")
    verdict = check(lines.history, forbidden=("warning",))
    assert (verdict.outcome, verdict.reason) == ("valid", "0 errors")


def test_a_forbidden_code_makes_it_invalid_and_its_first_event_is_the_witness() -> None:
    lines = (
        Lines().crash(0, "add", 1).fail(1, "read", None, "corrupt: checksum").fail(1, "read", None, "corrupt: length")
    )
    verdict = check(lines.history, forbidden=("corrupt", "absent"))
    assert (verdict.outcome, verdict.reason) == ("invalid", "forbidden: 2 corrupt")
    assert verdict.witness is not None
    assert verdict.witness.text == "process 1 had 'read' end with 'corrupt: checksum' at 0.003 s"
    assert verdict.witness.events == (3,)
    assert check(lines.history, forbidden=("corr",)).outcome == "valid"


def test_no_more_than_a_hundred_codes_are_listed_and_all_are_counted() -> None:
    lines = Lines()
    for number in range(130):
        lines.fail(0, "add", 1, f"code{number}: x")
    evidence = check(lines.history).evidence
    assert (evidence["codes"], evidence["errors"], len(evidence["by_code"])) == (130, 130, 100)
