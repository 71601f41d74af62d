"""The toys: right for every workload, and each mistake is found by the workloads that are made for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from splitbrain.harness import catalogue
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.system import defects_of
from splitbrain.harness.systems.toys import SYSTEM
from splitbrain.harness.systems.toys.toy_defects import DEFECTS

FAULTS = ("partition", "kill", "pause")
SEEDS = 20
CHECKERS: Mapping[str, str] = {
    "append": "transactions",
    "wr": "transactions",
    "bank": "bank",
    "long-fork": "long-fork",
    "causal-reverse": "causal-reverse",
    "linearizable-register": "linearizable",
    "kafka": "kafka",
    "queue": "total-queue",
    "unique-ids": "unique-ids",
    "lock": "lock",
    "broadcast": "broadcast",
    "echo": "unhandled-errors",
    "g-set": "lost-writes",
    "pn-counter": "counter",
    "g-counter": "counter",
}
"""Which checker finds what is wrong."""


def toys(workload: str, out: Path, *, seed: int, defect: str = "") -> Result:
    config = {"defect": defect} if defect else {}
    return run(Experiment(workload, system="toys", faults=FAULTS, seed=seed, time_limit_s=20, config=config), out=out)


@pytest.mark.parametrize("workload", CHECKERS)
def test_the_right_system_is_valid_under_faults(workload: str, tmp_path: Path) -> None:
    result = toys(workload, tmp_path, seed=1)
    assert result.status == "valid", result.reason
    assert result.verdict is not None
    evidence = result.verdict.parts["evidence"].evidence
    assert evidence["nodes_read_at_the_end"] == ["n1", "n2", "n3", "n4", "n5"]
    assert all(evidence["faults"][family]["struck"] > 0 for family in FAULTS)


@pytest.mark.parametrize(
    ("defect", "workload"), [(name, workload) for name, defect in DEFECTS.items() for workload in defect.workloads]
)
def test_a_mistake_is_found_by_its_workload(defect: str, workload: str, tmp_path: Path) -> None:
    for seed in range(SEEDS):
        result = toys(workload, tmp_path, seed=seed, defect=defect)
        assert result.status in ("valid", "invalid"), result.reason
        if result.status == "invalid":
            assert result.reason.startswith(f"{CHECKERS[workload]}: ")
            return
    pytest.fail(f"{defect} was not found by {workload} in {SEEDS} seeds")


def test_the_same_seed_gives_the_same_history_byte_for_byte(tmp_path: Path) -> None:
    one, other = (toys("kafka", tmp_path / name, seed=3) for name in ("one", "other"))
    histories = [(result.folder / "history.jsonl").read_bytes() for result in (one, other)]
    assert histories[0] == histories[1]
    assert histories[0].count(b"\n") > 1000


def test_every_interface_and_every_mistake_has_a_workload() -> None:
    needed = {catalogue.workload(name).interface for name in CHECKERS}
    assert needed == SYSTEM.interfaces
    assert {workload for defect in DEFECTS.values() for workload in defect.workloads} == set(CHECKERS) - {"g-counter"}


def test_the_mistakes_are_published_with_what_switches_them_on() -> None:
    for name, mutant in defects_of(SYSTEM).items():
        assert mutant.summary.endswith(".")
        assert mutant.source.endswith(".")
        configured = SYSTEM.configure(mutant.config, seed=0, nodes=5)
        assert configured.config == {"defect": name}


def test_a_mistake_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageProblem, match="defect=stale: there is no such defect; give one of stale-reads, periodic"):
        Experiment("echo", system="toys", config={"defect": "stale"}).prepare()


def test_a_workload_on_another_interface_is_refused_by_name() -> None:
    with pytest.raises(UsageProblem, match="sets needs VersionedStore; toys offers Bank, Broadcast"):
        Experiment("sets", system="toys").prepare()
    with pytest.raises(UsageProblem, match=r"kafka needs Log; dynamo offers .*; choose another --system \(.*toys.*\)"):
        Experiment("kafka").prepare()
