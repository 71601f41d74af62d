"""Golden histories of transactions: the smallest that shows an anomaly, beside a neighbour that doesn't. By hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from splitbrain.checkers import History
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.anomalies import MEANING

GOLDEN = Path(__file__).parents[1] / "golden" / "transactions"
SESSION = "strong-session-snapshot-isolation"
SKEW = ["consistent-view", "repeatable-read", "parallel-snapshot-isolation"]
CURSOR, CS_MAV = {"consistency": "cursor-stability"}, ["cursor-stability", "monotonic-atomic-view"]
MAV, CAUSAL = {"consistency": "monotonic-atomic-view"}, {"consistency": "causal"}
WFR, SEQUENTIAL, LINEARIZABLE = {"keys": "wfr"}, {"keys": "sequential"}, {"keys": "linearizable"}

# file, options, outcome, all anomalies, weakest models ruled out
CASES: list[tuple[str, dict[str, Any], str, list[str], list[str]]] = [
    ("serializable", {}, "valid", [], []),
    # x says that 1 came first, y that 2 did.
    ("G0", {}, "invalid", ["G0"], ["read-uncommitted"]),
    ("G0-not", {}, "valid", [], []),
    # One process appended 2 and then 1, and they are in the other order.
    ("G0-process", {}, "invalid", ["G0-process"], ["strong-session-read-uncommitted"]),
    ("G0-process", {"consistency": "serializable"}, "valid", ["G0-process"], ["strong-session-read-uncommitted"]),
    ("G0-process-not", {}, "valid", [], []),
    ("G0-realtime", {}, "invalid", ["G0-realtime"], ["strong-read-uncommitted"]),
    (
        "G0-realtime",
        {"consistency": "strong-session-serializable"},
        "valid",
        ["G0-realtime"],
        ["strong-read-uncommitted"],
    ),
    ("G1a", {}, "invalid", ["G1a"], ["read-committed"]),
    ("G1a", {"consistency": "read-uncommitted"}, "unknown", ["G1a"], ["read-committed"]),
    # A crashed transaction may have committed: to read it is to know.
    ("G1a-not", {}, "valid", [], []),
    # To see the first of two appends of one transaction is not to see the second.
    ("G1b", {}, "invalid", ["G1b", "G-single"], ["read-committed"]),
    ("G1b-not", {}, "valid", [], []),
    ("G1c", {}, "invalid", ["G1c"], ["read-committed"]),
    ("G1c-not", {}, "valid", [], []),
    # The second process reads what followed from its own later append.
    ("G1c-process", {}, "invalid", ["G1c-process"], ["strong-session-read-committed"]),
    ("G1c-realtime", {}, "invalid", ["G1c-realtime"], ["strong-read-committed"]),
    ("G-single", {}, "invalid", ["G-single"], SKEW),
    ("G-single", {"consistency": "read-committed"}, "valid", ["G-single"], SKEW),
    ("G-single-not", {}, "valid", [], []),
    ("G-single-process", {}, "invalid", ["G-single-process"], [SESSION]),
    ("G-single-realtime", {}, "invalid", ["G-single-realtime"], ["strong-snapshot-isolation"]),
    ("G-single-realtime", {"consistency": SESSION}, "valid", ["G-single-realtime"], ["strong-snapshot-isolation"]),
    # Long fork: two readers see two appends in opposite orders.
    ("G-nonadjacent", {}, "invalid", ["G-nonadjacent"], ["repeatable-read", "snapshot-isolation"]),
    ("G-nonadjacent-not", {}, "valid", [], []),
    ("G-nonadjacent-process", {}, "invalid", ["G-nonadjacent-process"], [SESSION]),
    ("G-nonadjacent-realtime", {}, "invalid", ["G-nonadjacent-realtime"], ["strong-snapshot-isolation"]),
    ("G-nonadjacent-overlapping", {}, "valid", [], []),
    # Write skew.
    ("G2-item", {}, "invalid", ["G2-item"], ["repeatable-read"]),
    ("G2-item", {"consistency": "snapshot-isolation"}, "valid", ["G2-item"], ["repeatable-read"]),
    ("G2-item", {"consistency": "PL-2.99"}, "invalid", ["G2-item"], ["repeatable-read"]),
    ("G2-item-not", {}, "valid", [], []),
    ("G2-item-process", {}, "invalid", ["G2-item-process"], ["strong-session-serializable"]),
    ("G2-item-realtime", {}, "invalid", ["G2-item-realtime"], ["strict-serializable"]),
    ("G2-item-overlapping", {}, "valid", [], []),
    ("lost-update", {}, "invalid", ["lost-update", "G2-item"], ["cursor-stability", "ROLA"]),
    ("lost-update-not", {}, "valid", [], []),
    ("dirty-update", {}, "invalid", ["G1a", "dirty-update"], ["read-committed"]),
    # The aborted append is the last: nobody built on it.
    ("dirty-update-not", {}, "invalid", ["G1a"], ["read-committed"]),
    ("internal", {}, "invalid", ["internal"], ["read-atomic"]),
    ("internal-not", {}, "valid", [], []),
    ("future-read", {}, "invalid", ["future-read"], ["read-committed"]),
    ("incompatible-order", {}, "invalid", ["incompatible-order"], ["read-committed"]),
    ("incompatible-order-not", {}, "valid", [], []),
    ("duplicate-elements", {}, "invalid", ["duplicate-elements"], ["read-uncommitted"]),
    ("garbage-read", {}, "invalid", ["garbage-read"], ["read-uncommitted"]),
    # The second of its appends is there, and the first is not before it.
    ("cyclic-versions", {}, "invalid", ["cyclic-versions", "G-single"], ["read-uncommitted"]),
    ("cyclic-versions-not", {}, "valid", [], []),
    # Nobody saw the crashed append, so nothing follows from it; then one of two of its appends was seen.
    ("crashed-unseen", {}, "unknown", [], []),
    ("crashed-seen", {}, "invalid", ["G-single"], SKEW),
    ("nothing-read", {}, "unknown", [], []),
    ("nothing-shared", {}, "unknown", [], []),
    ("nothing-succeeded", {}, "unknown", [], []),
    ("registers-serializable", LINEARIZABLE, "valid", [], []),
    ("registers-G1a", {}, "invalid", ["G1a"], ["read-committed"]),
    ("registers-G1b", {}, "invalid", ["G1b", "G-single"], ["read-committed"]),
    ("registers-G1c", {}, "invalid", ["G1c"], ["read-committed"]),
    ("registers-garbage-read", {}, "invalid", ["garbage-read"], ["read-uncommitted"]),
    ("registers-internal", {}, "invalid", ["internal"], ["read-atomic"]),
    ("registers-future-read", {}, "invalid", ["future-read"], ["read-committed"]),
    # wfr puts 2 and 3 after 1, which both found.
    ("registers-lost-update", {}, "invalid", ["lost-update", "G2-item"], ["cursor-stability", "ROLA"]),
    # null came before 2, so who read it comes before who wrote 2.
    ("registers-initial", {}, "invalid", ["G-single"], SKEW),
    ("registers-wfr", {}, "invalid", ["G-single"], SKEW),
    ("registers-blind", LINEARIZABLE, "unknown", [], []),
    # Each process finds the other's value where it wrote: only its own order tells which came first.
    ("registers-sequential", WFR, "invalid", [], ["strict-serializable"]),
    ("registers-sequential", SEQUENTIAL, "invalid", ["G0"], [SESSION]),
    ("registers-cyclic-versions", WFR, "invalid", [], ["strict-serializable"]),
    ("registers-cyclic-versions", SEQUENTIAL, "invalid", ["cyclic-versions"], [SESSION]),
    (
        "registers-cyclic-versions",
        {"consistency": "strong-session-serializable"},
        "invalid",
        ["cyclic-versions"],
        [SESSION],
    ),
    ("registers-linearizable", SEQUENTIAL, "invalid", [], ["strict-serializable"]),
    ("registers-linearizable", LINEARIZABLE, "invalid", ["cyclic-versions"], ["strong-snapshot-isolation"]),
    # A stale read is one of a store that promised better, and of no other.
    ("registers-linearizable", {}, "invalid", ["cyclic-versions"], ["strong-snapshot-isolation"]),
    ("registers-linearizable", {"consistency": "serializable"}, "valid", [], []),
    ("registers-crashed-seen", {}, "invalid", ["G-single"], SKEW),
    # It read of x that the other was there, and then of y that it was not.
    ("OTV", MAV, "invalid", ["OTV", "G-single"], ["monotonic-atomic-view", "consistent-view"]),
    ("OTV", {"consistency": "read-committed"}, "valid", ["G-single"], SKEW),
    # The other way round the other may have committed between the two reads, and the snapshot is half of it all the same.
    ("fractured-reads", MAV, "valid", ["G-single"], SKEW),
    (
        "fractured-reads",
        {"consistency": "read-atomic"},
        "invalid",
        ["fractured-reads", "G-single"],
        ["read-atomic", "consistent-view", "repeatable-read"],
    ),
    # Between its read of x and its write of it, another wrote 1.
    ("G-cursor", CURSOR, "invalid", ["G-cursor", "G-single"], ["cursor-stability", "parallel-snapshot-isolation"]),
    ("G-cursor", CAUSAL, "valid", ["G-single"], SKEW),
    # It read another key than the one that it wrote: its cursor was elsewhere.
    ("G-cursor-not", CURSOR, "valid", ["G-single"], SKEW),
    # It saw by y that 1 was written, read x from before that, and wrote it.
    (
        "registers-G-cursor",
        CURSOR,
        "invalid",
        ["G-cursor", "G-single"],
        ["cursor-stability", "parallel-snapshot-isolation"],
    ),
    # What was written apart may be seen apart.
    ("fractured-reads-not", CAUSAL, "valid", ["G-single-realtime"], ["strong-snapshot-isolation"]),
    # A client does not see its own write: that is fractured only if sessions count.
    (
        "fractured-reads-process",
        {"consistency": "read-atomic"},
        "valid",
        ["G-single-process"],
        [SESSION],
    ),
    (
        "fractured-reads-process",
        {"consistency": "read-atomic", "session_order": True},
        "invalid",
        ["fractured-reads-process", "G-single-process"],
        ["strong-session-read-atomic"],
    ),
    # An answer is seen, and what it answers to is not.
    ("causality-violation", {"consistency": "read-atomic"}, "valid", ["G-single"], SKEW),
    (
        "causality-violation",
        CAUSAL,
        "invalid",
        ["causality-violation", "G-single"],
        ["causal-cerone", "consistent-view", "repeatable-read"],
    ),
    ("causality-violation-not", CAUSAL, "valid", [], []),
    # A client's second read goes back behind its first.
    (
        "causality-violation-process",
        CAUSAL,
        "invalid",
        ["causality-violation-process", "G-single-process"],
        ["causal"],
    ),
    (
        "causality-violation-process",
        {"consistency": "causal", "session_order": False},
        "valid",
        ["G-single-process"],
        [SESSION],
    ),
    ("causality-violation-process-not", CAUSAL, "valid", ["G-single-realtime"], ["strong-snapshot-isolation"]),
    # The second write of the process was read, and then the first.
    (
        "registers-OTV-process",
        {"consistency": "strong-session-monotonic-atomic-view"},
        "invalid",
        ["internal", "OTV-process"],
        ["read-atomic", "strong-session-monotonic-atomic-view"],
    ),
    ("registers-OTV-process", MAV, "valid", ["internal"], ["read-atomic"]),
    ("registers-own-write-unseen", MAV, "invalid", ["internal", "own-write-unseen"], CS_MAV),
    ("registers-own-write-unseen", {"consistency": "read-committed"}, "unknown", ["internal"], ["read-atomic"]),
    # x says that 1 came after 2, y that 2 came after 1. What versions there were before shows no cycle.
    (
        "registers-fractured-reads",
        {"consistency": "read-atomic"},
        "invalid",
        ["fractured-reads"],
        ["read-atomic"],
    ),
    ("registers-fractured-reads-not", CAUSAL, "valid", [], []),
    (
        "registers-causality-violation",
        CAUSAL,
        "invalid",
        ["causality-violation", "G-single"],
        ["causal-cerone", "consistent-view", "repeatable-read"],
    ),
]


def named(case: Any) -> str | None:
    return str(case) if isinstance(case, str | dict) and case else None


@pytest.mark.parametrize(("file", "options", "outcome", "anomalies", "ruled_out"), CASES, ids=named)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(
    file: str, options: dict[str, Any], outcome: str, anomalies: list[str], ruled_out: list[str]
) -> None:
    with (GOLDEN / f"{file}.jsonl").open("rb") as lines:
        verdict = check(History.parse(lines), **options)
    assert verdict.outcome == outcome, verdict.reason
    assert verdict.evidence["anomaly_types"] == anomalies
    assert verdict.evidence["not"] == ruled_out
    assert msgspec.json.decode(msgspec.json.encode(verdict.as_dict()))["verdict"] == outcome
    if outcome == "invalid":
        assert verdict.witness is not None
        assert verdict.witness.text.startswith([*verdict.evidence["forbidden"], "no-order"][0])


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {case[0] for case in CASES}


def test_every_anomaly_has_a_golden_history_that_shows_it() -> None:
    assert {name for case in CASES for name in case[3]} == set(MEANING)
