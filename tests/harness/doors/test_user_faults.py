"""Faults in a user's code are shown with the user's file and line, and are never taken for the project's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """\
from dataclasses import replace
from splitbrain import Checker, Program
from splitbrain.workloads.sets import WORKLOAD as SETS

def boo(*_, **__):
    return {}["boo"]  # line 6

class Client:
    def __init__(self, connection): self.connection = connection
    async def invoke(self, invocation): return boo()
    async def close(self): await self.connection.close()

class Generator:
    def op(self, test, context): return boo()
    def update(self, test, context, event): return self

checker = Checker("mine", "nothing is lost", lambda history: boo())

class Server:
    name, config, interfaces = "server", {}, frozenset({"VersionedStore"})
    def configure(self, config, *, seed, nodes): return self
    async def start(self, environment, machine):
        await machine.start(Program("serverd", ("serverd", *(m.host for m in environment.machines.values()))))

SERVER = Server()
CLIENT = replace(SETS, name="client", client=lambda connection, shared, config: Client(connection))
GENERATOR = replace(SETS, name="generator", generator=lambda plan: Generator())
FINAL = replace(SETS, name="final", final=boo)
PLAN = replace(SETS, name="plan", generator=boo)
CHECKER = replace(SETS, name="checker", checkers={"mine": {}})
"""
REGISTERED = """\
[splitbrain.workloads]
client = faulty:CLIENT
generator = faulty:GENERATOR
final = faulty:FINAL
plan = faulty:PLAN
checker = faulty:CHECKER
torn = torn:WORKLOAD
unparsable = unparsable:WORKLOAD

[splitbrain.systems]
server = faulty:SERVER

[splitbrain.checkers]
mine = faulty:checker
torn = torn:checker
"""
WHERE = "KeyError: 'boo' at faulty.py:6"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with faults in all that it registers, as pip would leave it in the folder."""
    (tmp_path / "faulty.py").write_text(PLUGIN)
    (tmp_path / "torn.py").write_text("import json\n\njson.loads('{')\n")
    (tmp_path / "unparsable.py").write_text("def (:\n")
    metadata = tmp_path / "faulty-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(REGISTERED)
    return tmp_path


def splitbrain(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "splitbrain.harness.doors.cli", *words],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "internal error" not in done.stderr and "report it" not in done.stderr
    assert "Traceback" not in done.stderr
    return done


def run(package: Path, workload: str) -> subprocess.CompletedProcess[str]:
    return splitbrain(package, "run", workload, "--time-limit", "2", "--seed", "1", "--nodes", "3", "--json")


def test_a_clients_fault_was_counted_without_where(package: Path) -> None:
    done = run(package, "client")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["reason"].endswith(f"crash: {WHERE}")
    # The place is not in the history: it would be another on another machine.
    assert "faulty.py" not in (package / "runs/latest/history.jsonl").read_text()


@pytest.mark.parametrize("workload", ["generator", "final"])
def test_a_generators_fault_was_shown_without_where(package: Path, workload: str) -> None:
    done = run(package, workload)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["reason"].startswith(f"{WHERE}; see runs/{workload}/")


def test_a_checkers_fault_was_shown_without_where(package: Path) -> None:
    done = run(package, "checker")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["broken"]["mine"] == WHERE
    history = str(package / "runs/latest/history.jsonl")
    assert WHERE in splitbrain(package, "check", history, "--checker", "mine").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "plan"), WHERE),
        (("run", "sets", "--system", "server"), "server can't be simulated: its program serverd has no `simulate`"),
        (("run", "torn"), "at torn.py:3"),
        (("run", "unparsable"), "at unparsable.py:1"),
        (("check", "faulty.py", "--checker", "torn"), "torn.py:3"),
    ],
)
def test_a_plugins_fault_before_the_start_names_its_line_and_makes_no_folder(
    package: Path, words: tuple[str, ...], said: str
) -> None:
    done = splitbrain(package, *words)
    assert done.returncode == 64, done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (package / "runs").exists()
