"""The gallery: runs that are done when the site is built, whose reports become a part of it.

Simulated, so each is the same every time: the verdict and the command are known, and held by a test.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from splitbrain import Experiment, Result, run


@dataclass(frozen=True)
class Exhibit:
    """A run to be shown. says: what one sees in it. verdict: what it comes to."""

    name: str
    says: str
    workload: str
    faults: tuple[str, ...]
    verdict: str
    system: str = "dynamo"
    seed: int = 1
    seconds: float = 15.0
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def experiment(self) -> Experiment:
        return Experiment(
            self.workload,
            system=self.system,
            faults=self.faults,
            seed=self.seed,
            time_limit_s=self.seconds,
            config=dict(self.config),
        )


_BOTH = ("partition", "kill")
EXHIBITS = (
    Exhibit(
        "lost-writes", "Last write wins under partitions: acknowledged adds are gone.",
        "sets", ("partition",), "invalid", seed=7, seconds=20, config={"conflicts": "lww"},
    ),
    Exhibit(
        "siblings", "The same store with siblings kept, under partitions and kills: nothing is lost.",
        "registers", _BOTH, "valid",
    ),
    Exhibit(
        "stale-reads", "Nodes that answer reads from what they saw last: not linearizable.",
        "linearizable-register", _BOTH, "invalid", "toys", config={"defect": "stale-reads"},
    ),
    Exhibit(
        "fractured-transactions", "Transactions whose operations interleave: cycles of every kind.",
        "append", _BOTH, "invalid", "toys", config={"defect": "fractured-transactions"},
    ),
    Exhibit(
        "torn-transfers", "A transfer in two steps: reads in between have another total.",
        "bank", _BOTH, "invalid", "toys", config={"defect": "torn-transfers"},
    ),
    Exhibit(
        "forgotten-dequeues", "A queue that forgets after a crash what was taken out.",
        "queue", _BOTH, "invalid", "toys", config={"defect": "forgets-dequeues"},
    ),
    Exhibit(
        "forgotten-locks", "A lock service that forgets its locks: two clients hold one.",
        "lock", _BOTH, "invalid", "toys", config={"defect": "forgets-locks"},
    ),
)  # fmt: skip


def shown(exhibit: Exhibit) -> tuple[Result, bytes]:
    """Do the run. Returns its result and its report."""
    with tempfile.TemporaryDirectory() as folder:
        result = run(exhibit.experiment, out=Path(folder))
        return result, (result.folder / "report.html").read_bytes()
