"""The nodes in examples/maelstrom/ do what their openings say, each by the commands that it gives."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

EXAMPLES = ROOT / "examples"
COMMAND = re.compile(r"^ {4}(splitbrain .*|cc .*)$", re.MULTILINE)
INVALID = {
    "broadcast.py": {"once": "broadcast: "},
    "kv_proxy.py": {"seq-kv": "linearizable: "},
    "transactions.py": {"blind": "transactions: not strict-serializable"},
    "ids.c": {"counted": "unique-ids: "},
}
"""By file and argument, what the mistake that it makes is found by. All else is valid."""


def commands(name: str) -> list[str]:
    return COMMAND.findall((EXAMPLES / "maelstrom" / name).read_text())


def runs() -> list[tuple[str, str]]:
    names = sorted(path.name for path in (EXAMPLES / "maelstrom").iterdir() if path.is_file())
    return [(name, command) for name in names for command in commands(name) if command.startswith("splitbrain")]


@pytest.mark.parametrize(("name", "command"), runs())
def test_a_node_comes_out_as_its_opening_says(name: str, command: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "maelstrom", tmp_path / "maelstrom")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if name.endswith(".c"):
        if shutil.which("cc") is None:
            pytest.skip("no C compiler is installed")
        build = next(each for each in commands(name) if each.startswith("cc"))
        subprocess.run([*shlex.split(build), "-Wall", "-Wextra", "-Werror"], cwd=tmp_path, check=True, timeout=120)
    # A seed, so that the faults are the same each time; what they meet is still real time's.
    words = shlex.split(command.replace("splitbrain run", "splitbrain run --seed 3", 1))
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    mistake = next((why for argument, why in INVALID.get(name, {}).items() if words[-1] == argument), None)
    expected = "VALID: " if mistake is None else f"INVALID: {mistake}"
    assert done.stdout.startswith(expected), done.stdout + done.stderr
    assert done.returncode == (0 if mistake is None else 1)


def test_all_ten_workloads_have_an_example() -> None:
    shown = {command.split()[2] for _, command in runs()}
    assert shown >= {"echo", "unique-ids", "broadcast", "g-set", "g-counter", "pn-counter", "kafka", "lin-kv"}
    assert shown >= {"txn-list-append", "txn-rw-register"}
