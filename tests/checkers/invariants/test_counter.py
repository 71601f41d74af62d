from __future__ import annotations

from random import Random

from splitbrain.checkers.invariants.counter import check
from tests.checkers.lines import Lines


def test_an_add_acknowledged_while_the_read_is_open_may_count_or_not() -> None:
    for shown in (0, 4):
        lines = Lines("c").invoke(1, "read").ok(0, "add", 4).complete(1, "ok", shown)
        assert check(lines.history).outcome == "valid"
    assert check(Lines("c").invoke(1, "read").ok(0, "add", 4).complete(1, "ok", 5).history).outcome == "invalid"


def test_an_add_invoked_after_the_read_completed_never_counts() -> None:
    assert check(Lines("c").ok(1, "read", None, 4).ok(0, "add", 4).history).outcome == "invalid"


def test_an_add_without_completion_counts_or_not_for_ever_after() -> None:
    lines = Lines("c").invoke(9, "add", 7).ok(0, "read", None, 0).ok(0, "read", None, 7).ok(0, "read", None, 0)
    assert check(lines.history).outcome == "valid"


def test_acknowledged_decrements_lower_both_bounds() -> None:
    lines = Lines("c").ok(0, "add", 5).ok(0, "add", -3)
    assert check(lines.ok(1, "read", None, 2).history).evidence["exact_reads"] == 1
    assert check(lines.ok(1, "read", None, 5).history).evidence["misread"] == [
        {"key": "c", "least": 2, "shown": 5, "most": 2, "index": 6}
    ]


def test_the_bounds_are_no_proof() -> None:
    # 3 is no sum of a 2 and a 4 that may or may not have happened, and it lies between 0 and 6.
    lines = Lines("c").crash(0, "add", 2).crash(1, "add", 4).ok(2, "read", None, 3)
    assert check(lines.history).outcome == "valid"


def test_keys_are_judged_separately() -> None:
    lines = Lines("a").ok(0, "add", 1).of("b").ok(0, "add", 10).ok(0, "read", None, 10).of("a").ok(0, "read", None, 1)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["keys"]) == ("valid", 2)
    assert check(lines.ok(0, "read", None, 11).history).outcome == "invalid"


def test_reads_that_are_not_ok_show_nothing() -> None:
    lines = Lines("c").ok(0, "add", 1).crash(1, "read").fail(0, "read")
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "no read was ok, so nobody saw a counter")


def test_a_read_before_any_add_must_show_the_initial_value() -> None:
    assert check(Lines("c").ok(0, "read", None, 0).history).outcome == "valid"
    assert check(Lines("c").ok(0, "read", None, 1).history).outcome == "invalid"
    assert check(Lines("c").ok(0, "read", None, -4).history, initial=-4).outcome == "valid"


def test_sums_beyond_64_bits_do_not_wrap_around() -> None:
    huge = 2**63
    lines = Lines("c").ok(0, "add", huge).ok(0, "add", huge)
    assert check(lines.ok(0, "read", None, 2 * huge).history).outcome == "valid"
    assert check(lines.ok(0, "read", None, 0).history).outcome == "invalid"


def test_polls_of_replicas_are_passed_over() -> None:
    lines = Lines("c").ok(0, "add", 1).ok(5, "replica", None, {"versions": []}).ok(0, "read", None, 1)
    assert check(lines.history).outcome == "valid"


def test_the_witness_tells_what_the_bounds_are_made_of() -> None:
    lines = Lines("c").ok(0, "add", 5).crash(1, "add", -2).ok(0, "add", 1).crash(2, "add", 3).ok(0, "read", None, 11)
    witness = check(lines.history).witness
    assert witness is not None
    assert witness.text == (
        "process 0 read 11 from c at 0.009 s, and 4 to 9 was possible: it started at 0, 2 adds acknowledged before the "
        "read was invoked at 0.008 s made +6, and 2 others that may have happened by its end could make -2 to +3"
    )
    assert witness.events == tuple(range(10))
    assert witness.data == {"kind": "misread", "key": "c", "least": 4, "shown": 11, "most": 9, "index": 8}


def test_the_witness_names_no_adds_where_there_are_none() -> None:
    witness = check(Lines("c").ok(0, "read", None, 1).history).witness
    assert witness is not None
    assert witness.text == (
        "process 0 read 1 from c at 0.001 s, and 0 was possible: it started at 0, nothing was acknowledged before the "
        "read was invoked at 0.000 s, and no other may have happened by its end"
    )


def test_lists_are_bounded_and_counts_are_not() -> None:
    lines = Lines("c")
    for _ in range(150):
        lines.ok(0, "read", None, 1)
    evidence = check(lines.history).evidence
    assert (evidence["misreads"], len(evidence["misread"])) == (150, 100)


def test_a_history_in_order_has_exact_bounds_all_along() -> None:
    random = Random(1)
    lines, total = Lines("c"), 0
    for _ in range(500):
        delta = random.randint(-9, 9)
        total += delta
        lines.ok(0, "add", delta).ok(0, "read", None, total)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["exact_reads"]) == ("valid", 500)
    assert verdict.reason == "500 reads within bounds, all exact"
