"""Zones: the four rules by the smallest histories that distinguish them, and agreement with the search on longer ones."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.models.registers import CasRegister, Register
from splitbrain.checkers.linearizability.polynomial import zones
from splitbrain.checkers.linearizability.search import search
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.objects import KINDS, distinct, history
from tests.checkers.linearizability.timeline import drawn


def found(calls: Sequence[Call]) -> Finding | None:
    return zones.judge(calls, write="write", read="read", initial=None)


TWO_FORWARD_ZONES = """
        write 1      |-------------------------|
        write 2        |---------------------|
        read -> 1        |--|
        read -> 2          |--|
        read -> 2                |--|
        read -> 1                  |--|
"""


def judged(drawing: str) -> bool:
    """What the zones say, which brute force must say too; and what they show must be wrong by itself."""
    calls = drawn(drawing)
    finding = found(calls)
    assert finding is not None
    assert finding.linearizable is linearizable(calls, Register())
    if not finding.linearizable:
        assert not linearizable(finding.calls, Register())
        assert list(finding.calls) == sorted(finding.calls, key=lambda call: call.invoked)
    return finding.linearizable


def told(drawing: str) -> str:
    finding = found(drawn(drawing))
    assert finding is not None and not finding.linearizable
    return finding.text


# Rule 1: clusters.


def test_an_empty_register_is_read_until_it_is_written() -> None:
    assert judged("read -> null   |-|") is True
    drawing = """
        write 1        |------|
        read -> null      |-------|
        """
    assert judged(drawing) is True
    assert judged(drawing.replace("write 1        |------|", "write 1        |-|")) is False


def test_an_empty_register_is_not_read_once_a_value_was_seen() -> None:
    drawing = """
        write 1        |---------------|
        read -> 1         |--|
        read -> null             |--|
        """
    assert judged(drawing) is False
    assert judged(drawing.replace("read -> null             |--|", "read -> null        |-------|")) is True


def test_a_value_written_twice_is_for_the_search_to_judge() -> None:
    assert found(drawn("write 1  |-|\nwrite 1      |-|")) is None
    assert found(drawn("write [1, null]  |-|\nwrite [1, null]      |-|")) is None


def test_a_written_null_looks_like_an_empty_register_and_is_for_the_search_to_judge() -> None:
    assert found(drawn("write null |-|\nread -> null  |-|")) is None


def test_an_operation_that_neither_reads_nor_writes_is_for_the_search_to_judge() -> None:
    assert found(drawn("write 1  |-|\ncas [1, 2]   |-|")) is None
    assert CasRegister().shortcut(drawn("write 1  |-|\ncas [1, 2]   |-|")) is None


def test_true_is_not_one() -> None:
    """Python's True is equal to 1, and clusters are kept by value."""
    assert judged("write 1     |-|\nwrite true     |-|\nread -> true       |-|") is True
    assert judged("write true  |-|\nread -> 1      |-|") is False


# Rules 2 and 3: forward and backward zones.


def test_a_stale_read_is_refused() -> None:
    # 1 from its write's return to the last read's invocation, 2 in the midst of that.
    drawing = """
        write 1      |-|
        write 2          |-|
        read -> 1            |-|
        """
    assert judged(drawing) is False
    assert judged(drawing.replace("read -> 1", "read -> 2")) is True
    assert judged(drawing.replace("write 2          |-|", "write 2          |----|")) is True


def test_a_read_before_its_write_is_refused() -> None:
    drawing = """
        read -> 1    |-|
        write 1          |-|
        """
    assert judged(drawing) is False
    assert told(drawing) == "read -> 1 returned before write 1 was invoked"
    assert judged("read -> 1  |---|\nwrite 1      |-----|") is True


def test_a_read_of_a_value_that_was_never_written_is_refused() -> None:
    assert judged("write 1  |-|\nread -> 2    |-|") is False
    assert told("write 1  |-|\nread -> 2    |-|") == "read -> 2: nobody wrote that"


def test_two_forward_zones_that_overlap_are_refused() -> None:
    # Two readers see 1 and 2 come in different orders; the writes are open all the while.
    drawing = TWO_FORWARD_ZONES
    assert judged(drawing) is False
    text = told(drawing)
    assert "read -> 1 had returned before read -> 1 was invoked" in text
    assert "read -> 2 had returned before read -> 2 was invoked" in text


