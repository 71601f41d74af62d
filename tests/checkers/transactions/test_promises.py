"""What a verdict claims: of which models it can say valid, and what is taken for granted of registers for which promise."""

from __future__ import annotations

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import read_operations
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.registers.keys import kept_by
from tests.checkers.shared import SHARED, needs_histories
from tests.checkers.transactions.script import MicroOperation, Script


def in_turn(*transactions: list[MicroOperation]) -> History:
    """Each by a process of its own, one after the other."""
    script = Script()
    for process, did in enumerate(transactions):
        script.run(*did, process=process)
    return script.history


def at_once(*transactions: list[MicroOperation]) -> History:
    return Script().together(*transactions).history


STALE = in_turn([["w", "x", 1]], [["w", "x", 2]], [["r", "x", 2]], [["r", "x", 1]])
# Each reads what the other wrote, and then writes.
EACH_OTHER = at_once([["r", "x", 2], ["w", "x", 1]], [["r", "x", 1], ["w", "x", 2]])
CROSSED = at_once([["r", "x", 1], ["w", "x", 2], ["w", "y", 1]], [["w", "x", 1], ["r", "y", 1], ["w", "y", 2]])
LONG_FORK = at_once(
    [["append", "x", 1]], [["append", "y", 1]], [["r", "x", [1]], ["r", "y", []]], [["r", "x", []], ["r", "y", [1]]]
)
FRACTURED = in_turn([["append", "x", 1], ["append", "y", 1]], [["r", "x", [1]], ["r", "y", []]])


@pytest.mark.parametrize(
    ("history", "model"),
    [
        (FRACTURED, "monotonic-view"),
        (LONG_FORK, "parallel-snapshot-isolation"),
        (LONG_FORK, "forward-consistent-view"),
        (LONG_FORK, "update-serializable"),
    ],
)
def test_a_model_of_which_part_is_searched_for_is_never_called_valid(history: History, model: str) -> None:
    verdict = check(history, consistency=model)
    assert verdict.outcome == "unknown"
    assert verdict.reason.startswith(f"nothing against {model}, but only part of what it forbids is searched for")


def test_prefix_consistency_forbids_a_long_fork_and_says_who_did_not_see_whom() -> None:
    verdict = check(LONG_FORK, consistency="prefix")
    assert (verdict.outcome, verdict.evidence["not"]) == ("invalid", ["prefix"])
    assert "snapshot-isolation" in verdict.evidence["also_not"]
    assert "parallel-snapshot-isolation" not in verdict.evidence["also_not"]
    assert verdict.witness is not None
    assert [edge["type"] for edge in verdict.witness.data["edges"]] == ["saw", "unseen", "saw", "unseen"]
    assert check(LONG_FORK, consistency="causal").outcome == "valid"


def test_prefix_consistency_allows_a_lost_update_and_write_skew() -> None:
    lost = at_once([["r", "x", None], ["w", "x", 1]], [["r", "x", None], ["w", "x", 2]], [["r", "x", 2]])
    skew = at_once([["r", "x", []], ["append", "y", 1]], [["r", "y", []], ["append", "x", 1]])
    assert [check(each, consistency="prefix").outcome for each in (lost, skew)] == ["valid", "valid"]
    assert check(lost, consistency="snapshot-isolation").outcome == "invalid"


def test_the_prefix_of_a_session_has_its_own_writes() -> None:
    history = Script().run(["append", "x", 1]).run(["r", "x", []]).run(["r", "x", [1]], process=1).history
    assert check(history, consistency="prefix").outcome == "valid"
    assert check(history, consistency="prefix", session_order=True).outcome == "invalid"


def test_where_registers_leave_a_choice_the_versions_that_have_no_prefix_are_named() -> None:
    # Whichever of the two writes of x came first, one of the readers saw too much or too little.
    history = at_once(
        [["w", "x", 1], ["w", "a", 1]],
        [["w", "x", 2], ["w", "b", 1]],
        [["r", "x", 1], ["r", "b", 1]],
        [["r", "x", 2], ["r", "a", 1]],
    )
    verdict = check(history, consistency="prefix")
    assert verdict.outcome == "invalid" and verdict.witness is not None
    assert verdict.witness.text.startswith("no-order: these versions of a key can't be put in any order")
    assert verdict.reason == "not prefix: whichever order the versions of x came in, a cycle is left"


