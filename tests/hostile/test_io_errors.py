"""A disk that fails at some of the writes and syncs; `io_errors_run` does it at each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.io_errors_run import library

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("scenario", "step"), [("store", 9), ("run", 13), ("campaign", 1)])
def test_wherever_the_disk_fails_nothing_acknowledged_is_lost_and_no_verdict_is_made_up(
    tmp_path: Path, scenario: str, step: int
) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(library(tmp_path))}
    words = [sys.executable, "-m", "tests.hostile.io_errors_run", scenario, str(step)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 wrong") == 2
    assert done.stderr == ""
