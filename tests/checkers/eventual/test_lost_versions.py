from __future__ import annotations

import pytest

from splitbrain.checkers import HistoryError
from splitbrain.checkers.eventual.lost_versions import check
from tests.checkers.script import Script


def test_a_write_that_the_remaining_one_had_not_seen_is_lost() -> None:
    verdict = check(Script().put(1, [], at=0).put(2, [], at=2).read([2], at=4, key="r0").history)
    assert verdict.outcome == "invalid"
    assert verdict.witness is not None
    assert verdict.witness.data["siblings"] == [2]
    assert [entry["value"] for entry in verdict.witness.data["lost"]] == [1]


def test_a_write_seen_through_another_is_superseded() -> None:
    script = Script().put(1, [], at=0).put(2, [1], at=2).put(3, [2], at=4)
    verdict = check(script.read([3], at=6, key="r0").history)
    assert verdict.outcome == "valid"
    assert verdict.evidence["superseded"] == 2


def test_a_write_seen_through_one_that_was_never_acknowledged_is_superseded_if_that_says_what_it_saw() -> None:
    script = Script().put(1, [], at=0).put(2, [1], at=2, process=1, type_="info")
    assert check(script.read([2], at=4, key="r0").history).outcome == "valid"


def test_final_reads_that_disagree_are_taken_together() -> None:
    script = Script().put(1, [], at=0).put(2, [], at=2).read([1], at=4, key="r0", node="n1")
    verdict = check(script.read([2], at=6, key="r0", node="n2").history)
    # Nothing is lost; but neither node shows what the other does, or anything that had seen it.
    assert (verdict.outcome, verdict.evidence["surviving"], verdict.evidence["missing"]) == ("unknown", 2, 2)


def test_what_the_last_final_reads_do_not_cover_is_lost_whatever_earlier_ones_returned() -> None:
    script = Script().put(1, [], at=0).read([1], at=2, key="r0").read([], at=4, key="r0").read([], at=6, key="r0")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.evidence["lost"], verdict.evidence["missing"]) == ("invalid", 1, 0)
    assert verdict.witness is not None
    assert "it was last read at 0.003 s (n1) and is gone from the read at 0.004 s (n1)" in verdict.witness.text


def test_the_witness_tells_when_what_had_replaced_a_lost_write_was_last_read() -> None:
    script = Script().put(1, [], at=0).read([1], at=2, key="r0").put(2, [1], at=4).read([2], at=6, key="r0")
    verdict = check(script.read([], at=8, key="r0").history)
    assert verdict.evidence["lost"] == 2
    assert verdict.witness is not None
    assert (
        "it was last read at 0.003 s (n1), and what had replaced it at 0.007 s (n1); the read at 0.008 s (n1) has neither"
        in verdict.witness.text
    )
    assert verdict.witness.events == (0, 1, 2, 3, 6, 7, 8, 9)


def vanishing(*last: list[int]) -> Script:
    script = Script().put(1, [], at=0).put(2, [], at=2, process=1, type_="info").read([1, 2], at=4, key="r0")
    for number, siblings in enumerate(last):
        script.read(siblings, at=6 + 2 * number, key="r0")
    return script


def test_an_unacknowledged_write_that_was_read_and_is_gone_is_doubtful_and_named() -> None:
    verdict = check(vanishing([1]).history)
    assert (verdict.outcome, verdict.evidence["vanished"], verdict.evidence["lost"]) == ("unknown", 1, 0)
    assert verdict.reason == (
        "1 write whose put is indeterminate was read, and was gone in the end: process 0 read 2 from r0 at 0.005 s (n1)"
    )
    assert verdict.evidence["keys"]["r0"]["vanished"] == 1


def test_an_unacknowledged_write_that_is_there_again_in_the_end_did_not_vanish() -> None:
    assert check(vanishing([1], [1, 2]).history).outcome == "valid"


def test_an_unacknowledged_write_that_may_have_been_replaced_did_not_vanish() -> None:
    # Nobody knows what 3 had seen, nor whether it was done; it was begun first, and is all that remains beside 1.
    script = Script().invoke(5, "put", "r0", {"write": 3}, at=0).put(1, [], at=1)
    script.put(2, [], at=3, process=1, type_="info").read([1, 2], at=5, key="r0").read([1, 3], at=7, key="r0")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.evidence["vanished"]) == ("valid", 0)


def test_what_is_lost_outranks_what_vanished() -> None:
    verdict = check(vanishing([]).history)
    assert (verdict.outcome, verdict.evidence["lost"], verdict.evidence["vanished"]) == ("invalid", 1, 1)


def disagreeing(stage: str) -> Script:
    script = Script().stage("load", at=0).put(1, [], at=1).put(2, [1], at=3).put(3, [], at=5).stage(stage, at=7)
    script.stage("final-reads", at=8).read([2, 3], at=9, key="r0", node="n1")
    return script.read([2], at=11, key="r0", node="n2")


