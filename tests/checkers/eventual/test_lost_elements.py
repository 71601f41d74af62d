from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from splitbrain.checkers import HistoryError, Verdict
from splitbrain.checkers.eventual.lost_elements import check
from tests.checkers.script import Script


def counts(verdict: Verdict, *names: str) -> list[int]:
    return [verdict.evidence[name] for name in names]


def test_an_acknowledged_add_missing_from_the_final_read_is_lost() -> None:
    verdict = check(Script().add(1, at=0).add(2, at=2).read([2], at=4).history)
    assert verdict.outcome == "invalid"
    assert verdict.reason == "1 of 2 acknowledged adds lost"
    assert counts(verdict, "lost", "survivors") == [1, 1]


def test_an_add_that_nobody_acknowledged_may_be_absent_or_present() -> None:
    script = Script().add(1, at=0).add(2, at=2, process=1, type_="info").invoke(2, "add", "s0", 3, at=4)
    for value, recovered in (([1], 0), ([1, 2], 1), ([1, 2, 3], 2)):
        once = Script()
        once.events = list(script.events)
        verdict = check(once.read(value, at=6).history)
        assert verdict.outcome == "valid"
        assert counts(verdict, "indeterminate", "recovered") == [2, recovered]


def test_an_add_that_failed_may_be_added_again() -> None:
    verdict = check(Script().add(1, at=0, type_="fail").add(1, at=2).read([1], at=4).history)
    assert verdict.outcome == "valid"
    assert counts(verdict, "attempted", "acknowledged", "failed", "phantom") == [1, 1, 0, 0]


def test_an_acknowledgement_is_not_taken_back_by_a_later_add_of_the_same_element_that_failed() -> None:
    verdict = check(Script().add(1, at=0).add(1, at=2, type_="fail").read([], at=4).history)
    assert counts(verdict, "acknowledged", "lost") == [1, 1]


def test_an_element_read_under_another_key_is_unexpected_there_and_its_own_key_is_named() -> None:
    script = Script().add(1, at=0).add(2, at=2, key="s1").read([1, 2], at=4).read([2], at=6, key="s1")
    verdict = check(script.history)
    assert counts(verdict, "unexpected", "lost") == [1, 0]
    assert verdict.witness is not None
    assert verdict.witness.text.endswith("which nobody added to it; it was added to s1")


def test_keys_without_a_final_read_are_named_and_make_it_unknown() -> None:
    script = Script().stage("load", at=0).add(1, at=1).add(2, at=3, key="s1").stage("final-reads", at=5)
    verdict = check(script.read([1], at=6).history)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "no final read of s1: it was not read after the last acknowledged write"
    assert counts(verdict, "never_read") == [1]


def test_a_loss_on_one_key_is_not_hidden_by_another_that_was_never_read() -> None:
    script = Script().stage("load", at=0).add(1, at=1).add(2, at=3, key="s1").stage("final-reads", at=5)
    assert check(script.read([], at=6).history).outcome == "invalid"


def test_nothing_acknowledged_is_unknown() -> None:
    verdict = check(Script().add(1, at=0, type_="fail").read([], at=4).history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "no add was acknowledged, so none can be lost")
    assert verdict.evidence["lost_fraction"] is None


def test_a_read_that_began_before_the_acknowledgement_proves_nothing() -> None:
    # The read runs from 1 to 9 ms, the add is acknowledged at 5: the read may have come first.
    script = Script().invoke(0, "add", "s0", 1, at=0).invoke(1, "read", "s0", at=1)
    script.complete(0, "ok", 1, at=5).complete(1, "ok", [], at=9)
    verdict = check(script.read([1], at=10).history)
    assert verdict.outcome == "valid"
    assert counts(verdict, "stale") == [0]


def test_stable_latency_lasts_until_the_last_read_that_lacks_the_element_was_invoked() -> None:
    script = Script().add(1, at=0).read([], at=11).read([1], at=20).read([], at=31).read([1], at=40)
    verdict = check(script.history)
    assert counts(verdict, "lost", "stale") == [0, 1]
    # Every read is after the last acknowledged add, so all four are final: present in some only.
    assert counts(verdict, "unstable") == [1]
    staged = Script().stage("load", at=0).add(1, at=0).read([], at=11).read([1], at=20).read([], at=31)
    verdict = check(staged.stage("final-reads", at=35).read([1], at=40).history)
    assert verdict.evidence["stable_latency_ms"]["max"] == 30.0  # Acknowledged at 1 ms, lacking at 31.


def test_lost_latency_lasts_until_the_last_read_that_held_the_element_was_invoked() -> None:
    script = Script().stage("load", at=0).add(1, at=0).read([1], at=21).stage("final-reads", at=30)
    verdict = check(script.read([], at=40).history)
    assert verdict.evidence["lost_latency_ms"]["max"] == 20.0
    assert verdict.evidence["stable_latency_ms"] == {}


