"""A finding: what became of one guarantee in a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from splitbrain.checkers.verdict import Witness

Guarantee = Literal["read your writes", "monotonic reads", "monotonic writes", "writes follow reads"]
GUARANTEES: tuple[Guarantee, ...] = (
    "read your writes",
    "monotonic reads",
    "monotonic writes",
    "writes follow reads",
)


@dataclass(frozen=True, slots=True)
class GuaranteeFinding:
    """Counts of demands, which are what a read must not be older than, and a witness if one was broken.

    checked: all of them. violations: broken. contradictory: in conflict with one another (registers with distinct
    writes only). unprovable: nobody knows. assumed: there are contradictory ones only, and they would not be so if each
    session could have an order of its own.
    """

    checked: int
    violations: int = 0
    contradictory: int = 0
    unprovable: int = 0
    witness: Witness | None = None
    assumed: bool = False

    @property
    def broken(self) -> bool:
        return self.violations + self.contradictory > 0

    def as_data(self) -> dict[str, Any]:
        verdict = "violated" if self.broken else "unknown" if self.unprovable or not self.checked else "held"
        return {
            "verdict": verdict,
            "checked": self.checked,
            "violations": self.violations,
            "contradictory": self.contradictory,
            "unprovable": self.unprovable,
        }
