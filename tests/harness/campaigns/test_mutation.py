"""The mutation score: mistakes that are caught, missed, and alarms that are false."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from splitbrain.harness.campaigns.mutation import Hunting, hunts
from splitbrain.harness.campaigns.plan import CampaignPlan
from splitbrain.harness.running.experiment import UsageProblem

PLAN = CampaignPlan(workloads=("registers",), faults=())


def test_a_mistake_that_the_plan_shows_is_caught_by_its_first_invalid_run() -> None:
    hunt = Hunting("last-write-wins", PLAN, 5).do()
    assert hunt.caught is not None
    assert hunt.caught.index == hunt.runs - 1
    assert "lost-writes" in hunt.as_dict()["checkers"]
    assert hunt.alarms == ()


def test_a_mistake_that_the_plan_does_not_provoke_is_missed() -> None:
    hunt = Hunting("ownership-before-data", PLAN, 2).do()
    assert (hunt.caught, hunt.runs) == (None, 2)
    assert hunt.as_dict()["caught"] is False


def test_a_run_that_fails_without_the_mistake_too_catches_nothing() -> None:
    losing = CampaignPlan(workloads=("registers",), faults=(), config={"conflicts": "lww", "lww_clock": "wall"})
    hunt = Hunting("truncation-at-2", losing, 1).do()
    assert (hunt.caught, hunt.alarms) == (None, (0,))


def test_the_command_says_which_were_caught_and_which_missed(tmp_path: Path) -> None:
    words = ["mutants", "--only", "last-write-wins", "--only", "ownership-before-data", "--seeds", "1", "--json"]
    command = [sys.executable, "-m", "splitbrain.harness.doors.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["caught"], answer["missed"]) == (["last-write-wins"], ["ownership-before-data"])
    assert [each["name"] for each in answer["defects"]] == ["last-write-wins", "ownership-before-data"]


def test_an_unknown_defect_is_refused_by_name() -> None:
    with pytest.raises(UsageProblem, match="did you mean last-write-wins"):
        hunts(PLAN, 1, ["last-write-win"])
