"""All comparisons there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.checkers import harness_comparisons
from tests.checkers.causal import comparisons as causal
from tests.checkers.comparison import Comparison
from tests.checkers.invariants import comparisons as invariants
from tests.checkers.linearizability import comparisons as linearizability
from tests.checkers.linearizability.polynomial import comparisons as containers
from tests.checkers.service import comparisons as service
from tests.checkers.sessions import comparisons as weak
from tests.checkers.transactions import comparisons as transactions

ALL: Mapping[str, Comparison] = {
    comparison.name: comparison
    for area in (harness_comparisons, linearizability, containers, transactions, weak, invariants, service)
    for comparison in area.COMPARISONS
}
