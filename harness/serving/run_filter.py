"""The filter: which runs a list shows, by words and by what they are.

1. Every word must be in a run: in its id, workload, system, environment, faults, seed, settings, commit, verdict or
   reason. Case is no matter.
2. Fields that are empty choose nothing. A field with a value that no run has leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitbrain.harness.serving.run_entry import VERDICTS, RunEntry

FIELDS = ("workload", "system", "fault", "verdict", "seed")
SORTS: Mapping[str, Callable[[RunEntry], Any]] = {
    "newest": lambda run: -run.at_s,
    "oldest": lambda run: run.at_s,
    "worst": lambda run: VERDICTS.index(run.verdict),
    "slowest": lambda run: -(run.p99_ms or 0.0),
    "least available": lambda run: run.ok_rate if run.ok_rate is not None else 2.0,
    "seed": lambda run: -1 if run.seed is None else run.seed,
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """words: all of them must be found. sort: of SORTS. The other fields: what a run's must be; "" for any."""

    words: str = ""
    workload: str = ""
    system: str = ""
    fault: str = ""
    verdict: str = ""
    seed: str = ""
    sort: str = "newest"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> RunFilter:
        """The filter of an address's query, where `q` is the words. What it does not know, it passes over."""
        sort = query.get("sort", "")
        fields = {name: query.get(name, "").strip() for name in FIELDS}
        return cls(words=query.get("q", "").strip(), sort=sort if sort in SORTS else "newest", **fields)

    def chosen(self, runs: Sequence[RunEntry]) -> list[RunEntry]:
        """The runs that it lets through, sorted. O(n log n)."""
        words = self.words.casefold().split()
        found = [run for run in runs if self._lets(run) and all(word in searched(run) for word in words)]
        return sorted(found, key=SORTS[self.sort])

    def _lets(self, run: RunEntry) -> bool:
        return (
            self.workload in ("", run.workload)
            and self.system in ("", run.system)
            and self.verdict in ("", run.verdict)
            and (not self.fault or self.fault in run.faults)
            and (not self.seed or self.seed == str(run.seed))
        )


def searched(run: RunEntry) -> str:
    """What of a run is searched, folded."""
    settings = [f"{name}={value}" for name, value in run.config.items()]
    parts = (run.id, run.workload, run.system, run.environment, *run.faults, str(run.seed), *settings)
    return " ".join((*parts, run.commit, run.verdict, run.reason)).casefold()


def choices(runs: Sequence[RunEntry]) -> dict[str, list[str]]:
    """What there is to choose from, by field. O(n)."""
    return {
        "workload": sorted({run.workload for run in runs if run.workload}),
        "system": sorted({run.system for run in runs if run.system}),
        "fault": sorted({fault for run in runs for fault in run.faults}),
        "verdict": [verdict for verdict in VERDICTS if any(run.verdict == verdict for run in runs)],
    }
