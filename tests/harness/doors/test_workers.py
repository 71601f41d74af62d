"""The processes that a command works with do not outlive it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLI = (sys.executable, "-m", "splitbrain.harness.doors.cli")

SLOW = """
import os, pathlib, time
from splitbrain.checkers.linearizability import Model

class Slow(Model):
    name = "slow"

    def step(self, state, call):
        pathlib.Path(f"worker-{os.getpid()}").touch()
        time.sleep(3600)
"""


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see which processes run")
def test_workers_do_not_outlive_a_command_that_was_killed(tmp_path):
    (tmp_path / "slow_model.py").write_text(SLOW)
    lines = []
    for key in ("a", "b"):
        for f, value in (("write", 1), ("read", None)):
            for type_, told in (("invoke", value), ("ok", 1)):
                at = len(lines)
                event = {"index": at, "time": at, "process": 0, "type": type_, "f": f, "key": key, "value": told}
                lines.append(json.dumps(event) + "\n")
    (tmp_path / "history.jsonl").write_text("".join(lines))
    words = ["check", "history.jsonl", "--checker", "linearizable", "--model", "slow_model:Slow", "--jobs", "2"]
    with subprocess.Popen([*CLI, *words], cwd=tmp_path) as check:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("worker-*")):
            assert time.monotonic() < deadline and check.poll() is None
            time.sleep(0.05)
        check.send_signal(signal.SIGKILL)
    workers = [int(file.name.removeprefix("worker-")) for file in tmp_path.glob("worker-*")]
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
