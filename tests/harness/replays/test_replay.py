"""Replays of runs from their folders, in simulation; those in containers are in tests/jepsen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from splitbrain.checkers import History
from splitbrain.checkers.histories.event import Event, encode
from splitbrain.harness.nemesis import Strike
from splitbrain.harness.replays.finding import Finding, findings
from splitbrain.harness.replays.recorded import recorded, script
from splitbrain.harness.replays.replay import Difference, differing, replay
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import ResultsError
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

QUIET = Progress(quiet=True)
DRAWN = Experiment("registers", nodes=3, faults=("kill",), time_limit_s=3, rate=20, seed=5)
GIVEN = replace(
    DRAWN,
    faults=("partition",),
    config={"defect": "context-of-one-sibling", "unsafe": "true", "keys": "1"},
    strikes=(Strike(4, "partition", 0.5, 0.5, {"shape": "isolate-one", "cut": [["n1", "n2"], ["n2", "n1"]]}),),
    operations=(
        ScriptedOperation(0.0, 0, "put", "r0", {"write": 0}, "n1"),
        ScriptedOperation(0.1, 1, "put", "r0", {"write": 1}, "n2"),
        ScriptedOperation(0.2, 1, "read", "r0", None, "n2"),
        ScriptedOperation(0.3, 1, "put", "r0", {"write": 2}, "n2"),
    ),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a run that was drawn, and of one that was given its strikes and operations, and failed."""
    out = tmp_path_factory.mktemp("runs")
    return {
        name: run(experiment, out=out / name, report=False).folder
        for name, experiment in (("drawn", DRAWN), ("given", GIVEN))
    }


