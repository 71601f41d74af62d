"""The verdict: what it says, in which order, and where it stops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import transaction_histories
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import read_operations
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.micro_operations import parse
from tests.checkers.shared import SHARED, needs_histories
from tests.checkers.transactions.script import Script

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "checkers" / "golden" / "transactions"


def golden(name: str) -> History:
    with (GOLDEN / f"{name}.jsonl").open("rb") as lines:
        return History.parse(lines)


def test_a_cycle_is_explained_so_that_a_person_can_follow() -> None:
    verdict = check(golden("G-single-realtime"))
    assert verdict.witness is not None
    assert verdict.reason == "not strict-serializable: G-single-realtime (1)"
    assert verdict.witness.text == (
        "G-single-realtime (a stale read: what overwrote it was over before the reader began): 2 transactions, each of which must come before the next. "
        "T1 is transaction 1 (process 1, 0.002 s to 0.003 s): read x as []. "
        "T2 is transaction 0 (process 0, 0.000 s to 0.001 s): append 1 to x. "
        "T1 comes before T2: T1 read x as [], without the 1 that T2 appended. "
        "But T2 comes before T1: T2 was over at 0.001 s, before T1 began at 0.002 s. "
        "They can't all be true: a contradiction."
    )
    assert verdict.witness.events == (0, 1, 2, 3)


def test_a_cycle_is_data_that_can_be_drawn() -> None:
    verdict = check(golden("G1c"))
    assert verdict.witness is not None
    data = verdict.witness.data
    assert data["anomaly"] == "G1c"
    assert [(node["name"], node["operation"], node["process"]) for node in data["nodes"]] == [
        ("T1", 0, 0),
        ("T2", 1, 1),
    ]
    assert data["nodes"][0]["micro_operations"] == [
        {"f": "append", "key": "x", "value": 1},
        {"f": "r", "key": "y", "value": [1]},
    ]
    edges = [(edge["from"], edge["to"], edge["type"], edge["key"], edge["value"]) for edge in data["edges"]]
    assert edges == [("T1", "T2", "wr", "x", 1), ("T2", "T1", "wr", "y", 1)]
    assert msgspec.json.decode(msgspec.json.encode(verdict.as_dict()))["verdict"] == "invalid"


@pytest.mark.parametrize(
    ("file", "options", "phrase"),
    [
        (
            "G1a",
            {},
            "G1a: transaction 0 (process 0, 0.000 s to 0.001 s, failed) appended 1 to x and aborted; but",
        ),
        ("G1b", {}, "which ends with 1. But transaction 0 (process 0, 0.000 s to 0.002 s) appended 2 to x as well"),
        ("internal", {}, "appended 1 to x, and then read x as [], which does not end so"),
        ("future-read", {}, "read x as [1], with 1, which it appended only afterwards"),
        ("garbage-read", {}, "read x as [1, 2], where 2 is, which nobody ever appended to it"),
        ("duplicate-elements", {}, "read x as [1, 1], where 1 is twice"),
        (
            "cyclic-versions",
            {},
            "appended 1 to x and then 2; but transaction 1 (process 1, 0.002 s to 0.003 s) read x as [2]",
        ),
        ("incompatible-order", {}, "They part at element 1"),
        ("dirty-update", {"consistency": "read-committed"}, "G1a: "),
        (
            "lost-update",
            {},
            "of those who read x as [], transaction 0 (process 0, 0.000 s to 0.002 s) appended to it, 1",
        ),
        ("registers-G1b", {}, "wrote that, and then 2, and so never left it like this"),
        (
            "registers-cyclic-versions",
            {"keys": "sequential"},
            "given sequential keys. 1 came before 2: transaction 0 (process 0, 0.000 s to 0.001 s) left it so, and then the "
            "same process ran transaction 1 (process 0, 0.002 s to 0.003 s), which found the other. But 2 came before 1: ",
        ),
        ("registers-sequential", {"keys": "sequential"}, "as one process met them in this order"),
        ("registers-wfr", {}, "T1 read y as 1, which the 2 of T2 came after"),
    ],
)
def test_an_anomaly_is_described_with_its_values(file: str, options: dict[str, str], phrase: str) -> None:
    verdict = check(golden(file), **options)  # type: ignore[arg-type]
    assert verdict.witness is not None
    assert phrase.lower() in verdict.witness.text.lower()


def test_the_worst_anomaly_is_the_witness_and_all_are_in_the_evidence() -> None:
    script = Script().together([["r", "x", []], ["append", "y", 1]], [["r", "y", []], ["append", "x", 1]])
    verdict = check(script.run(["append", "z", 1], process=3).run(["r", "z", [1, 1]], process=3).history)
    assert verdict.witness is not None
    assert verdict.witness.data["anomaly"] == "duplicate-elements"
    assert list(verdict.evidence["anomalies"]) == ["duplicate-elements", "G2-item"]
    assert verdict.evidence["anomalies"]["G2-item"]["count"] == 2
    assert verdict.evidence["anomalies"]["G2-item"]["components"] == 1


def test_an_anomaly_that_the_model_allows_leaves_the_history_valid_but_is_reported() -> None:
    verdict = check(golden("G2-item"), consistency="snapshot-isolation")
    assert verdict.outcome == "valid"
    assert "G2-item is there, which it allows" in verdict.reason
    assert verdict.evidence["anomalies"]["G2-item"]["forbidden"] is False
    assert verdict.evidence["also_not"] == [
        "serializable",
        "strong-session-serializable",
        "strict-serializable",
    ]


def test_a_model_of_which_nothing_can_be_said_is_unknown() -> None:
    verdict = check(golden("serializable"), consistency="linearizable")
    assert verdict.outcome == "unknown"
    assert "linearizable forbids nothing" in verdict.reason


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("nothing-succeeded", "no transaction succeeded"),
        ("nothing-read", "no transaction that succeeded read anything"),
        ("nothing-shared", "no two transactions depend on each other"),
    ],
)
def test_nothing_to_judge_is_unknown_and_says_why(file: str, why: str) -> None:
    verdict = check(golden(file))
    assert (verdict.outcome, verdict.reason) == ("unknown", why)


def test_an_empty_history_is_unknown() -> None:
    assert check(History([])).outcome == "unknown"


def test_a_consistency_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no consistency model 'strict'"):
        check(golden("G0"), consistency="strict")


def test_out_of_memory_before_anything_was_found_is_unknown_and_says_how_far_it_came() -> None:
    history = transaction_histories.list_append(2000)
    verdict = check(history, memory_mb=0.001)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "the memory limit of 0.001 MB was reached before the order of versions"
    verdict = check(history, memory_mb=1)
    assert (verdict.outcome, verdict.evidence["stopped_before"]) == ("unknown", "cycles")
    assert check(history, memory_mb=100).outcome == "valid"


def test_out_of_time_is_unknown() -> None:
    verdict = check(transaction_histories.list_append(500), timeout_s=1e-9)
    assert verdict.outcome == "unknown"
    assert verdict.evidence["stopped"] == "the time limit of 1e-09 s was reached"


def test_what_was_found_before_the_budget_ran_out_stands() -> None:
    history = transaction_histories.list_append(2000, store="suffix")
    verdict = check(history, memory_mb=1)
    assert verdict.outcome == "invalid"
    assert "so there may be more" in verdict.reason
    assert set(verdict.evidence["anomaly_types"]) < set(check(history).evidence["anomaly_types"])


def test_a_long_cycle_is_found_whole_and_shown_in_part() -> None:
    """A single read skew around a ring of 300 transactions: searches for short cycles give up on such."""
    ring = [[["append", "ring", number]] for number in range(300)]
    ring[0].append(["append", "anti", 1])
    ring[-1].append(["r", "anti", []])
    verdict = check(Script().together(*ring, [["r", "ring", list(range(300))]]).history)
    assert verdict.evidence["anomaly_types"] == ["G-single"]
    assert verdict.witness is not None
    assert verdict.witness.data["length"] == 300
    assert len(verdict.witness.data["nodes"]) == 200
    assert len(verdict.witness.text) < 4000
    names = {node["name"] for node in verdict.witness.data["nodes"]}
    assert all({edge["from"], edge["to"]} <= names for edge in verdict.witness.data["edges"])


def test_readers_of_a_list_that_never_fills_don_t_make_the_graph_quadratic() -> None:
    """Of 3,000 transactions each appends and reads an empty list: nine million anti-dependencies, were they pairs."""
    transactions = [[["r", "x", []], ["append", "y", number]] for number in range(3000)]
    transactions[0] = [["r", "y", []], ["append", "x", 0]]
    verdict = check(Script().together(*transactions).history, memory_mb=10)
    assert verdict.evidence["anomaly_types"] == ["G2-item"]
    assert verdict.evidence["anomalies"]["G2-item"]["count"] == 3000


def test_a_crashed_transaction_that_was_seen_committed_all_it_wrote() -> None:
    script = Script().run(["append", "x", 1], ["append", "y", 1], outcome="info")
    script.run(["r", "x", [1]], process=1).run(["r", "y", []], process=1)
    verdict = check(script.history)
    assert verdict.evidence["transactions"]["crashed_and_seen"] == 1
    assert verdict.evidence["anomaly_types"] == ["G-single-process"]


def test_a_transaction_without_completion_is_a_crashed_one() -> None:
    script = Script().event(0, "invoke", [["append", "x", 1]]).run(["r", "x", [1]], process=1)
    verdict = check(script.run(["r", "x", []], process=2).history)
    assert verdict.evidence["transactions"] == {
        "ok": 2, "failed": 0, "crashed": 1, "crashed_and_seen": 1, "on_cycles": 2 + 1,
    }  # fmt: skip
    assert verdict.evidence["anomaly_types"] == ["G-single-realtime"]


@pytest.mark.parametrize("store", ["strict-serializable", "snapshot-isolation", "suffix"])
def test_the_benchmarks_stores_are_what_they_claim(store: str) -> None:
    verdict = check(transaction_histories.list_append(3000, store=store))  # type: ignore[arg-type]
    ruled_out = {*verdict.evidence["not"], *verdict.evidence["also_not"]}
    match store:
        case "strict-serializable":
            assert verdict.outcome == "valid"
        case "snapshot-isolation":
            assert verdict.evidence["anomaly_types"][0] == "G2-item"
            assert "strong-snapshot-isolation" not in ruled_out
        case _:
            assert "snapshot-isolation" in ruled_out


@pytest.mark.parametrize("keys", ["wfr", "sequential", "linearizable"])
def test_registers_of_a_strict_store_have_keys_of_every_kind(keys: str) -> None:
    verdict = check(transaction_histories.rw_register(3000), keys=keys)  # type: ignore[arg-type]
    assert verdict.outcome == "valid", verdict.reason


def test_the_verdict_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from benchmarks import transaction_histories as made\n"
        "from splitbrain.checkers.transactions import check\n"
        "import hashlib, json\n"
        "told = json.dumps(check(made.list_append(600, store='suffix')).as_dict())\n"
        "print(hashlib.sha256(told.encode()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


@needs_histories
def test_elle_s_huge_component_rules_out_strong_snapshot_isolation() -> None:
    with (SHARED / "elle" / "huge-scc.edn").open("rb") as lines:
        verdict = check(read_operations(lines))
    assert verdict.outcome == "invalid"
    assert verdict.evidence["not"] == ["strong-snapshot-isolation"]
    assert verdict.evidence["transactions"]["on_cycles"] > 1000
    assert verdict.evidence["anomaly_types"] == ["G-single-realtime"]


@needs_histories
def test_elle_s_huge_component_has_thousands_of_transactions() -> None:
    with (SHARED / "elle" / "huge-scc.edn").open("rb") as lines:
        assert len(parse(read_operations(lines))) == 10254
