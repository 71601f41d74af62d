"""What rules out what, by hand from Adya, Cerone and Jepsen's map of models."""

from __future__ import annotations

import pytest

from splitbrain.checkers.transactions.anomalies import IMPLIES, MEANING, implied, worst_first
from splitbrain.checkers.transactions.consistency_models import (
    canonical,
    forbids,
    names,
    ruled_out,
    weaker,
    with_sessions,
)


@pytest.mark.parametrize(
    ("anomaly", "weakest"),
    [
        ("G0", ("read-uncommitted",)),
        ("duplicate-elements", ("read-uncommitted",)),
        ("cyclic-versions", ("read-uncommitted",)),
        ("G1a", ("read-committed",)),
        ("dirty-update", ("read-committed",)),
        ("internal", ("read-atomic",)),
        ("lost-update", ("cursor-stability", "ROLA")),
        ("G-cursor", ("cursor-stability", "parallel-snapshot-isolation")),
        ("OTV", ("monotonic-atomic-view",)),
        ("own-write-unseen", ("cursor-stability", "monotonic-atomic-view")),
        ("fractured-reads", ("read-atomic",)),
        ("causality-violation", ("causal-cerone",)),
        ("OTV-process", ("strong-session-monotonic-atomic-view",)),
        ("fractured-reads-process", ("strong-session-read-atomic",)),
        ("causality-violation-process", ("causal",)),
        ("G-single", ("consistent-view", "repeatable-read", "parallel-snapshot-isolation")),
        ("G-nonadjacent", ("repeatable-read", "snapshot-isolation")),
        ("G2-item", ("repeatable-read",)),
        ("G0-process", ("strong-session-read-uncommitted",)),
        ("G1c-process", ("strong-session-read-committed",)),
        ("G-nonadjacent-process", ("strong-session-snapshot-isolation",)),
        ("G2-item-process", ("strong-session-serializable",)),
        ("G0-realtime", ("strong-read-uncommitted",)),
        ("G1c-realtime", ("strong-read-committed",)),
        ("G-single-realtime", ("strong-snapshot-isolation",)),
        ("G2-item-realtime", ("strict-serializable",)),
    ],
)
def test_an_anomaly_rules_out_the_weakest_models_that_forbid_it(anomaly: str, weakest: tuple[str, ...]) -> None:
    assert ruled_out([anomaly]).weakest == weakest


def test_what_is_ruled_out_too_is_stronger_and_the_weakest_come_first() -> None:
    found = ruled_out(["internal"])
    assert found.stronger == (
        "ROLA",
        "causal-cerone",
        "prefix",
        "parallel-snapshot-isolation",
        "strong-session-read-atomic",
        "snapshot-isolation",
        "causal",
        "strong-session-prefix",
        "serializable",
        "strong-session-snapshot-isolation",
        "strong-snapshot-isolation",
        "strong-session-serializable",
        "strict-serializable",
    )


@pytest.mark.parametrize(
    ("name", "counted", "found"),
    [
        ("PL-2", True, "strong-session-read-committed"),
        ("strong-session-read-atomic", False, "read-atomic"),
        ("strong-session-read-atomic", True, "strong-session-read-atomic"),
        ("causal", False, "causal-cerone"),
        ("causal-cerone", True, "causal"),
        ("snapshot-isolation", True, "strong-session-snapshot-isolation"),
    ],
)
def test_whether_the_order_of_sessions_counts_is_a_matter_of_the_model(name: str, counted: bool, found: str) -> None:
    assert with_sessions(name, counted) == found


@pytest.mark.parametrize("name", ["strict-serializable", "repeatable-read", "PRAM"])
def test_a_model_without_a_variant_of_its_own_says_so(name: str) -> None:
    with pytest.raises(ValueError, match=f"there is no {name} with the order of sessions; leave session_order out"):
        with_sessions(name, True)


def test_no_anomaly_rules_nothing_out() -> None:
    assert ruled_out([]).weakest == ruled_out([]).stronger == ()


def test_write_skew_leaves_snapshot_isolation_alone() -> None:
    assert "snapshot-isolation" not in ruled_out(["G2-item"]).stronger


def test_read_committed_forbids_what_comes_of_uncommitted_data_and_nothing_else() -> None:
    assert forbids("read-committed") == {
        "G0", "G1a", "G1b", "G1c", "dirty-update", "incompatible-order", "garbage-read", "future-read",
        "duplicate-elements", "cyclic-versions",
    }  # fmt: skip


def test_strict_serializability_forbids_everything() -> None:
    assert forbids("strict-serializable") == set(MEANING)


def test_nothing_can_be_said_of_models_of_single_objects() -> None:
    assert forbids("linearizable") == frozenset()


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("PL-1", "read-uncommitted"),
        ("PL-3", "serializable"),
        ("PL-SI", "snapshot-isolation"),
        ("PL-SS", "strict-serializable"),
        ("strong-serializable", "strict-serializable"),
        ("strong-session-PL-2", "strong-session-read-committed"),
    ],
)
def test_a_model_goes_by_any_of_its_names(alias: str, name: str) -> None:
    assert canonical(alias) == canonical(name) == name
    assert {alias, name} <= set(names())


def test_a_model_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"no consistency model 'serialisable'; there are .*serializable.*PL-2"):
        canonical("serialisable")


def test_a_stronger_model_forbids_what_weaker_ones_do() -> None:
    for name in names():
        for other in weaker(name):
            assert forbids(other) <= forbids(name)


def test_a_cycle_without_an_order_is_one_with_it_too() -> None:
    assert {"G0-process", "G0-realtime", "G1c", "G1c-realtime", "G1"} <= implied(["G0"])
    assert "G0" not in implied(["G0-process"])
    assert set(MEANING) <= set(IMPLIES) | {"internal", "duplicate-elements", "cyclic-versions"}


def test_anomalies_are_reported_worst_first() -> None:
    assert worst_first({"G2-item", "G0", "lost-update", "G0-realtime"}) == [
        "G0",
        "lost-update",
        "G2-item",
        "G0-realtime",
    ]
