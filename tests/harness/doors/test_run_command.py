"""`splitbrain run`: thresholds, and what it prints when it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from splitbrain.harness.doors.cli import command
from splitbrain.harness.doors.commands import cli
from splitbrain.harness.terminal import Progress

RUN = ("run", "sets", "--nodes", "3", "--seed", "1", "--time-limit", "2", "--rate", "50")


def invoke(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, [*RUN, "--out", str(tmp_path), *words])
    return done.exit_code, done.stdout, str(done.exception)


def test_a_run_that_crosses_a_threshold_is_invalid_and_says_what_was_measured(tmp_path: Path) -> None:
    code, output, _ = invoke(tmp_path, "--fail-if", "max>1us", "--fail-if", "ok-rate<1%")
    assert code == 1
    results = json.loads((tmp_path / "latest" / "results.json").read_text())
    measured = results["checkers"]["latency"]["overall"]["max"]
    assert output.startswith(f"INVALID: thresholds: max was {measured} ms (max>1us)\n")
    assert [each["crossed"] for each in results["checkers"]["thresholds"]["thresholds"]] == [True, False]
    # Its replay line says the same again, and so does what is kept of the run.
    assert "--fail-if 'max>1us' --fail-if 'ok-rate<1%'" in output
    assert json.loads((tmp_path / "latest" / "run.json").read_text())["fail_if"] == ["max>1us", "ok-rate<1%"]


def test_a_run_within_its_thresholds_is_as_valid_as_without(tmp_path: Path) -> None:
    code, output, _ = invoke(tmp_path, "--fail-if", "p99>60s", "--fail-if", "ok-rate<1%")
    assert code == 0
    assert "✓ thresholds: p99 was " in output
    assert len(output.splitlines()) <= 20


def test_the_shapes_and_targets_that_were_chosen_are_kept_and_replayed(tmp_path: Path) -> None:
    asked = "partition/halves,kill=one,examples/two_regions.py:TWO_REGIONS"
    code, output, _ = invoke(tmp_path, "--faults", asked, "--time-limit", "10")
    assert code == 0, output
    assert f"--faults {asked} --seed" in output.splitlines()[-1] and "p95 " in output
    run = tmp_path / "latest"
    assert json.loads((run / "run.json").read_text())["faults"] == asked.split(",")
    struck = [(each["family"], each["how"]) for each in json.loads((run / "schedule.json").read_text())["strikes"]]
    assert {how.get("shape", how.get("target")) for family, how in struck if family in ("partition", "kill")} == {
        "halves",
        "one",
    }
    judged = CliRunner().invoke(cli, ["check", str(run), "--json"])
    assert json.loads(judged.stdout)["verdict"] == "valid", judged.stdout
    again = CliRunner().invoke(command(), ["replay", str(run)])
    assert "the same, byte for byte" in again.stdout


def test_a_shape_that_there_is_not_is_refused_before_anything_starts(tmp_path: Path) -> None:
    code, _, said = invoke(tmp_path, "--faults", "partition/halvs")
    assert code != 0 and "did you mean halves?" in said and "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_that_can_not_be_read_is_refused_before_anything_starts(tmp_path: Path) -> None:
    code, _, said = invoke(tmp_path, "--fail-if", "p99>=300ms")
    assert code != 0
    assert said.startswith("the threshold 'p99>=300ms' can't be read; write p99>300ms, ")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_under_json_printed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In the middle of the load: a record is made, and the next one comes after the interrupt.
    records = 0

    def status(self: Progress, text: str, done: float = 0.0) -> None:
        nonlocal records
        records += 1
        if records == 100:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "status", status)
    done = CliRunner().invoke(cli, [*RUN, "--out", str(tmp_path), "--json"], standalone_mode=False)
    assert isinstance(done.exception, click.Abort)
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["verdict"] == "broken"
    assert "interrupted" in answer["reason"]
    assert Path(answer["folder"]) == tmp_path / "sets" / (tmp_path / "latest").resolve().name
    assert answer["checkers"]["evidence"]["verdict"] == "unknown"


def test_an_interrupted_run_under_json_ends_with_130_and_its_object(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "splitbrain.harness.doors.cli", *RUN[:-4], "--time-limit", "86400", "--rate", "200"]
    run = subprocess.Popen(
        [*words, "--json", "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        # Once it has recorded something.
        while not any(file.stat().st_size for file in tmp_path.glob("sets/*/history.jsonl")):
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        output, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, errors.strip()) == (130, "splitbrain: interrupted")
    assert json.loads(output)["verdict"] == "broken"


ECHO = Path(__file__).parents[3] / "examples" / "maelstrom" / "echo.py"


def test_a_program_of_one_s_own_is_named_with_its_arguments_and_runs_where_its_system_does(tmp_path: Path) -> None:
    words = ("--system", "maelstrom", "--bin", str(ECHO), "--nodes", "2", "--seed", "1", "--time-limit", "1")
    done = CliRunner().invoke(cli, ["run", "echo", *words, "--out", str(tmp_path), "--", "--one", "two words"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("VALID: ")
    assert "--env processes --system maelstrom --nodes 2 --seed 1" in done.stdout
    assert f"--config bin={ECHO} --config 'args=--one '\"'\"'two words'\"'\"''" in done.stdout
    facts = json.loads((tmp_path / "latest" / "run.json").read_text())
    assert (facts["environment"], facts["config"]) == ("processes", {"bin": str(ECHO), "args": "--one 'two words'"})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("partition",), "partition: one workload at a time; arguments of a program need --bin FILE"),
        (("--bin", "x"), "unknown configuration key 'bin'; known: "),
        (("--system", "maelstrom"), "maelstrom runs a program of yours; name it with --bin ./node"),
        (("--system", "maelstrom", "--bin", "x", "--config", "bin=y"), "--config bin is given twice, as y and as x"),
        (("--system", "maelstrom", "--bin", "/no/node"), "bin=/no/node: there is no such file"),
        (("--env", "processes"), "nodes of dynamo don't talk through the harness"),
    ],
)
def test_a_program_that_can_not_be_run_is_refused_before_anything_starts(
    words: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    workload = "echo" if "maelstrom" in words else "sets"
    done = CliRunner().invoke(cli, ["run", workload, "--out", str(tmp_path), *words])
    assert done.exit_code != 0
    assert str(done.exception).startswith(why)
    assert list(tmp_path.iterdir()) == []
