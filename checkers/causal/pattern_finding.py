"""What was searched for in a history, how often it was found, and a witness of the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from splitbrain.checkers.verdict import Witness

Level = Literal["cc", "ccv", "cm"]
Pattern = Literal[
    "ThinAirRead",
    "CyclicCO",
    "WriteCOInitRead",
    "WriteCORead",
    "CyclicCF",
    "WriteHBInitRead",
    "CyclicHB",
]


@dataclass
class PatternFinding:
    """How often each bad pattern was found.

    reads, writes: how many there were. reads_of_written: reads of keys that were written. counts: by pattern searched
    for.
    unprovable: reads whose coverage can't be known. witness: of the first pattern found.
    """

    reads: int
    reads_of_written: int
    writes: int
    counts: dict[Pattern, int] = field(default_factory=dict)
    unprovable: int = 0
    witness: Witness | None = None

    def note(self, pattern: Pattern, number: int) -> bool:
        """Record how many were found. Returns whether a witness is still wanted."""
        self.counts[pattern] = number
        return number > 0 and self.witness is None

    @property
    def found(self) -> bool:
        return any(self.counts.values())
