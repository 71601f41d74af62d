"""Golden cases: a small history with the verdict that was reasoned by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from splitbrain import checkers
from tests.checkers.golden_histories import load


class GoldenCase(NamedTuple):
    """file: see `load`. evidence: what must be so; of an object only the fields named. phrase: part of the witness's
    text."""

    file: str
    checker: str
    options: Mapping[str, Any]
    outcome: str
    evidence: Mapping[str, Any]
    phrase: str

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.file}-{self.checker}-{options}"

    def judge(self) -> None:
        """Raise AssertionError if the checker says anything else."""
        history = load(self.file)
        verdict = checkers.check(self.checker, history, **self.options)
        assert verdict.outcome == self.outcome, verdict.reason
        for field, expected in self.evidence.items():
            found = verdict.evidence[field]
            if isinstance(expected, dict):
                found = {part: found[part] for part in expected}
            assert found == expected, field
        assert self.phrase in (verdict.witness.text if verdict.witness else "")
        if verdict.witness:
            assert list(verdict.witness.events) == sorted(set(verdict.witness.events))
            assert verdict.witness.events
            assert verdict.witness.events[-1] < len(history.events)
