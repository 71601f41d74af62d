"""The verdict: what a checker concludes about a history, and why.

1. A verdict is never a bare bool. It has an outcome, a reason, evidence and, where it is invalid, a witness.
2. A checker that saw too little says `unknown`, never `valid`.
3. A checker that crashed is `broken`. That is named apart from the outcome, and never hides an anomaly that another
   checker found.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_OWN_FIELDS = frozenset({"verdict", "reason", "witness", "checkers", "broken"})


class Outcome(enum.StrEnum):
    """What a checker can conclude. `broken` is no outcome: it is the harness's own failure."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Witness:
    """The smallest evidence of an anomaly.

    text: what happened, in sentences that a person can follow; it may have several lines.
    events: indices of the history's events that show it, ascending.
    data: the same as JSON-able data, for the report to draw.
    """

    text: str
    events: tuple[int, ...] = ()
    data: Any = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One checker's verdict, or several composed (`parts`).

    outcome, reason: what, and why in one sentence.
    evidence: JSON-able counts and figures that the verdict rests on. No name may be one of the verdict's own fields.
    witness: present when invalid.
    parts: of a composition, verdicts by checker name.
    broken: error text of checkers that failed, by checker name.
    """

    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    witness: Witness | None = None
    parts: Mapping[str, Verdict] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outcome is Outcome.INVALID and self.witness is None:
            raise ValueError("an invalid verdict needs a witness; give the events that show the anomaly")
        taken = _OWN_FIELDS & self.evidence.keys()
        if taken:
            raise ValueError(f"evidence can't be called {', '.join(sorted(taken))}: a verdict has that field itself")

    @classmethod
    def valid(cls, reason: str, **evidence: Any) -> Verdict:
        return cls(Outcome.VALID, reason, evidence)

    @classmethod
    def unknown(cls, reason: str, **evidence: Any) -> Verdict:
        return cls(Outcome.UNKNOWN, reason, evidence)

    @classmethod
    def invalid(cls, reason: str, witness: Witness, **evidence: Any) -> Verdict:
        return cls(Outcome.INVALID, reason, evidence, witness)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form: `verdict`, `reason`, the evidence's own fields, `witness`, `checkers`, `broken`."""
        form: dict[str, Any] = {"verdict": self.outcome.value, "reason": self.reason, **self.evidence}
        if self.witness is not None:
            form["witness"] = {
                "text": self.witness.text,
                "events": list(self.witness.events),
                "data": self.witness.data,
            }
        if self.parts:
            form["checkers"] = {name: part.as_dict() for name, part in self.parts.items()}
        if self.broken:
            form["broken"] = dict(self.broken)
        return form