def test_what_follows_from_a_rule_that_was_vouched_for_speaks_against_no_model_that_does_not_keep_it() -> None:
    # In real time 1 was overwritten by 2, so who saw the writer of 2 could not read 1.
    history = in_turn([["w", "x", 1]], [["w", "x", 2], ["w", "y", 2]], [["r", "y", 2], ["r", "x", 1]], [["r", "x", 2]])
    assert check(history, consistency="causal").outcome == "valid"
    vouched = check(history, consistency="causal", keys="linearizable")
    assert "causal" not in (*vouched.evidence["not"], *vouched.evidence["also_not"])


def test_a_second_read_of_what_is_written_then_counts_for_cursor_stability_too() -> None:
    # It read 1 and then null again, before it wrote: 1 came between the second read and the write.
    history = at_once([["w", "x", 1]], [["r", "x", 1], ["r", "x", None], ["w", "x", 2]], [["r", "x", 2]])
    assert check(history, consistency="cursor-stability").outcome == "invalid"
    clean = at_once([["w", "x", 1]], [["r", "x", 1], ["r", "x", 1], ["w", "x", 2]], [["r", "x", 2]])
    assert check(clean, consistency="cursor-stability").outcome == "valid"


def test_parallel_snapshot_isolation_forbids_a_cycle_with_one_anti_dependency() -> None:
    history = at_once(
        [["append", "x", 1], ["append", "y", 1]], [["append", "x", 2], ["r", "y", []]], [["r", "x", [1, 2]]]
    )
    verdict = check(history, consistency="parallel-snapshot-isolation")
    assert (verdict.outcome, verdict.evidence["forbidden"]) == ("invalid", ["G-single"])


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("read-uncommitted", "own"),
        ("strong-read-uncommitted", "own"),
        ("read-committed", "wfr"),
        ("strong-read-committed", "wfr"),
        ("serializable", "wfr"),
        ("strong-session-snapshot-isolation", "sequential"),
        ("strong-session-serializable", "sequential"),
        ("strong-snapshot-isolation", "linearizable"),
        ("strict-serializable", "linearizable"),
        ("causal", "wfr"),
        ("linearizable", "own"),
    ],
)
def test_of_keys_is_taken_for_granted_what_the_promise_makes_certain(model: str, keys: str) -> None:
    assert kept_by(model) == keys


def test_a_stale_read_is_none_that_strict_serializability_allows() -> None:
    verdict = check(STALE)
    assert verdict.evidence["keys_are"] == "linearizable"
    assert (verdict.outcome, verdict.evidence["not"]) == ("invalid", ["strong-snapshot-isolation"])
    assert check(STALE, consistency="serializable").outcome == "valid"


def test_what_a_process_reads_after_its_own_write_is_no_older_if_sessions_are_strong() -> None:
    script = Script().run(["w", "x", 1]).run(["w", "x", 2]).run(["r", "x", 2]).run(["r", "x", 1])
    verdict = check(script.history, consistency="strong-session-serializable")
    assert (verdict.outcome, verdict.evidence["not"]) == ("invalid", ["strong-session-snapshot-isolation"])


@pytest.mark.parametrize("history", [EACH_OTHER, CROSSED])
def test_writes_need_not_follow_reads_where_uncommitted_data_may_be_read(history: History) -> None:
    """With the other order of versions there is no cycle of writes."""
    verdict = check(history, consistency="read-uncommitted")
    assert (verdict.outcome, verdict.evidence["anomaly_types"]) == ("valid", ["G1c"])
    for promise in ("read-committed", "strict-serializable"):
        verdict = check(history, consistency=promise)
        assert (verdict.outcome, verdict.evidence["not"]) == ("invalid", ["read-committed"])


