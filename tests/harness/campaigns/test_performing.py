"""Performing one run: what is sent back, and runs that do not replay."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from splitbrain.harness import catalogue
from splitbrain.harness.campaigns.performing import PlannedRun
from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.workload import Plan, Workload
from splitbrain.workloads import registers

LOSING: Mapping[str, str] = {"defect": "last-write-wins", "unsafe": "true"}
SHORT = Experiment("registers", nodes=3, time_limit_s=2, seed=1)


def test_a_valid_run_sends_no_files() -> None:
    performed = PlannedRun(4, SHORT).do()
    assert performed.outcome.status == "valid", performed.outcome.reason
    assert performed.files == {}
    assert performed.outcome.index == 4
    assert performed.outcome.operations > 100
    assert performed.outcome.cpu_s > 0


def test_an_invalid_run_sends_its_folder_and_its_signatures() -> None:
    experiment = Experiment("registers", time_limit_s=5, seed=1, config=LOSING)
    performed = PlannedRun(0, experiment).do()
    assert performed.outcome.status == "invalid"
    assert {"run.json", "history.jsonl", "results.json", "report.html"} <= performed.files.keys()
    assert "lost-writes" in [signature.checker for signature in performed.outcome.signatures]
    assert performed.outcome.command == experiment.command


def test_faults_that_stood_are_counted_and_paired() -> None:
    experiment = Experiment("registers", time_limit_s=6, seed=3, faults=("partition", "pause"))
    outcome = PlannedRun(0, experiment).do().outcome
    assert {"partition", "pause"} <= set(outcome.overlaps)
    assert outcome.strikes >= 2


def test_a_run_that_is_done_twice_and_replays_is_valid() -> None:
    outcome = PlannedRun(0, SHORT, twice=True).do().outcome
    assert (outcome.status, outcome.twice) == ("valid", True)


def test_a_run_that_does_not_replay_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = itertools.count(1)

    def generator(plan: Plan) -> Generator:
        number = next(runs)  # A workload that remembers its last run.
        return mix(plan.seed, (1, numbered(lambda at: Invocation("put", {"write": at}, f"r{at % (3 + number)}"))))

    forgetful = Workload(
        name="registers",
        summary="",
        interface="VersionedStore",
        schemas=registers.SCHEMAS,
        client=registers.WORKLOAD.client,
        generator=generator,
        final=registers.WORKLOAD.final,
        checkers={},
        config=registers.WORKLOAD.config,
    )
    found = catalogue._load
    monkeypatch.setattr(
        catalogue, "_load", lambda group, kind, name: forgetful if kind == "workload" else found(group, kind, name)
    )
    outcome = PlannedRun(0, SHORT, twice=True).do().outcome
    assert outcome.status == "broken"
    assert outcome.reason.startswith("run a second time, its history differs from line ")


def test_an_experiment_that_cannot_be_is_broken() -> None:
    outcome = PlannedRun(0, Experiment("registers", nodes=2, config={"n": "3"})).do().outcome
    assert outcome.status == "broken"
    assert "n=3 with 2 members" in outcome.reason
