"""Golden histories of staleness, each beside a neighbour. Verdicts reasoned by hand."""

from __future__ import annotations

import pytest

from splitbrain.checkers.eventual import staleness
from splitbrain.checkers.histories.history import History
from tests.checkers.golden_histories import load, names_in

# file, most writes missed, longest in ms; None: unknown
STALE: list[tuple[str, int | None, float]] = [
    # Acknowledged at 25 ms, read invoked at 30 ms.
    ("staleness/distinct-stale", 1, 5.0),
    ("staleness/distinct-overlapping", 0, 0.0),
    # 1 was read by 25 ms, before 2 was invoked at 30 ms; 2 was acknowledged at 35 ms, and the next read invoked at 40 ms.
    ("staleness/distinct-stale-unanswered", 1, 5.0),
    ("staleness/distinct-unanswered", 0, 0.0),
    ("sessions/distinct-read-your-writes", 1, 5.0),
    ("sessions/distinct-stray", None, 0.0),
    ("sessions/distinct-only-reads", None, 0.0),
    ("sessions/distinct-only-writes", None, 0.0),
    # 2 was acknowledged at 25 ms, 3 at 35 ms; the read was invoked at 40 ms.
    ("staleness/versioned-stale", 2, 15.0),
    ("staleness/versioned-fresh", 0, 0.0),
    ("staleness/versioned-sibling-missed", 1, 5.0),
    ("sessions/versioned-unprovable", 0, 0.0),
    ("sessions/versioned-cycle", None, 0.0),
]


@pytest.mark.parametrize(("file", "k", "t_ms"), STALE)
def test_staleness_of_a_golden_history(file: str, k: int | None, t_ms: float) -> None:
    verdict = staleness.check(load(file))
    if k is None:
        assert verdict.outcome == "unknown"
    else:
        assert (verdict.outcome, verdict.evidence["k"]["max"], verdict.evidence["t_ms"]["max"]) == ("valid", k, t_ms)


def test_every_golden_history_is_judged() -> None:
    assert names_in("staleness") <= {case[0] for case in STALE}


def test_an_empty_history_is_unknown() -> None:
    assert staleness.check(History([])).outcome == "unknown"
