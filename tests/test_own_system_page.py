"""The page on systems of one's own, followed literally: its commands in its order, with its files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

PAGE = (ROOT / "docs" / "your-own-system.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PYTHON = re.search(r"^```python\n(# (redis_splitbrain\.py)\n.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LIMIT_S = 600


def followed(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S
    )


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory) -> Path:
    """What the first block of the page leaves, run as it stands there."""
    folder = tmp_path_factory.mktemp("own")
    done = followed(folder, f"set -e\n{SHELL[0]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout and "\nVALID: " in done.stdout
    return folder / "mydb"


def test_the_skeleton_is_valid_in_simulation(skeleton):
    assert (skeleton / "mydb.py").exists() and (skeleton / "mydb_server.py").exists()


def test_the_skeleton_is_valid_in_containers(skeleton, docker_engine):
    done = followed(skeleton, f"set -e\n{SHELL[1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout and "\nVALID: " in done.stdout


def test_redis_with_sentinel_takes_sixty_lines_and_loses_writes(docker_engine, tmp_path):
    assert PYTHON is not None
    code, name = PYTHON.groups()
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 60
    (tmp_path / name).write_text(code)
    done = followed(tmp_path, SHELL[2])
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^INVALID: lost-writes: [\d,]+ of [\d,]+ acknowledged adds lost", done.stdout, re.MULTILINE)