def test_the_witness_of_an_element_that_no_read_ever_held_says_so() -> None:
    verdict = check(Script().add(1, at=0).read([], at=4).history)
    assert verdict.witness is not None
    assert "it was in no read at any time; the final read (through n1) lacks it" in verdict.witness.text
    assert "no fault stood meanwhile" in verdict.witness.text


def test_the_witness_is_the_lost_element_acknowledged_first_and_lists_at_most_a_hundred() -> None:
    script = Script()
    for element in range(150):
        script.add(element, at=element * 2, process=element % 3, node=f"n{element % 3}")
    verdict = check(script.read([149], at=400).history)
    assert verdict.evidence["lost"] == 149
    assert verdict.witness is not None
    listed = verdict.witness.data["lost"]
    assert [entry["value"] for entry in listed] == list(range(100))
    assert verdict.witness.data["value"] == 0


def disagreeing(stage: str) -> Script:
    script = Script().stage("load", at=0).add(1, at=1).add(2, at=3).stage(stage, "final-reads", at=5)
    return script.read([1, 2], at=6, node="n1").read([2], at=8, node="n2")


def test_an_add_missing_from_some_final_reads_after_convergence_is_invalid() -> None:
    verdict = check(disagreeing("convergence").history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 acknowledged add missing from some final reads")
    assert counts(verdict, "lost", "missing", "survivors") == [0, 1, 2]
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 0 was told at 0.002 s (n1) that 1 was added to s0; the final read at 0.007 s (n1) holds it and that "
        "at 0.009 s (n2) lacks it"
    )
    assert verdict.witness.events == (1, 2, 7, 8, 9, 10)


def test_an_add_missing_from_some_final_reads_without_the_time_to_converge_is_doubtful() -> None:
    verdict = check(disagreeing("recovered").history)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "the final reads disagree: 1 acknowledged add missing from some of them"


def test_only_the_last_final_read_of_each_node_counts_for_what_is_missing() -> None:
    script = disagreeing("convergence").read([1, 2], at=10, node="n2")
    assert (check(script.history).outcome, *counts(check(script.history), "unstable", "missing")) == ("valid", 1, 0)


def test_what_is_lost_outranks_what_is_missing_and_both_are_reported() -> None:
    script = Script().stage("load", at=0).add(1, at=1).add(2, at=3).add(3, at=5).stage("convergence", at=7)
    script.stage("final-reads", at=8).read([2, 3], at=9, node="n1").read([3], at=11, node="n2")
    verdict = check(script.history)
    assert verdict.reason == "1 of 3 acknowledged adds lost; 1 acknowledged add missing from some final reads"
    assert verdict.witness is not None
    assert verdict.witness.data["kind"] == "lost"


def test_what_the_last_final_reads_lack_is_lost_whatever_earlier_ones_held() -> None:
    # Jepsen's set-full: write, present, missing. 0 and 1 are added at once; then [1], [0, 1], [0] and nothing are read.
    script = Script().invoke(0, "add", None, 0, at=0).invoke(1, "add", None, 1, at=1).invoke(2, "read", None, at=2)
    script.complete(2, "ok", [1], at=3).complete(0, "ok", 0, at=4).complete(1, "ok", 1, at=5)
    for at, value in ((6, [0, 1]), (8, [0]), (10, [])):
        script.invoke(2, "read", None, at=at).complete(2, "ok", value, at=at + 1)
    verdict = check(script.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "2 of 2 acknowledged adds lost")
    assert counts(verdict, "lost", "survivors", "missing", "unstable") == [2, 0, 0, 0]
    assert verdict.witness is not None
    assert [entry["value"] for entry in verdict.witness.data["lost"]] == [0, 1]
    assert "is gone from the read at 0.010 s; the last final read (through n1) lacks it" in verdict.witness.text


def test_what_the_last_word_of_one_node_still_holds_is_missing_and_not_lost() -> None:
    script = Script().stage("load", at=0).add(1, at=1).stage("convergence", "final-reads", at=3)
    script.read([1], at=4, node="n1").read([1], at=6, node="n2").read([], at=8, node="n2")
    verdict = check(script.history)
    assert (verdict.outcome, *counts(verdict, "lost", "missing", "survivors")) == ("invalid", 0, 1, 1)
    assert verdict.witness is not None
    assert verdict.witness.text.endswith("the final read at 0.005 s (n1) holds it and that at 0.009 s (n2) lacks it")


def vanishing(*last: tuple[str, list[int]]) -> Script:
    script = Script().stage("load", at=0).add(1, at=1).add(2, at=3, process=1, type_="info").read([1, 2], at=5)
    script.stage("convergence", "final-reads", at=7)
    for number, (node, value) in enumerate(last):
        script.read(value, at=8 + 2 * number, node=node)
    return script


