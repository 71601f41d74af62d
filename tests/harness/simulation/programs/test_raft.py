"""The Raft example, a program with TCP and files: the same seed gives the same bytes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.simulation.programs.raft_run import everything
from tests.house import ROOT
from tests.installed import install

RUN = "run swaps --system raft --nodes 3 --faults partition,kill,pause --seed 4 --time-limit 15 --rate 50"


@pytest.fixture
def run(tmp_path: Path):
    """Runs the example in a Python of its own, with that hash seed. Returns the run's folder."""
    paths = install(ROOT / "examples" / "raft", tmp_path / "site")

    def in_a_process(hash_seed: str) -> Path:
        out = tmp_path / hash_seed
        out.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [str(Path(sys.executable).parent / "splitbrain"), *shlex.split(RUN)]
        done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return out / "runs" / "latest"

    return in_a_process


def test_history_and_logs_are_the_same_whatever_the_hash_seed(run):
    one, other = run("1"), run("4711")
    assert everything(one) == everything(other)
    logs = sorted(path.relative_to(one).as_posix() for path in one.rglob("*.log"))
    assert logs == [f"nodes/n{number}/raft.log" for number in (1, 2, 3)]
    assert b" leads in term " in everything(one)
