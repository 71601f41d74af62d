"""`splitbrain serve` and `splitbrain compare`, as commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "splitbrain"
EVENT = '{"index":0,"time":0,"process":0,"type":"invoke","f":"add","value":VALUE}\n'


@pytest.fixture
def runs(tmp_path) -> Path:
    for name, value in (("1", "5"), ("2", "6")):
        folder = tmp_path / "runs" / "sets" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"workload": "sets", "seed": int(name)}))
        (folder / "results.json").write_text(json.dumps({"verdict": "valid", "reason": "fine"}))
        (folder / "history.jsonl").write_text(EVENT.replace("VALUE", value))
    return tmp_path


def done(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        [COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_tells_where_it_is_and_ends_well_with_a_signal(runs, number):
    pytest.importorskip("uvicorn")
    environment = {**os.environ, "XDG_CACHE_HOME": str(runs / "cache")}
    serving = subprocess.Popen(
        [COMMAND, "serve", "--port", "0"], cwd=runs, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert "2</span> runs" in answer.read().decode()
        serving.send_signal(number)
        rest = serving.communicate(timeout=60)
        assert (serving.returncode, rest) == (0, ("", ""))
    finally:
        serving.kill()
        serving.wait()


def test_a_port_that_is_taken_is_refused_in_a_line(runs):
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = done(runs, "serve", "--port", str(port))
    assert told.returncode == 64
    assert told.stderr == (
        f"splitbrain: can't listen on 127.0.0.1, port {port} (Address already in use); give another with --host or --port\n"
    )


def test_static_pages_are_written_and_the_first_one_is_told(runs):
    told = done(runs, "serve", "--static", "site")
    assert (told.returncode, told.stdout) == (0, "site/index.html  (2 runs)\n")
    assert (runs / "site" / "runs" / "runs" / "sets" / "1" / "report.html").is_file()


def test_where_there_are_no_runs_that_is_said(tmp_path):
    told = done(tmp_path, "serve")
    assert (told.returncode, told.stderr) == (
        64,
        "splitbrain: none of runs, campaigns, suites is here; name a folder with runs\n",
    )


def test_compare_tells_the_settings_and_the_first_event_that_differ(runs):
    told = done(runs, "compare", "runs/sets/1", "runs/sets/2")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[:2] == ["A  VALID  runs/sets/1", "B  VALID  runs/sets/2"]
    assert "  seed: 1 | 2" in lines and "verdicts: nothing differs" in lines
    at = lines.index("the first event that differs is on line 1 of history.jsonl:")
    assert [line.strip() for line in lines[at + 1 :]] == [
        f"A  {EVENT.replace('VALUE', '5').strip()}",
        f"B  {EVENT.replace('VALUE', '6').strip()}",
    ]


def test_compare_as_json_has_the_same(runs):
    told = json.loads(done(runs, "compare", "runs/sets/1", "runs/sets/2", "--json").stdout)
    assert (told["settings"], told["same_events"]) == ({"seed": ["1", "2"]}, 0)
    assert told["first_difference"]["fields"] == {"value": ["5", "6"]}


def test_a_run_beside_itself_differs_in_nothing(runs):
    told = done(runs, "compare", "runs/sets/1", "runs/sets/1").stdout
    assert "the histories are the same, line by line (1)" in told and "configuration: nothing differs" in told


def test_what_is_no_run_can_t_be_compared(runs):
    told = done(runs, "compare", "runs/sets/1", "runs")
    assert (told.returncode, told.stderr) == (64, "splitbrain: runs is no run's folder; give one such as runs/latest\n")
