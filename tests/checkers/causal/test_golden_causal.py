"""Golden histories of causal consistency, each beside a neighbour. Verdicts reasoned by hand."""

from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers import causal
from splitbrain.checkers.histories.history import History
from tests.checkers.golden_histories import load, names_in

# file, level, pattern found or else the outcome
CAUSAL: list[tuple[str, str, str]] = [
    ("sessions/distinct-monotonic-writes", "cc", "WriteCOInitRead"),
    ("sessions/distinct-monotonic-writes-kept", "cc", "valid"),
    ("sessions/distinct-writes-follow-reads", "cc", "WriteCOInitRead"),
    ("sessions/distinct-writes-follow-reads-kept", "cc", "valid"),
    ("sessions/distinct-backwards", "cc", "WriteCORead"),
    ("sessions/distinct-forwards", "cc", "valid"),
    ("sessions/distinct-each-knew-the-other", "cc", "CyclicCO"),
    ("sessions/distinct-one-knew-the-other", "cc", "valid"),
    ("sessions/distinct-stray", "cc", "ThinAirRead"),
    ("sessions/distinct-failed-and-read", "cc", "ThinAirRead"),
    ("sessions/distinct-failed-and-tried-again", "cc", "valid"),
    ("sessions/distinct-info-and-read", "cc", "WriteCOInitRead"),
    ("sessions/distinct-orders-differ", "cc", "valid"),
    ("sessions/distinct-orders-differ", "cm", "valid"),
    ("sessions/distinct-orders-differ", "ccv", "CyclicCF"),
    ("sessions/distinct-orders-agree", "ccv", "valid"),
    ("sessions/distinct-flicker", "cc", "valid"),
    ("sessions/distinct-flicker", "cm", "CyclicHB"),
    ("sessions/distinct-flicker-not", "cm", "valid"),
    # Process 1 read 2 after it had seen all that process 0 wrote, so 2 came after that: too late for it to miss z.
    ("causal/distinct-no-order-of-its-own", "ccv", "valid"),
    ("causal/distinct-no-order-of-its-own", "cm", "WriteHBInitRead"),
    ("causal/distinct-order-of-its-own", "cm", "valid"),
    # x = 1 came before x = 2, which process 9 read although it had seen both; so y = 2, written before x = 1, came before
    # x = 2 and before what it read after that, which was y = 1.
    ("causal/distinct-twice-removed", "ccv", "valid"),
    ("causal/distinct-twice-removed", "cm", "CyclicHB"),
    ("causal/distinct-twice-removed-kept", "cm", "valid"),
    ("sessions/distinct-all-together", "cc", "WriteCORead"),
    ("sessions/distinct-other-key", "cc", "unknown"),
    ("sessions/distinct-other-key", "ccv", "unknown"),
    ("sessions/versioned-other-key", "cc", "unknown"),
    ("sessions/distinct-only-writes", "cc", "unknown"),
    ("sessions/distinct-only-reads", "cc", "unknown"),
    ("sessions/versioned-monotonic-writes", "cc", "WriteCORead"),
    ("sessions/versioned-monotonic-writes-kept", "cc", "valid"),
    ("causal/versioned-causal-across-keys", "cc", "WriteCOInitRead"),
    ("causal/versioned-causal-across-keys-kept", "cc", "valid"),
    ("sessions/versioned-cycle", "cc", "CyclicCO"),
    ("sessions/versioned-unprovable", "cc", "unknown"),
    ("sessions/versioned-provable", "cc", "WriteCORead"),
    ("sessions/versioned-nobody-put", "cc", "ThinAirRead"),
    ("sessions/versioned-failed-and-read", "cc", "ThinAirRead"),
]


@pytest.mark.parametrize(("file", "level", "expected"), CAUSAL)
def test_causal_consistency_of_a_golden_history(file: str, level: Any, expected: str) -> None:
    verdict = causal.check(load(file), level=level)
    if expected in ("valid", "unknown"):
        assert verdict.outcome == expected, verdict.reason
    else:
        assert verdict.outcome == "invalid"
        assert [pattern for pattern, number in verdict.evidence["patterns"].items() if number] == [expected]
        assert verdict.witness is not None and verdict.witness.data["kind"] == expected


def test_every_golden_history_is_judged() -> None:
    assert names_in("causal") <= {case[0] for case in CAUSAL}


def test_an_empty_history_is_unknown() -> None:
    assert causal.check(History([])).outcome == "unknown"
