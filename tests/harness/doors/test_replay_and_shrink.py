"""`splitbrain replay` and `splitbrain shrink` as a user meets them: in processes of their own."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from splitbrain.harness.replays.finding import findings
from splitbrain.harness.replays.recorded import recorded

COMMAND = [sys.executable, "-m", "splitbrain.harness.doors.cli"]
RUN = ["run", "registers", "--nodes", "3", "--time-limit", "4", "--rate", "30", "--seed", "1"]
DEFECT = ["--config", "defect=context-of-one-sibling", "--config", "unsafe=true"]


def splitbrain(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that failed, `failed`, and one that is valid, `valid`."""
    cwd = tmp_path_factory.mktemp("runs")
    for name, more, code in (("failed", DEFECT, 1), ("valid", [], 0)):
        done = splitbrain(*RUN, *more, "--json", cwd=cwd)
        assert done.returncode == code, done.stdout + done.stderr
        (cwd / json.loads(done.stdout)["folder"]).rename(cwd / name)
    return cwd


def test_a_run_is_replayed_from_its_folder(runs: Path) -> None:
    done = splitbrain("replay", "failed", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "the same, byte for byte"
    found = findings(recorded(runs / "failed").results())[0]
    assert f"reproduced on simulated machines: yes ({found})" in done.stdout
    answer = json.loads(splitbrain("replay", "valid", "--json", cwd=runs).stdout)
    assert answer["same"] is True and answer["verdict"] == "valid" and "finding" not in answer


def test_a_replay_that_differs_is_broken_and_names_the_line(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "valid", tmp_path / "other")
    run = json.loads((tmp_path / "other" / "run.json").read_bytes())
    (tmp_path / "other" / "run.json").write_text(json.dumps({**run, "seed": 2}))
    done = splitbrain("replay", "other", cwd=tmp_path)
    assert done.returncode == 3
    assert re.match(r"line \d+ differs\n  recorded +\{.*\n  now +\{", done.stdout)


def test_a_failed_run_is_shrunk_to_a_few_operations_and_its_own_replay_line_is_right(runs: Path) -> None:
    done = splitbrain("shrink", "failed", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["operations"] <= 6 and answer["strikes"] == 0 and answer["folder"] == "failed/shrunk"
    assert 0 < answer["cpu_s"] < 60 and answer["operations_before"] > 50
    assert (runs / answer["test"]).is_file() and (runs / "failed/shrunk/report.html").is_file()
    report = (runs / "failed/shrunk/report.html").read_text()
    assert "splitbrain replay failed/shrunk" in report
    assert splitbrain("replay", "failed/shrunk", cwd=runs).stdout.startswith("the same")


def test_progress_is_shown_and_the_end_names_the_test(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "failed", tmp_path / "again", ignore=shutil.ignore_patterns("shrunk", "replays"))
    done = splitbrain("shrink", "again", "--jobs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"CPU s +\d+ trials +\d+ operations, 0 strikes", done.stderr)) >= 3
    assert re.match(r"[a-z -]+: [a-z ]+: \d operations, 0 strikes on 3 nodes; it had ", done.stdout)
    assert re.search(r"^test +again/shrunk/test_registers_\w+\.py$", done.stdout, re.MULTILINE)
    assert "replay  splitbrain replay again/shrunk" in done.stdout


def test_an_interrupt_leaves_the_smallest_run_so_far(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "failed", tmp_path / "cut", ignore=shutil.ignore_patterns("shrunk", "replays"))
    with subprocess.Popen(
        [*COMMAND, "shrink", "cut"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "trials" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(120) == 130
    assert "the smallest run so far: cut/shrunk" in rest and "splitbrain: interrupted" in rest
    assert set(findings(recorded(tmp_path / "cut").results())) & set(
        findings(recorded(tmp_path / "cut/shrunk").results())
    )
    assert not list((tmp_path / "cut").glob(".trials-*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "nowhere"), "nowhere/run.json does not exist: nowhere is no run folder"),
        (("shrink", "nowhere"), "nowhere/run.json does not exist: nowhere is no run folder"),
        (("shrink", "valid"), "valid is valid: there is nothing to shrink; give the folder of an invalid run"),
        (("replay", "valid", "--env", "moon"), "unknown environment 'moon'; known: "),
        (("shrink", "valid", "--budget", "0"), "--budget"),
    ],
)
def test_nonsense_is_refused_in_one_line(runs: Path, words: tuple[str, ...], said: str) -> None:
    done = splitbrain(*words, cwd=runs)
    assert done.returncode == 64 and said in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""
