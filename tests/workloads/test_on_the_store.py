"""The workloads of a versioned store, on the reference store: valid where it keeps its promise, invalid where it can't.

Each planted mistake is a setting or a defect of the store's; nothing else of the run changes. Some seeds may miss it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

SLOPPY = {"sloppy": "true", "read_repair": "async"}
LWW = {"conflicts": "lww"}
SEEDS = range(1, 9)


def defect(name: str) -> dict[str, str]:
    return {"defect": name, "unsafe": "true"}


def go(folder: Path, workload: str, seed: int, config: dict[str, str], faults: tuple[str, ...]) -> Result:
    experiment = Experiment(workload, faults=faults, time_limit_s=10.0, seed=seed, config=config)
    return run(experiment, out=folder, progress=Progress(quiet=True))


@pytest.mark.parametrize("workload", ["registers", "carts", "counters", "grow-sets", "sessions", "causal", "staleness"])
def test_a_store_that_keeps_its_promise_passes_under_faults(tmp_path: Path, workload: str) -> None:
    result = go(tmp_path, workload, 1, {}, ("partition", "kill"))
    assert result.status == "valid", result.reason


@pytest.mark.parametrize(
    ("workload", "checker", "config", "fault"),
    [
        # A replica that misses a delete brings the value back.
        ("registers", "lost-writes", defect("physical-delete"), "kill"),
        # Of two concurrent versions one is dropped, with what its client had been told is there.
        ("carts", "carts", LWW, "partition"),
        ("counters", "counter", LWW, "partition"),
        ("grow-sets", "lost-writes", LWW, "partition"),
        ("staleness", "staleness", LWW, "partition"),
        # Those who stand in for others need not meet.
        ("sessions", "sessions", SLOPPY, "partition"),
        ("causal", "causal", SLOPPY, "partition"),
    ],
)
def test_a_planted_mistake_is_found(
    tmp_path: Path, workload: str, checker: str, config: dict[str, str], fault: str
) -> None:
    for seed in SEEDS:
        result = go(tmp_path, workload, seed, config, (fault,))
        if result.status == "invalid":
            break
    assert result.status == "invalid", result.reason
    assert result.verdict is not None
    assert result.verdict.parts[checker].outcome == "invalid"
