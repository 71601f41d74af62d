"""The comparisons find what they are for: a checker that is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitbrain.checkers.sessions import inferred
from splitbrain.checkers.versions.version_order import Lineage
from tests.checkers.comparison import Disagreement
from tests.checkers.sessions.comparisons import COMPARISONS

NAMED = {comparison.name: comparison for comparison in COMPARISONS}


def test_each_comparison_meets_all_its_outcomes_soon() -> None:
    for comparison in COMPARISONS:
        assert {comparison.compare(seed) for seed in range(100)} == comparison.outcomes, comparison.name


def test_a_checker_that_forgets_what_is_known_of_the_order_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inferred.Known.of

    def half(of: inferred.DistinctWrites) -> inferred.Known:
        known = whole(of)
        return inferred.Known(known.source[:0], known.target[:0], known.since[:0])

    monkeypatch.setattr(inferred.Known, "of", half)
    with pytest.raises(Disagreement):
        for seed in range(300):
            NAMED["session guarantees of distinct writes"].compare(seed)


@pytest.mark.parametrize("name", [name for name in NAMED if "versioned" in name])
def test_a_checker_that_takes_no_version_to_cover_another_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Lineage.cover

    def bare(self: Lineage, versions: list[tuple[int, ...]]) -> object:
        every = np.arange(len(self.writes))
        return whole(replace(self, clock=self.alone(every)), versions)

    monkeypatch.setattr(Lineage, "cover", bare)
    with pytest.raises(Disagreement):
        for seed in range(600):
            NAMED[name].compare(seed)
