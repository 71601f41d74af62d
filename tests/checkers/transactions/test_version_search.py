"""Histories in which no single anomaly is, and that no order of the versions explains all the same."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.transaction_histories import rw_register
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.consistency_models import ORDERED
from tests.checkers.transactions.orders_oracle import explained

# Both orders of the versions of x leave a transaction that read y, or x, too early for its snapshot.
SKEWED: list[list[list[Any]]] = [
    [["w", "y", 1], ["r", "y", 1]],
    [["r", "x", None], ["w", "x", 1], ["w", "y", 2]],
    [["r", "y", None], ["w", "x", 2], ["w", "x", 3]],
]
# The two appends to z were not read, and whoever made them had to be over before the other one began.
UNREAD: list[list[list[Any]]] = [
    [["append", "z", 1], ["append", "x", 1], ["r", "y", []]],
    [["append", "z", 2], ["append", "y", 1], ["r", "x", []]],
]


def _at_once(transactions: list[list[list[Any]]]) -> History:
    """All begin before any ends."""
    asked = [[[f, key, None if f == "r" else value] for f, key, value in each] for each in transactions]
    lines = [(process, "invoke", value) for process, value in enumerate(asked)]
    lines += [(process, "ok", value) for process, value in enumerate(transactions)]
    return History(
        [Event(at, at, process, type_, "txn", None, value) for at, (process, type_, value) in enumerate(lines)]  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("transactions", [SKEWED, UNREAD])
def test_snapshots_that_no_order_of_the_versions_explains_are_invalid(transactions: list[list[list[Any]]]) -> None:
    history = _at_once(transactions)
    assert not explained(history, "snapshot-isolation")
    verdict = check(history, consistency="snapshot-isolation")
    assert verdict.outcome == "invalid", verdict.reason
    assert verdict.evidence["versions_have_an_order"] is False
    assert "snapshot-isolation" in verdict.evidence["not"]
    assert "strict-serializable" in verdict.evidence["also_not"]
    assert verdict.witness is not None
    assert verdict.witness.text.startswith("no-order")


def test_the_same_without_one_of_the_two_that_write_x_is_not_invalid() -> None:
    for left_out in (1, 2):
        some = _at_once([each for at, each in enumerate(SKEWED) if at != left_out])
        assert explained(some, "snapshot-isolation")
        assert check(some, consistency="snapshot-isolation").outcome != "invalid"


@pytest.mark.parametrize("consistency", sorted(ORDERED))
def test_a_store_that_is_strictly_serializable_has_an_order_for_every_promise(consistency: str) -> None:
    verdict = check(rw_register(300, seed=3), consistency=consistency, timeout_s=120)
    assert verdict.outcome == "valid", verdict.reason
    assert verdict.evidence["versions_have_an_order"] is True


def test_where_memory_does_not_suffice_for_the_search_it_is_unknown() -> None:
    verdict = check(rw_register(2000, seed=3), consistency="snapshot-isolation", memory_mb=2.5)
    assert verdict.outcome == "unknown"
    assert "the memory limit of 2.5 MB was reached before an order of the versions" in verdict.reason
