"""What transactions are judged by: the consistency that a run names, from its start to a later check of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.harness.catalogue import WORKLOADS, names, workload
from splitbrain.harness.doors.check import told
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import Result, read_history
from splitbrain.harness.running.run import run


def skewed(out: Path, name: str, consistency: str) -> Result:
    """A run of toys that let write skew pass, and nothing worse."""
    config = {"defect": "write-skew", "consistency": consistency}
    return run(Experiment(workload=name, system="toys", seed=1, time_limit_s=20, config=config), out=out)


@pytest.mark.parametrize("name", ["append", "wr"])
def test_write_skew_is_allowed_by_snapshot_isolation_and_not_by_default(name: str, tmp_path: Path) -> None:
    allowed = skewed(tmp_path, name, "snapshot-isolation")
    assert allowed.status == "valid"
    assert allowed.verdict is not None
    found = allowed.verdict.parts["transactions"].evidence["anomaly_types"]
    assert "G2-item-realtime" in found
    assert set(found) <= {"G2-item", "G2-item-realtime"}
    assert skewed(tmp_path, name, "strict-serializable").status == "invalid"


def test_a_folder_is_checked_again_by_the_consistency_of_its_run(tmp_path: Path) -> None:
    folder = skewed(tmp_path, "append", "snapshot-isolation").folder
    selection = told(folder, read_history(folder / "history.jsonl"))
    assert selection.checkers["transactions"]["consistency"] == "snapshot-isolation"


def test_a_consistency_that_does_not_exist_is_refused_before_the_run() -> None:
    experiment = Experiment(workload="append", system="toys", seed=1, config={"consistency": "quite-good"})
    with pytest.raises(UsageProblem, match="no consistency model 'quite-good'; there are"):
        experiment.prepare()


def test_every_key_that_decides_how_a_workload_is_judged_is_one_of_its_keys() -> None:
    for name in names(WORKLOADS):
        found = workload(name)
        for key, (checker, _) in found.judged_by.items():
            assert key in found.config
            assert checker in found.checkers
