"""`splitbrain check` where nobody named a checker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from splitbrain.checkers import Event, encode
from splitbrain.harness.doors.commands import cli
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from tests.checkers.lines import Lines

REGISTER = Lines("x").ok(0, "write", 1).ok(0, "read", None, 1)
STALE = Lines("x").ok(0, "write", 1).ok(0, "read", None)


@pytest.fixture(autouse=True)
def _unfrozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitbrain.harness.doors.commands.gc.freeze", lambda: None)


def recorded(path: Path, events: list[Event]) -> str:
    path.write_bytes(b"".join(map(encode, events)))
    return str(path)


def invoke(*words: str) -> Any:
    return CliRunner().invoke(cli, ["check", *words])


def test_the_operations_tell_the_checker_and_the_answer_says_which_and_why(tmp_path: Path) -> None:
    valid = invoke(recorded(tmp_path / "valid.jsonl", REGISTER.events))
    assert valid.exit_code == 0
    told = "chosen, as a register is read and written: linearizable (as a register); --checker names others"
    assert valid.output.splitlines()[-1] == told
    stale = invoke(recorded(tmp_path / "stale.jsonl", STALE.events), "--json")
    assert stale.exit_code == 1
    answer = json.loads(stale.output)
    assert answer["verdict"] == "invalid"
    assert answer["chosen"] == {
        "checkers": {"linearizable": {"model": "register"}},
        "why": "a register is read and written",
    }


def test_a_checker_that_was_named_is_the_only_one(tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.jsonl", REGISTER.events)
    assert "chosen" not in invoke(history, "--checker", "stats").output
    assert "chosen" not in json.loads(invoke(history, "--checker", "stats", "--json").output)


def test_options_go_to_the_checker_that_was_chosen(tmp_path: Path) -> None:
    counted = Lines().ok(0, "add", 1).ok(0, "read", None, 6)
    history = recorded(tmp_path / "history.jsonl", counted.events)
    assert invoke(history).exit_code == 1
    assert invoke(history, "--option", "initial=5").exit_code == 0
    wrong = invoke(history, "--option", "depth=5")
    assert str(wrong.exception) == "--option depth: no such option; counter has initial"


def test_operations_that_tell_no_checker_are_refused_with_those_there_are(tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.jsonl", Lines().ok(0, "rotate", 1).events)
    refused = str(invoke(history).exception)
    assert refused.startswith(f"{history}: no checker can be told: its operations (rotate), ")
    assert "name one with --checker: lost-writes, " in refused


def test_the_folder_of_a_run_is_judged_as_its_run_was(tmp_path: Path) -> None:
    result = run(Experiment("sets", nodes=3, time_limit_s=2, fail_if=("max>1us",)), out=tmp_path)
    assert result.status == "invalid"
    assert result.verdict is not None
    done = invoke(str(result.folder), "--json")
    assert done.exit_code == 1
    answer = json.loads(done.output)
    # `evidence` among them, which no workload names, and the thresholds of the command line.
    assert list(answer["checkers"]) == list(result.verdict.parts)
    assert answer["checkers"]["thresholds"]["thresholds"] == result.verdict.parts["thresholds"].evidence["thresholds"]
    assert answer["reason"] == result.reason
    assert answer["chosen"]["why"] == "its run of sets was judged by them"


def test_a_folder_whose_workload_is_gone_is_judged_by_its_operations(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    recorded(folder / "history.jsonl", REGISTER.events)
    assert "chosen, as the folder has no run.json that can be read, and a register is" in invoke(str(folder)).output
    (folder / "run.json").write_text(json.dumps({"workload": "elsewhere", "faults": []}))
    assert "chosen, as its workload elsewhere is not installed, and a register is" in invoke(str(folder)).output