def test_forward_zones_one_after_the_other_are_fine() -> None:
    drawing = """
        write 1      |-------------------------|
        write 2        |---------------------|
        read -> 1        |-|
        read -> 1            |-|
        read -> 2                |-|
        read -> 2                    |-|
        """
    assert judged(drawing) is True


def test_a_backward_zone_within_a_forward_one_is_refused() -> None:
    # 2 was written, by one short call that was never read, while 1 had to stay.
    drawing = """
        write 1      |-|
        write 2          |-|
        read -> 1             |--|
        """
    assert judged(drawing) is False
    assert "write 2 came after the first moment and before the second" in told(drawing)


def test_a_backward_zone_that_reaches_out_of_a_forward_one_is_fine() -> None:
    begins_sooner = """
        write 1        |-|
        write 2      |-------|
        read -> 1               |--|
        """
    ends_later = """
        write 1        |-|
        write 2           |---------|
        read -> 1               |--|
        """
    assert judged(begins_sooner) is True
    assert judged(ends_later) is True


def test_a_backward_zone_around_a_forward_one_is_fine() -> None:
    assert judged("write 1    |-|\nwrite 2  |---------|\nread -> 1      |-|") is True


def test_backward_zones_may_overlap_in_any_number() -> None:
    # Each value is read while all overlap: none of them needs to be there but for a moment.
    drawing = """
        write 1      |----------------|
        write 2        |----------------|
        write 3          |----------------|
        read -> 3       |----------------|
        read -> 2         |----------------|
        read -> 1           |----------------|
        """
    assert judged(drawing) is True


# Rule 4: crashed writes.


def test_a_crashed_write_that_was_never_read_is_left_out() -> None:
    assert judged("write 1  |-|\nwrite 2     |...\nread -> 1     |-|") is True


def test_a_crashed_write_that_was_read_had_happened_by_then() -> None:
    drawing = """
        write 1      |-|
        write 2         |...
        read -> 2            |--|
        read -> 1                  |--|
        """
    assert judged(drawing) is False
    assert judged(drawing.replace("read -> 1 ", "read -> 2 ")) is True


def test_a_crashed_write_is_not_read_before_it_was_invoked() -> None:
    assert judged("read -> 2  |-|\nwrite 2        |...") is False


def test_a_crashed_write_may_happen_long_after() -> None:
    drawing = """
        write 2      |...
        write 1         |--|
        read -> 1             |--|
        read -> 2                   |--|
        """
    assert judged(drawing) is True
    assert judged(drawing + "\n        read -> 1                         |--|") is False


# Agreement with the search.


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**40), clients=st.integers(2, 5))
def test_zones_agree_with_the_search_on_histories_of_forty_operations_and_more(seed: int, clients: int) -> None:
    kind = distinct(KINDS["register"])
    calls = calls_of(history(Random(seed), kind, operations=60, clients=clients), kind.model).get("k0", [])
    assume(len(calls) >= 40)
    finding = found(calls)
    assert finding is not None
    assert search(calls, Register(), Budget()).linearizable is finding.linearizable
    if not finding.linearizable:
        assert search(finding.calls, Register(), Budget()).linearizable is False


def test_long_random_histories_are_of_both_kinds() -> None:
    """Agreement on nothing but clean histories would prove little."""
    verdicts = []
    for seed in range(60):
        kind = distinct(KINDS["register"])
        calls = calls_of(history(Random(seed), kind, operations=60), kind.model).get("k0", [])
        if len(calls) >= 40:
            finding = found(calls)
            verdicts.append(finding is not None and finding.linearizable)
    assert min(verdicts.count(True), verdicts.count(False)) >= 5


# The witness: in full, and nothing in it that could be left out.


def needed(calls: Sequence[Call]) -> list[Call]:
    """The calls without which the rest would be linearizable; a write whose value another call read can't be left out."""
    kept = []
    for call in calls:
        rest = [each for each in calls if each is not call]
        read_elsewhere = call.f == "write" and any(each.result == call.argument for each in rest if each.f == "read")
        if read_elsewhere or linearizable(rest, Register()):
            kept.append(call)
    return kept


