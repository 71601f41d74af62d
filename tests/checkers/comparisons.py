"""All comparisons there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.checkers import harness_comparisons, told_comparisons
from tests.checkers.causal import comparisons as causal
from tests.checkers.comparison import Comparison
from tests.checkers.eventual import comparisons as eventual
from tests.checkers.invariants import comparisons as invariants
from tests.checkers.linearizability import comparisons as linearizability
from tests.checkers.linearizability.polynomial import comparisons as polynomial
from tests.checkers.service import comparisons as service
from tests.checkers.sessions import comparisons as sessions
from tests.checkers.transactions import comparisons as transactions

AREAS = (
    *(harness_comparisons, linearizability, polynomial, transactions),
    *(sessions, causal, eventual, invariants, service, told_comparisons),
)
ALL: Mapping[str, Comparison] = {comparison.name: comparison for area in AREAS for comparison in area.COMPARISONS}
