"""A suite does the runs of its file, holds each to what was wanted, and goes on where it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

LOSES = """
[[cases]]
title = "last write wins"
workload = "sets"
faults = "partition"
time-limit = 20
config = {{ conflicts = "lww" }}
expect = "{expect}"
"""


def suite(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "suite.toml").write_text(text)
    command = [sys.executable, "-m", "splitbrain", "suite", "suite.toml", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_lists_multiply_and_what_is_wanted_passes(tmp_path):
    matrix = '[[cases]]\nworkload = ["sets", "registers"]\nfaults = ["", "pause"]\ntime-limit = 5\n'
    done = suite(tmp_path, matrix + LOSES.format(expect="invalid"), "--json", "--junit", "out/junit.xml")
    form = told(done)
    assert done.returncode == 0 and form["verdict"] == "valid"
    assert form["passed"] == len(form["runs"]) == 2 * 2 + 1
    asked = {(run["workload"], "--faults pause" in run["command"]) for run in form["runs"][:4]}
    assert asked == {(workload, paused) for workload in ("sets", "registers") for paused in (False, True)}
    found = form["runs"][4]
    assert (found["status"], found["passed"]) == ("invalid", True) and "acknowledged adds lost" in found["reason"]
    assert (tmp_path / form["folder"] / found["folder"] / "report.html").exists()
    page = (tmp_path / form["folder"] / "index.html").read_text()
    assert "5 of 5 runs came out as wanted" in page and "last write wins" in page
    cases = ET.parse(tmp_path / "out/junit.xml").getroot().findall("testcase")
    assert len(cases) == 5 and not any(case.find("failure") is not None for case in cases)


@pytest.mark.parametrize("expect", ["valid", "unknown"])
def test_an_anomaly_that_was_not_wanted_fails(tmp_path, expect):
    done = suite(tmp_path, LOSES.format(expect=expect), "--junit", "junit.xml")
    assert done.returncode == 1
    assert "FAILED: 0 of 1 runs" in done.stdout and f"invalid, wanted {expect}" in done.stdout
    failure = ET.parse(tmp_path / "junit.xml").getroot().find("testcase/failure")
    assert failure is not None and "invalid" in failure.attrib["message"]


def test_an_anomaly_that_is_not_found_fails(tmp_path):
    done = suite(tmp_path, '[[cases]]\nworkload = "sets"\ntime-limit = 5\nexpect = "invalid"\n')
    assert done.returncode == 1 and "valid, wanted invalid" in done.stdout


def test_a_suite_that_is_killed_goes_on_where_it_was(tmp_path):
    text = '[[cases]]\nworkload = "sets"\nseed = [1, 2, 3]\ntime-limit = 10\n'
    (tmp_path / "suite.toml").write_text(text)
    command = [sys.executable, "-m", "splitbrain", "suite", "suite.toml"]
    running = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (results := list(tmp_path.glob("suites/*/results.jsonl"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    known = results[0].read_text().splitlines()
    assert 1 <= len(known) < 3, "killed too late for this test to say anything"
    with results[0].open("a") as file:
        file.write('{"title":"cut o')
    done = suite(tmp_path, text, "--resume", str(results[0].parent), "--json")
    form = told(done)
    assert done.returncode == 0 and form["passed"] == 3
    assert results[0].read_text().splitlines()[: len(known)] == known
    assert len({run["command"] for run in form["runs"]}) == 3


def test_what_no_time_is_left_for_is_said(tmp_path):
    done = suite(tmp_path, 'budget = "0.01s"\n[[cases]]\nworkload = "sets"\nseed = [1, 2]\ntime-limit = 2\n')
    assert done.returncode == 2
    assert "not run; go on with `splitbrain suite suite.toml --resume suites/" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=", "suite.toml is no TOML"),
        ("", "has no cases"),
        ('[[cases]]\nworkload = "stes"', "case 1: unknown workload 'stes'"),
        ('[[cases]]\nworkload = "sets"\nsed = 1', "unknown key 'sed'.*did you mean seed"),
        ('[[cases]]\nworkload = "sets"\nseed = ["a"]', "seed is 'a'; give a whole number"),
        ('[[cases]]\nworkload = "sets"\nexpect = "good"', "expect is 'good'; give one of valid"),
        ('[[cases]]\nworkload = "sets"\nfaults = "fire"', "case 1: unknown fault"),
        ('[[cases]]\nworkload = "sets"\nconfig = { quorum = "1" }', "unknown configuration key 'quorum'"),
        ('budget = "soon"\n[[cases]]\nworkload = "sets"', "budget is 'soon'; write it as"),
    ],
)
def test_a_wrong_file_is_refused_before_the_first_run(tmp_path, text, said):
    import re

    done = suite(tmp_path, text)
    assert done.returncode == 64 and not (tmp_path / "suites").exists()
    assert re.search(said, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_not_there_is_not_resumed(tmp_path):
    done = suite(tmp_path, '[[cases]]\nworkload = "sets"\n', "--resume", "nowhere")
    assert done.returncode == 64 and "there is no such folder" in done.stderr