def test_a_read_without_which_it_would_be_wrong_as_well_is_left_out_of_the_witness() -> None:
    # 1 was read while nobody doubts that: that null was read after its write returned says it all.
    drawing = """
        write 1        |--|
        read -> 1            |-|
        read -> null          |----|
        """
    finding = found(drawn(drawing))
    assert finding is not None
    assert [(call.f, call.result) for call in finding.calls if call.f == "read"] == [("read", None)]
    assert len(finding.calls) == 2
    assert finding.text == (
        "the register was empty at first before read -> null was invoked, so the value had to stay from the one moment "
        "to the other; write 1 came after the first moment and before the second"
    )


def test_a_write_that_nobody_read_is_left_out_where_reads_alone_show_it() -> None:
    drawing = """
        write 1      |-|
        write 2          |-|
        write 3              |-|
        read -> 2                   |-|
        read -> 1                       |-|
        """
    finding = found(drawn(drawing))
    assert finding is not None
    assert needed(finding.calls) == list(finding.calls)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**40), clients=st.integers(2, 4))
def test_nothing_can_be_left_out_of_a_witness(seed: int, clients: int) -> None:
    kind = distinct(KINDS["register"])
    calls = calls_of(history(Random(seed), kind, operations=14, clients=clients), kind.model).get("k0", [])
    finding = found(calls)
    assume(finding is not None and not finding.linearizable)
    assert finding is not None
    assert needed(finding.calls) == list(finding.calls)


def test_overlapping_times_are_told_with_the_calls_between_which_they_lie() -> None:
    drawing = TWO_FORWARD_ZONES
    assert told(drawing) == (
        "read -> 1 had returned before read -> 1 was invoked, and read -> 2 had returned before read -> 2 was invoked; "
        "each value had to stay from the one moment to the other, and these times overlap"
    )
    finding = found(drawn(drawing))
    assert finding is not None and len(finding.calls) == 6


def test_a_value_written_while_another_had_to_stay_is_told_with_all_its_calls() -> None:
    drawing = """
        write 1      |-|
        write 2          |--|
        read -> 2          |--|
        read -> 1                  |--|
        """
    assert told(drawing) == (
        "write 1 had returned before read -> 1 was invoked, so the value had to stay from the one moment to the other; "
        "write 2 came after the first moment and before the second"
    )


def test_the_value_at_first_is_named_where_there_was_one() -> None:
    calls = drawn("write 1  |-|\nread -> 5     |-|")
    finding = zones.judge(calls, write="write", read="read", initial=5)
    assert finding is not None and not finding.linearizable
    assert finding.text.startswith(
        "the register held 5 at first before read -> 5 was invoked, so the value had to stay"
    )
    fine = zones.judge(drawn("read -> 5  |-|\nwrite 1     |-|"), write="write", read="read", initial=5)
    assert fine is not None and fine.linearizable


def test_null_is_read_for_the_value_that_it_stands_for() -> None:
    def judged_from_zero(drawing: str) -> Finding | None:
        return zones.judge(drawn(drawing), write="write", read="read", initial=0, null=0)

    fine = judged_from_zero("read -> null  |-|\nwrite 1            |-|")
    assert fine is not None and fine.linearizable
    stale = judged_from_zero("write 1  |-|\nread -> null      |-|")
    assert stale is not None and not stale.linearizable
    assert stale.text.startswith("the register was empty at first before read -> null")
    assert judged_from_zero("write null  |-|") is None


def test_the_first_of_several_wrong_reads_is_shown() -> None:
    assert told("read -> 7  |-|\nread -> 8     |-|\nwrite 1           |-|") == "read -> 7: nobody wrote that"
    both = "read -> 1  |-|\nread -> 2     |-|\nwrite 1            |-|\nwrite 2               |-|"
    assert told(both) == "read -> 1 returned before write 1 was invoked"


def test_of_several_overlaps_the_first_is_shown() -> None:
    drawing = """
        write 1      |-|
        write 2          |-|
        read -> 1            |-|
        read -> 2                |-|
        write 3                      |-|
        write 4                          |-|
        read -> 3                            |-|
        read -> 4                                |-|
        """
    finding = found(drawn(drawing))
    assert finding is not None
    assert {call.argument if call.f == "write" else call.result for call in finding.calls} <= {1, 2}
