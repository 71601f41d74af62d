"""All comparisons there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.checkers import harness_comparisons
from tests.checkers.comparison import Comparison
from tests.checkers.linearizability import comparisons as linearizability
from tests.checkers.linearizability.containers import comparisons as containers
from tests.checkers.shelf import comparisons as shelf

ALL: Mapping[str, Comparison] = {
    comparison.name: comparison
    for area in (
        harness_comparisons.COMPARISONS,
        linearizability.COMPARISONS,
        containers.COMPARISONS,
        shelf.COMPARISONS,
    )
    for comparison in area
}
