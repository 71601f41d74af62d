from __future__ import annotations

from typing import Any

from splitbrain.checkers.invariants.long_fork import check
from tests.checkers.lines import Lines


def write(lines: Lines, key: Any, value: Any = 1, *, process: int = 0, f: str = "txn") -> Lines:
    return lines.ok(process, f, [["w", key, value]], [["w", key, value]])


def read(lines: Lines, saw: dict[Any, Any], *, process: int = 1, f: str = "txn") -> Lines:
    return lines.ok(process, f, [["r", key, None] for key in saw], [["r", key, value] for key, value in saw.items()])


def three() -> Lines:
    return write(write(write(Lines(), 1), 2), 3)


def test_two_reads_each_of_which_lacks_what_the_other_saw_are_a_long_fork() -> None:
    lines = read(read(read(three(), {1: 1, 2: None, 3: None}), {1: 1, 2: 1, 3: None}), {3: 1, 1: 1, 2: None}, process=4)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 1 group saw writes in two orders")
    assert verdict.evidence["forks"] == [
        {"key": None, "group": [1, 2, 3], "reads": [8, 10], "first_saw": [2], "second_saw": [3]}
    ]
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 1 at 0.009 s saw 2 written and 3 not yet; process 4 at 0.011 s saw 3 written and 2 not yet: "
        "they saw these writes happen in different orders"
    )
    assert verdict.witness.events == (2, 3, 4, 5, 8, 9, 10, 11)


def test_reads_that_see_more_and_less_in_any_order_of_time_do_not_fork() -> None:
    lines = read(read(read(three(), {1: 1, 2: 1, 3: 1}), {1: None, 2: None, 3: None}), {1: None, 2: None, 3: 1})
    assert check(lines.history).outcome == "valid"


def test_the_keys_of_a_group_may_be_read_in_any_order() -> None:
    lines = read(read(write(write(Lines(), "x"), "y"), {"x": 1, "y": None}), {"y": 1, "x": None})
    assert check(lines.history).evidence["forked"] == 1


def test_reads_of_a_single_key_can_not_fork() -> None:
    assert check(read(read(write(Lines(), 1), {1: 1}), {1: None}).history).outcome == "unknown"


def test_the_same_keys_of_different_histories_are_different() -> None:
    lines = write(write(Lines("a"), "x"), "y")
    read(lines, {"x": 1, "y": None})
    write(write(lines.of("b"), "x"), "y")
    verdict = check(read(lines, {"x": None, "y": 1}).history)
    assert (verdict.outcome, verdict.evidence["groups"]) == ("unknown", 2)


def test_reads_and_writes_may_be_called_so() -> None:
    lines = write(write(Lines(), "x", f="write"), "y", f="write")
    read(read(lines, {"x": 1, "y": None}, f="read"), {"x": None, "y": 1}, f="read")
    assert check(lines.history).outcome == "invalid"


def test_a_crashed_write_may_be_seen_or_not() -> None:
    lines = write(Lines(), "x").crash(5, "txn", [["w", "y", 1]])
    assert check(read(read(lines, {"x": 1, "y": None}), {"x": 1, "y": 1}).history).outcome == "valid"


def test_a_write_tried_again_after_it_failed_is_no_second_write() -> None:
    lines = Lines().fail(0, "txn", [["w", "x", 1]])
    verdict = check(read(read(write(write(lines, "x"), "y"), {"x": 1, "y": None}), {"x": 1, "y": 1}).history)
    assert (verdict.outcome, verdict.evidence["phantom"]) == ("valid", 0)


def test_a_write_seen_before_it_was_begun_is_unexpected() -> None:
    lines = read(Lines(), {"x": 1, "y": None})
    verdict = check(write(lines, "x").history)
    assert (verdict.outcome, verdict.evidence["unexpected"]) == ("invalid", 1)


def test_a_value_that_is_another_than_what_was_written_is_unexpected() -> None:
    for value in (2, True, "1", 1.0, [1]):
        lines = read(write(Lines(), "x"), {"x": value, "y": None})
        assert check(lines.history).evidence["unexpected"] == 1, value


def test_integer_and_string_keys_are_different_keys() -> None:
    lines = read(write(Lines(), 1), {1: 1, "1": None})
    assert check(lines.history).evidence["unexpected"] == 0
    assert check(read(write(Lines(), 1), {1: None, "1": 1}).history).evidence["unexpected"] == 1


def test_reads_that_are_not_ok_saw_nothing() -> None:
    lines = read(write(Lines(), "x"), {"x": 1, "y": None}).crash(5, "txn", [["r", "x", None], ["r", "y", None]])
    assert check(lines.history).outcome == "unknown"


def test_two_writes_seen_by_different_reads_or_in_different_groups_do_not_count_as_seen_together() -> None:
    lines = write(write(write(Lines(), "x"), "y"), "z")
    read(read(lines, {"x": 1, "y": None}), {"x": 1, "y": None})
    verdict = check(read(read(lines, {"y": None, "z": 1}), {"y": None, "z": 1}).history)
    assert (verdict.outcome, verdict.evidence["compared"], verdict.evidence["at_stake"]) == ("unknown", 2, 0)
    assert verdict.reason == "no group's reads saw two keys written, so nobody could see a fork"
    verdict = check(read(lines, {"x": 1, "y": 1}).history)
    assert (verdict.outcome, verdict.reason) == ("valid", "1 group of keys, the reads of each in one order")


def test_every_group_that_forks_is_counted_and_the_first_to_fork_is_the_witness() -> None:
    lines = Lines()
    for key in "abcd":
        write(lines, key)
    read(read(lines, {"c": 1, "d": None}), {"a": 1, "b": None})
    read(read(lines, {"a": None, "b": 1}), {"c": None, "d": 1})
    verdict = check(lines.history)
    assert verdict.evidence["forked"] == 2
    assert verdict.witness is not None
    assert verdict.witness.data["group"] == ["a", "b"]
