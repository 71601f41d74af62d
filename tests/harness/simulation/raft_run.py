"""The Raft example under many seeds: `python -m tests.harness.simulation.raft_run 300 [mistake]`.

Every run has partitions, kills and pauses. Every tenth seed runs twice, and must give the same bytes. It prints a line
for each run that is not valid, and in the end how many there were of each kind.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from tests.house import ROOT
from tests.installed import install

FAULTS = ("partition", "kill", "pause")
TWICE = 10


def raft(seed: int, out: Path, *, mistake: str = "none", faults: tuple[str, ...] = FAULTS) -> Result:
    """One run of 20 s."""
    experiment = Experiment(
        "raft-registers",
        system="raft",
        nodes=3,
        faults=faults,
        seed=seed,
        time_limit_s=20,
        config={"mistake": mistake},
    )
    return run(experiment, out=out)


def everything(folder: Path) -> bytes:
    """The history and the nodes' logs, byte for byte."""
    files = [folder / "history.jsonl", *sorted(folder.rglob("*.log"))]
    return b"".join(file.read_bytes() for file in files)


def main(seeds: int, mistake: str) -> int:
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        sys.path += map(str, install(ROOT / "examples" / "raft", Path(scratch) / "site"))
        for seed in range(1, seeds + 1):
            result = raft(seed, Path(scratch) / "runs", mistake=mistake)
            outcomes[result.status] += 1
            if result.status != "valid":
                print(seed, *result.lines()[:1], flush=True)
            if seed % TWICE == 0:
                again = raft(seed, Path(scratch) / "again", mistake=mistake)
                outcomes["repeated"] += 1
                outcomes["different"] += everything(again.folder) != everything(result.folder)
    print(*(f"{kind} {number}" for kind, number in sorted(outcomes.items())), sep=", ")
    return int(bool(outcomes["different"]))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "none"))