@pytest.mark.parametrize("name", ["drawn", "given"])
def test_a_simulated_run_is_the_same_byte_for_byte(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    again = replay(recorded(folders[name]), environment=None, out=tmp_path, progress=QUIET)
    assert again.difference is None and again.exit_code == 0
    assert (again.result.folder / "history.jsonl").read_bytes() == (folders[name] / "history.jsonl").read_bytes()
    assert "the same, byte for byte" in again.lines()


def test_what_was_found_and_whether_it_came_again_is_told(folders: dict[str, Path], tmp_path: Path) -> None:
    again = replay(recorded(folders["given"]), environment=None, out=tmp_path, progress=QUIET)
    assert again.finding == Finding("siblings", "false siblings") and again.reproduced
    assert again.as_dict()["reproduced"] == "yes" and again.as_dict()["same"] is True
    assert replay(recorded(folders["drawn"]), environment=None, out=tmp_path, progress=QUIET).finding is None


def test_a_run_that_is_another_is_told_by_its_first_line_that_differs(folders: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("run.json", "schedule.json", "results.json", "history.jsonl"):
        (other / name).write_bytes((folders["drawn"] / name).read_bytes())
    lines = (other / "history.jsonl").read_bytes().splitlines(keepends=True)
    event = json.loads(lines[11])
    lines[11] = json.dumps({**event, "time": event["time"] + 1}).encode() + b"\n"
    (other / "history.jsonl").write_bytes(b"".join(lines))
    again = replay(recorded(other), environment=None, out=tmp_path / "out", progress=QUIET)
    assert again.difference is not None and again.difference.line == 12
    assert json.loads(again.difference.before or "")["time"] == event["time"] + 1
    assert json.loads(again.difference.after or "") == event
    assert again.exit_code == 3 and again.as_dict()["line"] == 12


def test_a_history_that_is_longer_differs_after_the_end_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"a\nb\n")
    (tmp_path / "other").write_bytes(b"a\nb\nc\n")
    assert differing(tmp_path / "one", tmp_path / "other") == Difference(3, None, "c")
    assert differing(tmp_path / "other", tmp_path / "one") == Difference(3, "c", None)
    assert differing(tmp_path / "one", tmp_path / "one") is None


def test_a_script_is_what_clients_invoked_in_the_load_each_when_it_was_due() -> None:
    events = [
        Event(0, 5, "nemesis", "info", "stage", value="load"),
        Event(1, 1_005, 2, "invoke", "put", "r0", {"write": 1}, "n2"),
        Event(2, 2_000, "nemesis", "info", "start-partition", value={"fault": "partition", "phase": "start"}),
        Event(3, 3_000, 2, "info", "put", "r0", {"write": 1}, "n2", "timeout: none"),
        Event(4, 2_000_000_005, 17, "invoke", "read", "r0", None, "n1", due=1_000_000_005),
        Event(5, 3_000_000_000, 17, "ok", "read", "r0", [1], "n1"),
        Event(6, 3_000_000_001, "nemesis", "info", "stage", value="recovery"),
        Event(7, 3_000_000_002, 3, "invoke", "read", "r0", None, "n1"),
    ]
    assert script(History.parse([encode(event) for event in events])) == (
        ScriptedOperation(0.000_001, 0, "put", "r0", {"write": 1}, "n2"),
        ScriptedOperation(1.0, 1, "read", "r0", None, "n1"),
    )


def test_the_script_of_a_run_does_the_same_operations_at_the_same_times(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    before = recorded(folders["drawn"])
    operations = script(before.history())
    processes = 1 + max(operation.process for operation in operations)
    again = run(replace(before.experiment, operations=operations, concurrency=processes), out=tmp_path, report=False)
    assert script(recorded(again.folder).history()) == operations


def test_the_replay_line_of_a_run_that_no_seed_can_tell_names_its_folder(folders: dict[str, Path]) -> None:
    for name, command in (("drawn", "splitbrain run registers --env sim"), ("given", "splitbrain replay /")):
        assert json.loads((folders[name] / "run.json").read_bytes())["command"].startswith(command)


def test_a_schedule_keeps_the_strikes_that_were_drawn(folders: dict[str, Path]) -> None:
    strikes = recorded(folders["drawn"]).experiment.strikes
    assert strikes and {strike.family for strike in strikes} == {"kill"}
    started = [
        event
        for event in recorded(folders["drawn"]).history().events
        if event.process == "nemesis" and isinstance(event.value, dict) and event.value.get("phase") == "start"
    ]
    assert {event.value["strike"] for event in started} == {strike.number for strike in strikes}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda folder: (folder / "run.json").unlink(), "is no run folder; give the folder of a run"),
        (lambda folder: (folder / "run.json").write_text("{}"), "does not describe a run"),
        (lambda folder: (folder / "run.json").write_text("]"), "can't read"),
        (lambda folder: (folder / "schedule.json").unlink(), "schedule.json"),
        (lambda folder: (folder / "schedule.json").write_text('{"version": 9}'), "has version 9, and 1 is known"),
        (lambda folder: (folder / "history.jsonl").unlink(), "can't read"),
        (lambda folder: _cut(folder / "history.jsonl"), "the run did not come to its end; run it again"),
        (lambda folder: (folder / "results.json").unlink(), "the run did not come to its end; run it again"),
    ],
)
def test_a_folder_that_can_not_be_replayed_is_refused_in_one_line(
    folders: dict[str, Path], tmp_path: Path, broken, said
) -> None:
    for name in ("run.json", "schedule.json", "results.json", "history.jsonl"):
        (tmp_path / name).write_bytes((folders["drawn"] / name).read_bytes())
    broken(tmp_path)
    with pytest.raises(ResultsError) as problem:
        replay(recorded(tmp_path), environment=None, out=tmp_path / "out", progress=QUIET)
    assert said in str(problem.value) and "\n" not in str(problem.value)
    assert not (tmp_path / "out").exists()


def _cut(history: Path) -> None:
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(lines[: len(lines) // 2]))


def test_a_finding_is_a_checker_and_the_kind_of_its_anomaly() -> None:
    results = {
        "checkers": {
            "lost-writes": {"verdict": "valid"},
            "siblings": {"verdict": "invalid", "witness": {"data": {"kind": "explosion", "key": "r0"}}},
            "evidence": {"verdict": "unknown"},
            "mine": {"verdict": "invalid", "witness": {"text": "wrong", "data": None}},
        }
    }
    assert findings(results) == (Finding("siblings", "explosion"), Finding("mine", ""))
    assert [str(each) for each in findings(results)] == ["siblings: explosion", "mine"]
    assert findings({"verdict": "broken", "reason": "no history"}) == ()
