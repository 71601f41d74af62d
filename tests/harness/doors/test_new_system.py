"""`splitbrain new system` writes a system that works: its test passes, and fails once its server makes a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 300


def splitbrain(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "splitbrain", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)


def outcome_of(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)


def test_the_skeleton_passes_its_test_and_a_mistake_in_its_server_is_found(tmp_path):
    done = splitbrain(tmp_path, "new", "system", "my-store")
    assert done.returncode == 0 and "cd my-store" in done.stdout, done.stderr
    folder = tmp_path / "my-store"
    names = {"my_store.py", "my_store_server.py", "test_my_store.py", "pyproject.toml"}
    assert {path.name for path in folder.iterdir()} == names
    assert not any("mydb" in path.read_text().lower() for path in folder.iterdir())
    passed = outcome_of(folder)
    assert passed.returncode == 0 and "1 passed" in passed.stdout, passed.stdout + passed.stderr
    server = folder / "my_store_server.py"
    text = server.read_text()
    assert text.count("os.fsync(") == 1
    server.write_text(text.replace('old != request["old"]', "False"))
    found = outcome_of(folder)
    assert found.returncode == 1 and "INVALID: linearizable" in found.stdout, found.stdout


def test_a_name_without_dashes_is_the_module_s_too(tmp_path):
    assert splitbrain(tmp_path, "new", "system", "kv", "--out", "here/there").returncode == 0
    assert 'kv = "kv:SYSTEM"' in (tmp_path / "here/there/pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["", "My DB", "../up", "1st", "a" * 60])
def test_a_name_that_can_t_be_one_is_refused(tmp_path, name):
    done = splitbrain(tmp_path, "new", "system", name)
    assert done.returncode == 64 and "can't be a system's name" in done.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "kv").mkdir()
    (tmp_path / "kv/kv.py").write_text("mine")
    done = splitbrain(tmp_path, "new", "system", "kv")
    assert done.returncode == 64 and "kv is there already and not empty" in done.stderr
    assert (tmp_path / "kv/kv.py").read_text() == "mine"