def test_an_unacknowledged_element_that_was_read_and_is_gone_is_doubtful_and_named() -> None:
    verdict = check(vanishing(("n1", [1]), ("n2", [1])).history)
    assert (verdict.outcome, *counts(verdict, "vanished", "recovered", "lost")) == ("unknown", 1, 0, 0)
    assert verdict.reason == (
        "1 element whose add is indeterminate was read, and was gone in the end: process 0 read 2 "
        "from s0 at 0.006 s (n1)"
    )
    assert verdict.evidence["keys"]["s0"]["vanished"] == 1


def test_an_unacknowledged_element_that_some_node_still_has_did_not_vanish() -> None:
    verdict = check(vanishing(("n1", [1]), ("n2", [1, 2])).history)
    assert (verdict.outcome, *counts(verdict, "vanished", "recovered")) == ("valid", 0, 1)


def test_what_is_lost_outranks_what_vanished() -> None:
    verdict = check(vanishing(("n1", [])).history)
    assert (verdict.outcome, *counts(verdict, "lost", "vanished")) == ("invalid", 1, 1)


def test_an_element_never_acknowledged_nor_read_again_where_no_final_read_is_has_not_vanished() -> None:
    script = Script().stage("load", at=0).add(2, at=3, process=1, type_="info").read([2], at=5)
    assert counts(check(script.history), "vanished") == [0]


def test_the_number_and_the_string_are_counted_under_names_of_their_own() -> None:
    script = Script()
    for at, key in ((0, 1), (10, "1")):
        script.invoke(0, "add", key, 5, at=at).complete(0, "ok", 5, at=at + 1)  # type: ignore[arg-type]
        script.invoke(0, "read", key, at=at + 2).complete(0, "ok", [5], at=at + 3)  # type: ignore[arg-type]
    assert list(check(script.history).evidence["keys"]) == ["1", '"1"']


def test_counts_are_given_by_key_too() -> None:
    script = Script().add(1, at=0).add(2, at=2, key="s1").read([1], at=4).read([], at=6, key="s1")
    keys = check(script.history).evidence["keys"]
    assert {key: (each["acknowledged"], each["lost"]) for key, each in keys.items()} == {"s0": (1, 0), "s1": (1, 1)}


def test_a_history_of_one_set_needs_no_key() -> None:
    script = Script().invoke(0, "add", None, 1, at=0).complete(0, "ok", 1, at=1)
    script.invoke(0, "read", None, at=2).complete(0, "ok", [1], at=3)
    assert check(script.history).evidence["keys"]["the only key"]["survivors"] == 1


@pytest.mark.parametrize(
    ("script", "line", "problem"),
    [
        (Script().add(1, at=0).read(5, at=2), 4, "an ok read of a set needs a list, has 5"),
        (Script().add(1, at=0).read({"1": 1}, at=2), 4, "an ok read of a set needs a list"),
    ],
)
def test_a_value_that_is_no_set_is_refused_with_its_line(script: Script, line: int, problem: str) -> None:
    with pytest.raises(HistoryError, match=problem) as caught:
        check(script.history)
    assert caught.value.line == line


@pytest.mark.parametrize("element", [[7, 0], {"a": 1, "b": [2]}, 1.5, True, None, [], ""])
def test_any_value_is_an_element_of_a_set(element: object) -> None:
    """Each is lost if no read holds it, and what a read holds in its place was added by nobody."""
    assert check(Script().add(element, at=0).read([element], at=2).history).outcome == "valid"
    other = check(Script().add(element, at=0).read([7], at=2).history)
    assert (other.evidence["lost"], other.evidence["unexpected"]) == (1, 1)
    assert other.witness is not None
    assert other.witness.data["value"] == element
    assert json.loads(json.dumps(other.as_dict()))["witness"]["data"]["lost"][0]["value"] == element


@pytest.mark.parametrize(
    ("added", "read"), [(1, True), (True, 1), (1, "1"), (1, 1.0), ([1], [True]), ([7, 0], "[7, 0]")]
)
def test_elements_that_are_not_the_same_json_are_two(added: object, read: object) -> None:
    verdict = check(Script().add(added, at=0).read([read], at=2).history)
    assert (verdict.evidence["lost"], verdict.evidence["unexpected"]) == (1, 1)


def test_the_witness_is_the_same_whatever_the_order_of_a_set_of_strings_is() -> None:
    program = (
        "from checkers import Event, History, check\n"
        "names = [f'v{n}' for n in range(50)]\n"
        "events = [Event(0, 0, 0, 'invoke', 'add', 's', 'a'), Event(1, 1, 0, 'ok', 'add', 's', 'a')]\n"
        "events += [Event(2, 2, 0, 'invoke', 'read', 's'), Event(3, 3, 0, 'ok', 'read', 's', ['a', *names])]\n"
        "print(check('lost-writes', History(events)).as_dict())\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert b"read v0 from s" in printed.pop()