def test_a_write_that_some_nodes_do_not_cover_after_convergence_is_missing_there() -> None:
    verdict = check(disagreeing("convergence").history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 acknowledged put missing from some final reads")
    assert (verdict.evidence["lost"], verdict.evidence["missing"]) == (0, 1)
    assert verdict.witness is not None
    assert verdict.witness.text.endswith(
        "the final read at 0.010 s (n1) shows it or what replaced it (2 and 3), and that at 0.012 s (n2) shows "
        "neither (2)"
    )
    assert verdict.witness.data["kind"] == "missing"


def test_a_write_that_some_nodes_do_not_cover_without_the_time_to_converge_is_doubtful() -> None:
    verdict = check(disagreeing("recovered").history)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "the final reads disagree: 1 acknowledged put missing from some of them"


def test_a_write_that_one_node_covers_and_another_may_cover_is_unprovable() -> None:
    script = Script().invoke(5, "put", "r0", {"write": 9}, at=0).put(1, [], at=1).read([1], at=3, key="r0", node="n1")
    verdict = check(script.read([9], at=5, key="r0", node="n2").history)
    assert (verdict.outcome, verdict.evidence["unprovable"], verdict.evidence["missing"]) == ("unknown", 1, 0)


def test_a_write_that_does_not_say_what_it_had_seen_may_have_seen_all_that_came_before_its_end() -> None:
    # Write 2 runs from 2 to 6 ms. 1 came before; 3 was invoked meanwhile; 4 only afterwards.
    script = Script().put(1, [], at=0).invoke(1, "put", "r0", {"write": 2}, at=2).put(3, [], at=4)
    script.complete(1, "info", {"write": 2}, at=6).put(4, [], at=8)
    verdict = check(script.read([2], at=10, key="r0").history)
    assert (verdict.evidence["unprovable"], verdict.evidence["lost"]) == (2, 1)
    assert verdict.outcome == "invalid"
    assert verdict.witness is not None
    assert verdict.witness.data["value"] == 4
    assert "write 2 (which does not say what it had seen)" in verdict.witness.text


def test_a_write_still_open_when_it_began_and_ended_late_may_have_been_seen_too() -> None:
    # Invoked before the vague write 2 ended, acknowledged after it: 2 may well have read it.
    script = Script().invoke(0, "put", "r0", {"write": 1}, at=0).invoke(1, "put", "r0", {"write": 2}, at=1)
    script.complete(1, "info", {"write": 2}, at=2).complete(0, "ok", {"write": 1, "seen": []}, at=3)
    verdict = check(script.read([2], at=4, key="r0").history)
    assert (verdict.outcome, verdict.evidence["unprovable"]) == ("unknown", 1)


def test_a_write_never_answered_may_have_seen_anything() -> None:
    script = Script().invoke(1, "put", "r0", {"write": 2}, at=0).put(1, [], at=2)
    verdict = check(script.read([2], at=4, key="r0").history)
    assert verdict.outcome == "unknown"
    assert verdict.reason.startswith("1 of 1 acknowledged put can't be judged")


def test_a_vague_write_that_nothing_descends_from_excuses_nothing() -> None:
    script = Script().put(1, [], at=0).put(2, None, at=2, process=1, type_="info").put(3, [], at=4)
    assert check(script.read([3], at=6, key="r0").history).evidence["lost"] == 1


def test_a_failed_write_that_another_had_seen_is_a_phantom() -> None:
    script = Script().put(1, [], at=0, type_="fail").put(2, [1], at=2)
    verdict = check(script.read([2], at=4, key="r0").history)
    assert (verdict.outcome, verdict.evidence["phantom"]) == ("invalid", 1)
    assert verdict.witness is not None
    assert "process 0 replaced write 1 of r0" in verdict.witness.text


def test_a_write_read_under_another_key_is_unexpected() -> None:
    script = Script().put(1, [], at=0).put(2, [], at=2, key="r1")
    verdict = check(script.read([1, 2], at=4, key="r0").read([2], at=6, key="r1").history)
    assert (verdict.outcome, verdict.evidence["unexpected"]) == ("invalid", 1)


def test_an_empty_final_read_has_lost_everything() -> None:
    verdict = check(Script().put(1, [], at=0).read([], at=4, key="r0").history)
    assert verdict.witness is not None
    assert "nothing remains" in verdict.witness.text


def test_no_final_read_is_unknown() -> None:
    verdict = check(Script().stage("load", at=0).put(1, [], at=1).read([], at=4, key="r0").history)
    assert (verdict.outcome, verdict.evidence["never_read"]) == ("unknown", 1)
    assert verdict.reason == "no final read of r0: the run ended before its final reads"


def test_no_acknowledged_put_is_unknown() -> None:
    assert check(Script().put(1, [], at=0, type_="fail").read([], at=4, key="r0").history).outcome == "unknown"


@pytest.mark.parametrize(
    ("script", "line", "problem"),
    [
        (Script().put(1, [], at=0).put(1, [], at=2), 3, "write 1 is put a second time; ids must be unique"),
        (Script().put(1, [2], at=0).put(2, [], at=2), 2, "had seen 2, which was invoked only after it was completed"),
        (Script().put(1, ["a"], at=0), 2, 'the "seen" of a put needs a list of write ids'),
        (Script().put(1, [], at=0).read({"a": 1}, at=2, key="r0"), 4, "an ok read needs a list of write ids"),
        (Script().invoke(0, "put", "r0", 5, at=0), 1, 'a put needs a value {"write": id}, has 5'),
    ],
)
def test_a_history_that_breaks_the_rules_of_versions_is_refused_with_its_line(
    script: Script, line: int, problem: str
) -> None:
    with pytest.raises(HistoryError, match=problem) as caught:
        check(script.history)
    assert caught.value.line == line


def test_the_witness_names_the_last_read_that_held_the_write_and_the_first_that_did_not() -> None:
    script = Script().put(1, [], at=0).read([1], at=10, key="r0").read([1], at=20, key="r0").put(2, [], at=30)
    verdict = check(script.read([2], at=40, key="r0").read([2], at=50, key="r0").history)
    assert verdict.witness is not None
    assert "it was last read at 0.021 s (n1) and is gone from the read at 0.040 s" in verdict.witness.text
    assert verdict.witness.events == (0, 1, 4, 5, 6, 7, 8, 9, 10, 11)
