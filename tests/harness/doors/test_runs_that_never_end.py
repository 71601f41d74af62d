"""No run goes on for ever: whatever its code does, an interrupt ends it within seconds, and so does its time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = """
import asyncio, itertools, re, sys, time
from pathlib import Path
from splitbrain.harness.running import deadlines
from splitbrain.harness.systems.dynamo.store_system import Dynamo

how, margin_s = sys.argv.pop(1), float(sys.argv.pop(1))
deadlines.MARGIN_S, deadlines.GUARD_S, deadlines.START_S = margin_s, 6.0, 20.0
deadlines.STANDSTILL_S, deadlines.PREPARE_S = 3.0, 4.0 if margin_s < 60 else 60.0

def block():
    Path("blocked").touch()
    match how.partition(" ")[2]:
        case "sleeps":
            time.sleep(3600)
        case "swallows":
            while True:
                try:
                    time.sleep(3600)
                except BaseException:
                    pass
        case "backtracks":
            re.match("(a+)+$", "a" * 100 + "!")
        case "in C":
            sum(itertools.repeat(1, 10**15))  # Under the lock of the interpreter, deaf to signals.

async def wait():
    Path("blocked").touch()
    match how.partition(" ")[2]:
        case "waits":
            await asyncio.get_running_loop().create_future()
        case "spins":
            while True:
                await asyncio.sleep(0)
        case _:
            block()

connect = Dynamo.connect
asked = 0

async def connected(self, environment, node):
    connection = await connect(self, environment, node)
    get = connection.get
    async def wrapped(key):
        global asked
        asked += 1
        if asked == 200:
            await wait()
        return await get(key)
    connection.get = wrapped
    return connection

start = Dynamo.start

async def started(self, environment, machine):
    if how.startswith("start") and not hasattr(environment, "network"):
        return await start(self, environment, machine)  # The run asks which program it would start.
    await wait()

async def ready(self, environment, node):
    await wait()
    return True

match how.partition(" ")[0]:
    case "client":
        Dynamo.connect = connected
    case "start" | "prepare":
        Dynamo.start = started
    case "ready":
        Dynamo.ready = ready

from splitbrain.harness.doors.cli import main
main()
"""
WORDS = ("run", "sets", "--nodes", "3", "--time-limit", "5", "--seed", "1", "--out", "runs")


def command(how: str, margin_s: float, *words: str) -> list[str]:
    return [sys.executable, "-c", RUN, how, str(margin_s), *WORDS, *words]


def results(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "runs" / "latest" / "results.json").read_text())
    return found


HOWS = [
    "client sleeps",
    "client swallows",
    "client spins",
    "client backtracks",
    "start swallows",
    "start waits",
    "ready in C",
    "ready waits",
    "prepare sleeps",
    "prepare in C",
]


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("client sleeps", signal.SIGINT),
        ("client swallows", signal.SIGINT),
        ("client in C", signal.SIGTERM),
        ("start swallows", signal.SIGTERM),
        ("ready in C", signal.SIGINT),
    ],
)
def test_a_client_or_system_that_swallows_an_interrupt_survived_it(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        command(how, 600), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "blocked").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 130, errors
    assert "VALID:" not in output and "Traceback" not in errors
    assert results(tmp_path)["verdict"] == "broken"
    if how.endswith("sleeps"):
        assert "interrupted" in errors
    else:
        where = f"what was recorded until then: {(tmp_path / 'runs' / 'latest').readlink()}"
        assert "did not end within 6 s of the interrupt, so its process was killed" in errors
        assert where.replace(": sets", ": runs/sets") in errors


@pytest.mark.parametrize("how", HOWS)
def test_a_run_whose_code_never_returns_ends_by_its_time_limit(tmp_path: Path, how: str) -> None:
    done = subprocess.run(command(how, 1), cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert "VALID:" not in done.stdout and "Traceback" not in done.stderr
    if how.startswith("prepare"):
        code, said = (64, "could not be prepared within 4 s") if how.endswith("sleeps") else (3, "its time was up")
        assert done.returncode == code and said in done.stderr
        return
    assert done.returncode == 3, done.stderr
    reason = str(results(tmp_path)["reason"])
    if how in ("start waits", "ready waits"):
        # In virtual time each is over soon, and named.
        assert "did not return within 20 s on n1, n2, n3" in reason or "n1 does not answer 10 s after" in reason
    elif how.endswith(("swallows", "backtracks", "in C")):
        # A regular expression holds the lock of the interpreter, so that nothing in its process can end it.
        assert "did not end when its time was up, so its process was killed" in done.stderr
    else:
        assert "the run was not over after 6 s of real time" in reason


def test_what_was_recorded_until_its_process_was_killed_is_judged(tmp_path: Path) -> None:
    done = subprocess.run(
        command("client swallows", 1, "--config", "conflicts=lww"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 3, done.stderr
    found = results(tmp_path)
    assert found["verdict"] == "broken" and "evidence" in dict(found["checkers"])  # type: ignore[call-overload]
    assert "BROKEN: it did not end when its time was up" in done.stderr
    assert "replay  splitbrain run sets" in done.stderr


def test_a_verdict_that_was_not_told_before_the_process_was_killed_is_none(tmp_path: Path) -> None:
    held = RUN.replace('match how.partition(" ")[0]:', 'import splitbrain.harness.running.run as r\nmatch "x":')
    held = held.replace(
        "from splitbrain.harness.doors.cli", "r.write_report = lambda p: block()\nfrom splitbrain.harness.doors.cli"
    )
    words = [sys.executable, "-c", held, "x swallows", "1", *WORDS, "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "broken" and "before that it was valid, and not told" in answer["notes"]


def test_a_big_simulation_whose_clock_goes_on_is_no_run_that_hangs(tmp_path: Path) -> None:
    # It takes far longer than its time limit, which grants nothing at all, and longer than a standstill may be.
    slow = RUN.replace("global asked", "global asked; time.sleep(0.02)").replace(
        "STANDSTILL_S, deadlines.PREPARE_S = 3.0", "STANDSTILL_S, deadlines.PREPARE_S = 10.0"
    )
    done = subprocess.run(
        [sys.executable, "-c", slow, "client of nothing", "-12", *WORDS, "--time-limit", "12"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the guard forks")
def test_a_model_that_swallows_an_interrupt_survived_it(tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text("{:type :invoke, :f :read, :process 0}\n")
    code = "import pathlib, time\npathlib.Path('blocked').touch()\nwhile True:\n try: time.sleep(9)\n except BaseException: pass\n"
    (tmp_path / "deaf.py").write_text(code)
    words = [sys.executable, "-m", "splitbrain.harness.doors.cli", "check", "history.edn"]
    process = subprocess.Popen(
        [*words, "--checker", "linearizable", "--model", "deaf:X"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "blocked").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 130
    assert errors == "splitbrain: it did not end within 6 s of the interrupt, so its process was killed\n"
