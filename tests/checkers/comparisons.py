"""All comparisons there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.checkers import harness_comparisons
from tests.checkers.comparison import Comparison
from tests.checkers.linearizability import comparisons as linearizability
from tests.checkers.linearizability.containers import comparisons as containers
from tests.checkers.shelf import comparisons as shelf
from tests.checkers.transactions import comparisons as transactions
from tests.checkers.weak import comparisons as weak

ALL: Mapping[str, Comparison] = {
    comparison.name: comparison
    for area in (harness_comparisons, linearizability, containers, transactions, weak, shelf)
    for comparison in area.COMPARISONS
}
