"""Parts that end the process, whatever they are: no verdict was told, so there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import evil
from tests.hostile.promises import files_of, kept

EVIL = Path(evil.__file__)
WORDS = ("run", f"{EVIL}:WORKLOAD", "--system", f"{EVIL}:SYSTEM", "--nodes", "3", "--time-limit", "2", "--rate", "30")


@pytest.mark.parametrize("part", ["describe", "generator", "start", "put", "close", "final", "tear_down"])
def test_a_part_that_ends_the_process_tells_no_verdict(tmp_path: Path, part: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "precious").write_text("mine")
    environment = {**os.environ, "EVIL": f"{part}: leaves", "PYTHONPATH": str(EVIL.parents[2])}
    command = [sys.executable, "-m", "splitbrain.harness.doors.cli", *WORDS, "--seed", "1"]
    before = files_of(tmp_path)
    done = subprocess.run(
        command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=2 + 120
    )
    kept(done.returncode, done.stdout, done.stderr, before, files_of(tmp_path), tmp_path / "work" / "runs")
    assert done.returncode == 3
    assert "no verdict: code of a client, a model or a plugin ended the process, with exit status 0" in done.stderr
