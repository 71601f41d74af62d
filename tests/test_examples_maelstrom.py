"""The nodes in examples/maelstrom/ do what their openings say, each by the commands that it gives."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


def outcome(name: str, command: str, folder: Path) -> str:
    """Run a command as the opening of that file gives it. Returns what is wrong with what came out; "" if nothing."""
    folder.mkdir()
    shutil.copytree(EXAMPLES / "maelstrom", folder / "maelstrom")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if name.endswith(".c"):
        build = next(each for each in commands(name) if each.startswith("cc"))
        subprocess.run([*shlex.split(build), "-Wall", "-Wextra", "-Werror"], cwd=folder, check=True, timeout=120)
    # A seed, so that the faults are the same each time; what they meet is still real time's.
    words = shlex.split(command.replace("splitbrain run", "splitbrain run --seed 3", 1))
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    mistake = next((why for argument, why in INVALID.get(name, {}).items() if words[-1] == argument), None)
    expected, code = ("VALID: ", 0) if mistake is None else (f"INVALID: {mistake}", 1)
    if done.stdout.startswith(expected) and done.returncode == code:
        return ""
    return f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"


def test_each_node_comes_out_as_its_opening_says(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    # They take real time, and little of a processor's.
    with ThreadPoolExecutor(3) as several:
        folders = [tmp_path / str(number) for number in range(len(runs()))]
        wrong = list(several.map(outcome, *zip(*runs(), strict=True), folders))
    assert "\n".join(each for each in wrong if each) == ""


def test_all_ten_workloads_have_an_example() -> None:
    shown = {command.split()[2] for _, command in runs()}
    assert shown >= {"echo", "unique-ids", "broadcast", "g-set", "g-counter", "pn-counter", "kafka", "lin-kv"}
    assert shown >= {"txn-list-append", "txn-rw-register"}
