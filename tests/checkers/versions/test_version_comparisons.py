"""The comparisons find what they are for: a checker that is wrong about what versions cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitbrain.checkers.versions.version_order import VersionOrder
from tests.checkers.causal import comparisons as causal
from tests.checkers.comparison import Disagreement
from tests.checkers.eventual import comparisons as eventual
from tests.checkers.sessions import comparisons as sessions

NAMED = {comparison.name: comparison for area in (sessions, causal, eventual) for comparison in area.COMPARISONS}


def test_each_comparison_meets_all_its_outcomes_soon() -> None:
    for comparison in NAMED.values():
        assert {comparison.compare(seed) for seed in range(100)} == comparison.outcomes, comparison.name


@pytest.mark.parametrize("name", [name for name in NAMED if "versioned" in name])
def test_a_checker_that_takes_no_version_to_cover_another_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = VersionOrder.cover

    def bare(self: VersionOrder, versions: list[tuple[int, ...]]) -> object:
        every = np.arange(len(self.writes))
        return whole(replace(self, clock=self.chain_prefixes(every)), versions)

    monkeypatch.setattr(VersionOrder, "cover", bare)
    with pytest.raises(Disagreement):
        for seed in range(600):
            NAMED[name].compare(seed)
