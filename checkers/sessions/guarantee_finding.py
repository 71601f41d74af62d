"""The finding of one session guarantee in a history: how often it was at stake, and how often it was broken."""

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
    """Counts of demands, and a witness if one was broken. A demand is a write that a read must not be older than.

    checked: all demands. violations: those that were broken. contradictory: those that contradict one another
    (registers with distinct writes only). unprovable: those whose outcome can't be known from the history.
    assumed: demands were contradictory, none was violated, and no demands of a single session contradict one another.
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
