from __future__ import annotations

from splitbrain.checkers.invariants.unique_ids import check
from tests.checkers.lines import Lines


def test_an_id_given_out_three_times_is_one_id_and_two_too_many() -> None:
    lines = Lines()
    for process, given in enumerate(["a", "b", "a", "a", "c"]):
        lines.ok(process, "generate", None, given)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 id given out more than once, 2 of 5 too many")
    assert verdict.evidence["duplicates"] == [{"key": None, "id": "a", "times": 3}]
    assert verdict.evidence["range"] == ["a", "c"]
    assert verdict.witness is not None
    assert verdict.witness.text == (
        'the id "a" was given out 3 times: to process 0 at 0.001 s, process 2 at 0.005 s and process 3 at 0.007 s'
    )
    assert verdict.witness.events == (0, 1, 4, 5, 6, 7)


def test_what_a_failed_or_crashed_generate_may_have_returned_counts_for_nothing() -> None:
    lines = Lines().ok(0, "generate", None, 1).ok(0, "generate", None, 2)
    lines.invoke(1, "generate").complete(1, "info", 1, "timeout: no").invoke(2, "generate").complete(2, "fail", 1, "no")
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["attempted"], verdict.evidence["acknowledged"]) == ("valid", 4, 2)


def test_ids_of_different_keys_may_be_the_same() -> None:
    lines = Lines("a").ok(0, "generate", None, 1).of("b").ok(0, "generate", None, 1)
    assert check(lines.history).outcome == "unknown"  # One each can't but be distinct.
    assert check(lines.ok(0, "generate", None, 2).history).outcome == "valid"
    assert check(lines.of("b").ok(1, "generate", None, 1).history).outcome == "invalid"


def test_ids_may_be_objects_and_their_fields_come_in_any_order() -> None:
    lines = Lines().ok(0, "generate", None, {"node": 1, "n": [2]}).ok(0, "generate", None, {"n": [2], "node": 1})
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["range"]) == ("invalid", None)


def test_ids_of_several_kinds_have_no_range() -> None:
    lines = Lines().ok(0, "generate", None, 1).ok(0, "generate", None, "1").ok(0, "generate", None, 1.0)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["range"]) == ("valid", None)


def test_other_operations_have_no_part_in_it() -> None:
    assert check(Lines().ok(0, "read", None, 1).ok(0, "read", None, 1).history).outcome == "unknown"


def test_the_most_frequent_duplicates_are_listed_first_and_no_more_than_a_hundred() -> None:
    lines = Lines()
    for given in [*range(120), *range(120), 77]:
        lines.ok(0, "generate", None, given)
    evidence = check(lines.history).evidence
    assert (evidence["duplicated"], evidence["surplus"], len(evidence["duplicates"])) == (120, 121, 100)
    assert evidence["duplicates"][0] == {"key": None, "id": 77, "times": 3}
