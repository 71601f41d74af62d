"""Campaigns as users meet them: in a process of its own, short, resumed, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.campaigns.campaign import Campaign, Stop, created, resumed
from splitbrain.harness.campaigns.outcomes import read_outcomes
from splitbrain.harness.campaigns.plan import CampaignPlan
from splitbrain.harness.campaigns.summary_page import page
from splitbrain.harness.campaigns.workers import Workers, processes
from splitbrain.harness.terminal import Progress

CLI = [sys.executable, "-m", "splitbrain.harness.doors.cli"]
LOSING = ("--config", "defect=last-write-wins", "--config", "unsafe=true")


def splitbrain(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def losing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A campaign of three runs on a store that loses writes: where it was started, and what it printed."""
    cwd = tmp_path_factory.mktemp("losing")
    words = ("campaign", "registers", "--seeds", 3, "--seed", 1, "--jobs", 1, "--faults", "", *LOSING)
    done = splitbrain(*words, "--json", "--junit", "junit.xml", cwd=cwd)
    assert done.returncode == 1, done.stderr
    return cwd, json.loads(done.stdout)


def test_the_answer_counts_runs_by_status_and_tells_failures_apart(losing: tuple[Path, dict[str, Any]]) -> None:
    _, answer = losing
    assert {name: answer[name] for name in ("runs", "valid", "invalid", "unknown", "broken")} == {
        "runs": 3,
        "valid": 0,
        "invalid": 3,
        "unknown": 0,
        "broken": 0,
    }
    assert answer["verdict"] == "invalid"
    assert {signature["checker"] for signature in answer["signatures"]} >= {"lost-writes"}
    assert sum(1 for signature in answer["signatures"] if signature["first"] == 0) >= 1


def test_the_folder_of_a_failure_is_kept_and_its_command_replays_it(losing: tuple[Path, dict[str, Any]]) -> None:
    cwd, answer = losing
    first = answer["signatures"][0]
    results = json.loads((cwd / first["folder"] / "results.json").read_text())
    assert results["verdict"] == "invalid"
    words = first["replay"].split()
    assert words[:3] == ["splitbrain", "run", "registers"]
    done = splitbrain(*words[1:], "--json", cwd=cwd)
    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == results["reason"]


def test_the_page_names_what_was_found_and_makes_no_request(losing: tuple[Path, dict[str, Any]]) -> None:
    cwd, answer = losing
    text = (cwd / answer["folder"] / "index.html").read_text()
    assert "lost-writes" in text
    assert answer["signatures"][0]["replay"].replace("'", "&#39;") in text
    assert "<script" not in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_the_junit_file_has_a_case_for_each_run(losing: tuple[Path, dict[str, Any]]) -> None:
    cwd, _ = losing
    suite = ET.parse(cwd / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "3")
    assert len(suite.findall("testcase/failure")) == 3


def test_a_resumed_campaign_does_what_is_missing_and_nothing_twice(losing: tuple[Path, dict[str, Any]]) -> None:
    cwd, answer = losing
    results = cwd / answer["folder"] / "results.jsonl"
    before = results.read_bytes()
    results.write_bytes(before[: before.rfind(b"\n", 0, -1) + 10])  # The last line is torn.
    done = splitbrain("campaign", "--resume", answer["folder"], "--seeds", 3, "--jobs", 1, "--json", cwd=cwd)
    assert done.returncode == 1, done.stderr
    again = json.loads(done.stdout)
    assert again["runs"] == 3
    kept = before[: before.rfind(b"\n", 0, -1) + 1]
    assert results.read_bytes().startswith(kept)
    assert [each["folder"] for each in again["signatures"]] == [each["folder"] for each in answer["signatures"]]


def test_a_resumed_campaign_takes_no_other_plan(losing: tuple[Path, dict[str, Any]]) -> None:
    cwd, answer = losing
    done = splitbrain("campaign", "sets", "--resume", answer["folder"], "--swarm", cwd=cwd)
    assert done.returncode == 64
    assert "WORKLOAD, --swarm: the campaign in" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume", "nowhere"], "campaign.json, No such file or directory; give the folder of a campaign"),
        (["--for", "soon"], "is no duration; write it as 90s, 30m or 8h"),
        (["--seeds", "0"], "--seeds"),
        (["registres"], "did you mean registers"),
        (["--faults", "partitoin"], "did you mean partition"),
        (["--executor", "dask://x:1", "--jobs", "2"], "give one of them"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = splitbrain("campaign", *words, cwd=tmp_path)
    assert done.returncode == 64
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_campaign_keeps_and_sums_up_what_was_done(tmp_path: Path) -> None:
    words = ["campaign", "registers", "--faults", "", "--seeds", "10000", "--seed", "1", "--jobs", "1", "--json"]
    with subprocess.Popen([*CLI, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 200
        while not any(path.stat().st_size for path in tmp_path.glob("campaigns/*/results.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=200)
    assert process.returncode == 130
    answer = json.loads(printed)
    assert answer["interrupted"]
    assert answer["runs"] == answer["valid"] >= 1
    assert len(read_outcomes(tmp_path / answer["folder"] / "results.jsonl")) == answer["runs"]
    assert (tmp_path / answer["folder"] / "index.html").exists()


def test_a_campaign_stops_after_so_many_failures(tmp_path: Path) -> None:
    plan = CampaignPlan(seed=1, workloads=("registers",), faults=(), config={"conflicts": "lww", "lww_clock": "wall"})
    workers = Workers(processes(), 1)
    folder = created(tmp_path, plan)
    summary = Campaign(plan, folder, workers, Stop(runs=50, failures=1), Progress(quiet=True)).go()
    assert [outcome.status for outcome in summary.outcomes if outcome.status == "invalid"] == ["invalid"]
    assert len(summary.outcomes) < 10
    assert resumed(folder) == plan
    text = page(summary, [], {})
    assert text == page(summary, [], {})