def test_who_vouches_for_keys_has_a_verdict_given_that_and_other_models_are_not_ruled_out_by_it() -> None:
    verdict = check(STALE, consistency="read-uncommitted", keys="linearizable")
    assert verdict.reason == "not read-uncommitted: cyclic-versions (1), given linearizable keys"
    assert verdict.evidence["not"] == ["strong-snapshot-isolation"]


def test_an_anomaly_without_a_dependency_puts_nothing_that_allows_it_to_the_test() -> None:
    script = Script().run(["append", "x", 1], outcome="fail").run(["r", "x", [1]], process=1)
    verdict = check(script.history, consistency="read-uncommitted")
    assert (verdict.outcome, verdict.reason) == ("unknown", "no two transactions depend on each other")
    assert verdict.evidence["anomaly_types"] == ["G1a"]
    assert check(script.history).outcome == "invalid"


def test_versions_in_a_cycle_are_described_with_the_transactions_that_order_them() -> None:
    verdict = check(STALE)
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "cyclic-versions: the versions of x can't be put in order, given linearizable keys. "
        "1 came before 2: transaction 0 (process 0, 0.000 s to 0.001 s) left it so, and was over before transaction 2 "
        "(process 2, 0.004 s to 0.005 s) began, which found the other. "
        "But 2 came before 1: transaction 1 (process 1, 0.002 s to 0.003 s) left it so, and was over before transaction 3 "
        "(process 3, 0.006 s to 0.007 s) began, which found the other"
    )
    assert [node["operation"] for node in verdict.witness.data["nodes"]] == [0, 2, 1, 3]


def test_an_anti_dependency_on_what_the_same_process_wrote_before_is_a_stale_read() -> None:
    script = Script().run(["append", "x", 1]).run(["r", "x", []]).run(["r", "x", [1]], process=1)
    verdict = check(script.history)
    assert verdict.witness is not None
    assert "G-single-process (a stale read: the reader's own process had overwritten it before)" in verdict.witness.text


@pytest.mark.parametrize(
    ("history", "anomalies"),
    [
        # Elle's own: nobody wrote 0, which both can have found there.
        (at_once([["r", "x", 0], ["w", "x", 1]], [["r", "x", 0], ["w", "x", 2]]), ["lost-update", "G2-item"]),
        (at_once([["r", "x", 0]], [["r", "x", 9]], [["w", "x", 1]]), ["garbage-read"]),  # It began as one of them.
        (at_once([["r", "x", 0]], [["r", "x", None]], [["w", "x", 1]]), ["garbage-read"]),
        (in_turn([["w", "x", 1]], [["r", "x", 0]]), ["garbage-read"]),  # It can't have begun after a write was over.
        (at_once([["r", "x", 1], ["r", "x", 0]], [["w", "x", 1]]), ["garbage-read", "internal"]),
        (at_once([["w", "x", 1], ["r", "x", 0]]), ["garbage-read", "internal"]),
        (at_once([["r", "x", False]], [["r", "x", 0]], [["w", "x", 1]]), ["garbage-read"]),
    ],
)
def test_a_value_that_nobody_wrote_is_the_initial_one_if_it_can_be(history: History, anomalies: list[str]) -> None:
    assert check(history).evidence["anomaly_types"] == anomalies


def test_a_crashed_transaction_may_take_effect_after_those_that_did_not_see_it() -> None:
    for write, nothing, seen in (("append", [], [1]), ("w", None, 1)):
        script = Script().run([write, "x", 1], outcome="info").run(["r", "x", nothing], process=1)
        assert check(script.run(["r", "x", seen], process=2).history).outcome == "valid"


@needs_histories
def test_what_others_report_of_elle_s_huge_component_is_implied() -> None:
    with (SHARED / "elle" / "huge-scc.edn").open("rb") as lines:
        verdict = check(read_operations(lines))
    assert {"G-nonadjacent-realtime", "G2-item-realtime"} <= set(verdict.evidence["implied_types"])
    assert "strong-snapshot-isolation" in verdict.evidence["not"]
