"""A failure at each write and sync in turn: python -m tests.hostile.io_errors_run [store|run|campaign ...] [STEP]

1. A scenario is done again and again. The first time its first write, truncation or sync fails, the second time its
   second, until one goes through without having had so many. Each with EIO, and with ENOSPC from then on, as on a full
   disk. STEP: only each so many-th of them, for a look in a minute.
2. The store: what was acknowledged before is there when the folder is opened again; what was refused may be there whole
   or not at all; an error names the file and a remedy.
3. A run: never valid, unless all that it has to keep was kept; one line of cause; what was recorded is whole lines.
4. A campaign's outcomes: those that were kept are read again when it goes on, and the file takes more.

SQLite does the same to itself: "How SQLite is tested", section 4.2.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from splitbrain.harness.campaigns.outcomes import OutcomeFile, RunOutcome
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import ResultsError
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress
from splitbrain.store.actions import Record
from splitbrain.store.storage.engine import EngineError, NoRoom, SqliteEngine

SOURCE = Path(__file__).with_name("failing_disk.c")
FAILURES = ((errno.EIO, False), (errno.ENOSPC, True))
EXPERIMENT = Experiment("sets", nodes=3, time_limit_s=1.0, rate=25.0, concurrency=2, seed=1, config={"keys": "1"})


class Disk:
    """The failing disk that was preloaded into this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def arm(self, folder: Path, at: int, error: int, *, stays: bool) -> None:
        """From now on, the call `at` of those below the folder fails; 0 for none."""
        self._library.failing_disk_arm(os.fsencode(folder), ctypes.c_long(at), error, int(stays))

    @property
    def calls(self) -> int:
        """How many there were since then."""
        return int(self._library.failing_disk_calls())


def store(disk: Disk, folder: Path, at: int, error: int, stays: bool) -> str:
    """What is wrong with what the store's engine did; "" if nothing."""
    kept: dict[bytes, bytes] = {}
    doubtful: dict[bytes, bytes] = {}
    disk.arm(folder, at, error, stays=stays)
    engine = None
    try:
        engine = SqliteEngine(folder / "data")
        for number in range(12):
            key, value = b"k%d" % (number % 5), b"%d" % number * 900
            doubtful = {key: value}
            engine.commit((Record("data", key, value), Record("ring", key, value)))
            kept[key] = value
        doubtful = {}
    except EngineError as problem:
        if "\n" in str(problem) or "store.sqlite" not in str(problem) or ": " not in str(problem):
            return f"it said {problem}"
        if isinstance(problem, NoRoom) and error != errno.ENOSPC:
            return f"it took it for a full disk: {problem}"
    seen = disk.calls
    disk.arm(folder, 0, 0, stays=False)
    if engine is not None:
        engine.close()
    again = SqliteEngine(folder / "data")
    try:
        for key in {*kept, *doubtful}:
            found = again.get("data", key)
            if again.get("ring", key) != found:
                return f"half of a commit of {key!r} is there"
            if found != kept.get(key) and found != doubtful.get(key, kept.get(key)):
                return f"{key!r} was acknowledged and is gone"
        again.commit((Record("data", b"after", b"v"),))
    finally:
        again.close()
    disk.arm(folder, 0, 0, stays=False)
    return "" if seen >= at or len(kept) == 5 else "it stopped by itself"


def whole_run(disk: Disk, folder: Path, at: int, error: int, stays: bool) -> str:
    """What is wrong with what came of a run; "" if nothing."""
    disk.arm(folder, at, error, stays=stays)
    try:
        result = run(EXPERIMENT, out=folder, progress=Progress(quiet=True))
    except ResultsError as problem:
        # Before anything started.
        return "" if "can't" in str(problem) and "\n" not in str(problem) else f"it said {problem}"
    finally:
        disk.arm(folder, 0, 0, stays=False)
    if "\n" in result.reason or "internal" in result.reason:
        return f"it said {result.reason}"
    lines = result.folder / "history.jsonl"
    if lines.exists():
        recorded = lines.read_bytes()
        if recorded and not recorded.endswith(b"\n"):
            return "its history ends within a line"
        stages = [line["value"] for line in map(json.loads, recorded.splitlines()) if line["f"] == "stage"]
        if result.status == "valid" and stages[-1] != "end":
            return "valid, though its history was cut off"
    stored = result.folder / "results.json"
    said = json.loads(stored.read_text())["verdict"] if stored.exists() else None
    if result.status == "valid" and said != "valid":
        return f"valid, and its results say {said}"
    return "" if result.status in ("valid", "broken") else f"{result.status}: {result.reason}"


