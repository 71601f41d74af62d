"""The same promises where nodes are containers: one run for each of the ways that leave something behind.

What a node itself may say, its false `ls` and `tail` among it, is in tests/harness/hosts/test_ssh_machine.py. Skipped
where no Docker engine answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.harness.running.container_interrupts_run import left
from tests.hostile import evil
from tests.hostile.promises import files_of, kept

EVIL = Path(evil.__file__)
WORDS = ("run", f"{EVIL}:WORKLOAD", "--system", f"{EVIL}:SYSTEM", "--env", "docker", "--nodes", "3", "--seed", "1")


@pytest.mark.parametrize(
    ("part", "way", "code"),
    [("get", "exits", 3), ("put", "leaves", 3), ("tear_down", "swallows", 0)],
)
def test_whatever_happens_no_container_is_left_and_no_verdict_made_up(
    docker_engine: DockerClient, tmp_path: Path, part: str, way: str, code: int
) -> None:
    for name in ("temporary", "home", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("mine")
    environment = {
        **os.environ,
        "EVIL": f"{part}: {way}",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": str(EVIL.parents[2]),
    }
    before, time_limit_s = files_of(tmp_path), 5
    command = [sys.executable, "-m", "splitbrain.harness.doors.cli", *WORDS, "--time-limit", str(time_limit_s)]
    with subprocess.Popen(
        command, cwd=tmp_path / "work", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        output, errors = process.communicate(timeout=time_limit_s + 120 + 60)  # And the start of a busy engine.
    runs = tmp_path / "work" / "runs"
    kept(process.returncode, output, errors, before, files_of(tmp_path), runs)
    assert process.returncode == code, output + errors
    assert left(docker_engine, process.pid) == []
    if way != "leaves":
        verdict = json.loads((runs / "latest/results.json").read_text())["verdict"]
        assert verdict == {3: "broken", 0: "valid"}[code]
