"""The comparisons find what they are for: a checker that is wrong."""

from __future__ import annotations

import pytest

from splitbrain.checkers.sessions import inferred
from tests.checkers.comparison import Disagreement
from tests.checkers.sessions.comparisons import COMPARISONS

NAMED = {comparison.name: comparison for comparison in COMPARISONS}


def test_a_checker_that_forgets_what_is_known_of_the_order_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inferred.KnownOrder.of

    def half(ops: inferred.DistinctWrites) -> inferred.KnownOrder:
        known = whole(ops)
        return inferred.KnownOrder(known.source[:0], known.target[:0], known.since[:0])

    monkeypatch.setattr(inferred.KnownOrder, "of", half)
    with pytest.raises(Disagreement):
        for seed in range(300):
            NAMED["session guarantees of distinct writes"].compare(seed)