def campaign(disk: Disk, folder: Path, at: int, error: int, stays: bool) -> str:
    """What is wrong with the file that a campaign goes on from; "" if nothing."""
    path, kept = folder / "results.jsonl", 0
    disk.arm(folder, at, error, stays=stays)
    try:
        with OutcomeFile(path) as file:
            for index in range(8):
                file.add(_outcome(index))
                kept += 1
    except ResultsError as problem:
        if "\n" in str(problem) or "can't write" not in str(problem):
            return f"it said {problem}"
    disk.arm(folder, 0, 0, stays=False)
    with OutcomeFile(path) as file:
        if len(file.known) < kept:
            return f"{kept} outcomes were kept and {len(file.known)} are there"
        file.add(_outcome(20))
    with OutcomeFile(path) as file:
        return "" if file.known[-1].index == 20 else "what came after it is not there"


def _outcome(index: int) -> RunOutcome:
    return msgspec.convert(
        {"index": index, "status": "valid", "reason": "x" * 200, "workload": "sets", "seed": index, "command": ""},
        RunOutcome,
        strict=False,
    )


SCENARIOS: dict[str, Callable[[Disk, Path, int, int, bool], str]] = {
    "store": store,
    "run": whole_run,
    "campaign": campaign,
}


def tried(name: str, step: int) -> int:
    """Fail each call in turn. Returns how many came out wrong."""
    disk, wrong = Disk(), 0
    for error, stays in FAILURES:
        at, seen = 1, _calls_of(disk, name)
        while at <= seen:
            with tempfile.TemporaryDirectory(prefix="splitbrain-failing-") as folder:
                try:
                    problem = SCENARIOS[name](disk, Path(folder).resolve(), at, error, stays)
                except Exception as raised:  # Nothing but the errors of each may come out of it.
                    problem = f"{type(raised).__name__} came out: {raised}"
            if problem:
                wrong += 1
                print(f"{name}, {errno.errorcode[error]} at call {at}: {problem}", flush=True)
            at += step
        print(f"{name}: {errno.errorcode[error]} at each of {seen} calls (step {step}), {wrong} wrong", flush=True)
    return wrong


def _calls_of(disk: Disk, name: str) -> int:
    """How many calls the scenario has where nothing fails."""
    with tempfile.TemporaryDirectory(prefix="splitbrain-failing-") as fresh:
        counted: list[int] = []
        arm = disk.arm

        def counting(under: Path, at: int, error: int, *, stays: bool) -> None:
            counted.append(disk.calls)
            arm(under, 0, 0, stays=False)

        disk.arm = counting  # type: ignore[method-assign]
        try:
            problem = SCENARIOS[name](disk, Path(fresh).resolve(), 0, 0, False)
        finally:
            disk.arm = arm  # type: ignore[method-assign]
        assert not problem, problem
        return counted[1]


def library(folder: Path) -> Path:
    """The failing disk, compiled."""
    made = folder / "failing_disk.so"
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", made, SOURCE, "-ldl"], check=True)
    return made


def main(words: list[str]) -> int:
    if "failing_disk" not in os.environ.get("LD_PRELOAD", ""):
        with tempfile.TemporaryDirectory(prefix="splitbrain-library-") as folder:
            environment = {**os.environ, "LD_PRELOAD": str(library(Path(folder)))}
            command = [sys.executable, "-m", "tests.hostile.io_errors_run", *words]
            return subprocess.run(command, env=environment).returncode
    names = [word for word in words if word in SCENARIOS] or list(SCENARIOS)
    step = next((int(word) for word in words if word.isdigit()), 1)
    return int(sum(tried(name, step) for name in names) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
