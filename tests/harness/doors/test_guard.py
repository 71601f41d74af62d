"""No exit code 0 without a printed VALID, whatever code of the user's does to the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HISTORY = """{:type :invoke, :f :write, :process 0, :value 1}
{:type :ok, :f :write, :process 0, :value 1}
{:type :invoke, :f :read, :process 1, :value nil}
{:type :ok, :f :read, :process 1, :value 1}
"""
MODELS = {
    "import os; os._exit(0)": "with exit status 0",
    "import os; os.execv('/bin/true', ['true'])": "with exit status 0",
    "import os; os._exit(1)": "with exit status 1",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "was ended by SIGKILL (is memory short?)",
    "import ctypes; ctypes.CDLL(None)._exit(0)": "with exit status 0",
}


def check(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    (folder / "history.edn").write_text(HISTORY)
    command = [
        sys.executable,
        "-m",
        "splitbrain.harness.doors.cli",
        "check",
        "history.edn",
        "--checker",
        "linearizable",
        *words,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, **options)


def test_a_verdict_that_was_printed_is_the_exit_code(tmp_path: Path) -> None:
    done = check(tmp_path, "--model", "register")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VALID")


@pytest.mark.parametrize(("code", "said"), MODELS.items())
def test_a_model_that_ends_the_process_gives_no_verdict(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "leaving_model.py").write_text(code)
    done = check(tmp_path, "--model", "leaving_model:X")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("splitbrain: no verdict: ")
    assert done.stderr.endswith(said + "\n")
    assert done.stderr.count("\n") == 1


def test_a_model_that_ends_the_process_on_its_way_out_changes_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "late_model.py").write_text("import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)")
    done = check(tmp_path, "--model", "late_model:X")
    assert done.returncode == 64
    assert "can't import late_model (SystemExit: 0 at late_model.py:3)" in done.stderr


RUN = """
import asyncio, io, os, sys
import click
import splitbrain.harness.systems.dynamo.store_system as dynamo

connect, asked = dynamo.Dynamo.connect, 0

async def tasked():
    raise SystemExit(0)

class Stop(BaseException):
    pass

def leave(how):
    match how:
        case "os._exit":
            os._exit(0)
        case "SystemExit":
            raise SystemExit(0)
        case "BaseException":
            raise Stop("no such table")
        case "CancelledError":
            raise asyncio.CancelledError
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "callback":
            asyncio.get_running_loop().call_soon(sys.exit, 0)
        case "task":
            asyncio.ensure_future(tasked())
        case "stop":
            asyncio.get_running_loop().stop()
        case "redirect":
            sys.stdout = io.StringIO()
        case "dup2":
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        case "reader left":
            reading, writing = os.pipe()
            os.close(reading)
            os.dup2(writing, 1)
        case "closed":
            sys.stdout.close()

async def leaving(self, environment, node):
    connection = await connect(self, environment, node)
    get = connection.get

    async def wrapped(key):
        global asked
        asked += 1
        if asked == 50:
            leave(how)
        return await get(key)

    connection.get = wrapped
    return connection

async def starting(self, environment, machine):
    raise SystemExit(0)

def configure(self, config, **more):
    raise SystemExit(0)

def describe(self):
    raise click.exceptions.Exit(0)

how = sys.argv.pop(1)
dynamo.Dynamo.connect = leaving
if how == "start":
    dynamo.Dynamo.start = starting
if how == "configure":
    dynamo.Dynamo.configure = configure
if how == "describe":
    dynamo.Dynamo.describe = describe
from splitbrain.harness.doors.cli import main
main()
"""


@pytest.mark.parametrize(
    ("how", "said", "code"),
    [
        ("os._exit", "no verdict", 3),
        ("SystemExit", "crash: SystemExit: 0", 3),
        ("BaseException", "crash: Stop: no such table", 3),
        ("CancelledError", "crash: CancelledError", 3),
        ("KeyboardInterrupt", "crash: KeyboardInterrupt", 3),
        ("callback", "ended by SystemExit: 0", 3),
        ("task", "ended by SystemExit: 0", 3),
        ("stop", "Event loop stopped", 3),
        ("start", "SystemExit: 0", 3),
        ("configure", "can't be prepared (SystemExit: 0)", 64),
        ("describe", "can't be described (Exit: 0)", 64),
    ],
)
def test_a_client_or_a_system_that_ends_the_program_ends_no_run_as_valid(
    tmp_path: Path, how: str, said: str, code: int
) -> None:
    words = ["run", "sets", "--nodes", "3", "--time-limit", "3", "--seed", "1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", RUN, how, *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "VALID:" not in done.stdout
    assert "Traceback" not in done.stderr
    if code == 3 and how != "os._exit":
        assert json.loads((tmp_path / "latest" / "results.json").read_text())["verdict"] == "broken"


@pytest.mark.parametrize("how", ["redirect", "dup2", "reader left", "closed"])
def test_a_client_that_redirects_the_output_hides_no_verdict(tmp_path: Path, how: str) -> None:
    words = ["run", "sets", "--nodes", "3", "--time-limit", "3", "--seed", "1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", RUN, how, *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0
    assert done.stdout.startswith("VALID:")


@pytest.mark.parametrize("error", ["SystemExit(0)", "__import__('click').exceptions.Exit(0)"])
def test_a_module_that_leaves_when_it_is_asked_for_its_model_gives_no_verdict(tmp_path: Path, error: str) -> None:
    (tmp_path / "asked_model.py").write_text(f"def __getattr__(name):\n    raise {error}\n")
    done = check(tmp_path, "--model", "asked_model:X")
    assert (done.returncode, done.stdout) == (64, "")
    assert "can't have X of asked_model" in done.stderr


WAITING = """
import os, pathlib, time
pathlib.Path("worker").write_text(str(os.getpid()))
time.sleep(3600)
"""


def started(folder: Path, **options: Any) -> tuple[subprocess.Popen[str], int]:
    """A check that waits for ever, and the process that does its work."""
    (folder / "history.edn").write_text(HISTORY)
    (folder / "waiting_model.py").write_text(WAITING)
    command = [
        sys.executable,
        "-m",
        "splitbrain.harness.doors.cli",
        "check",
        "history.edn",
        "--checker",
        "linearizable",
    ]
    process = subprocess.Popen([*command, "--model", "waiting_model:X"], cwd=folder, text=True, **options)
    worker = folder / "worker"
    until(lambda: worker.exists() and worker.read_text() != "", process)
    return process, int(worker.read_text())


def until(happened: Any, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("whom", ["the command", "its group"])
def test_an_interrupt_reaches_the_child_and_is_reported_once(tmp_path: Path, number: signal.Signals, whom: str) -> None:
    process, worker = started(tmp_path, stderr=subprocess.PIPE, start_new_session=True)
    if whom == "the command":
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "splitbrain: interrupted")
    assert gone(worker)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see which processes run")
def test_the_work_does_not_outlive_a_command_that_was_killed(tmp_path: Path) -> None:
    process, worker = started(tmp_path)
    process.kill()
    process.wait()
    until(lambda: gone(worker))
