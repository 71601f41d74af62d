"""Results: the folder of a run, and its outcome.

1. runs/<workload>/<timestamp>/ holds run.json, schedule.json, history.jsonl, results.json, report.html and
   nodes/<node>/*.log; runs/latest points to the newest.
2. Everything is written as soon as it is known: run.json and schedule.json before anything starts, the history line by
   line. So a killed run can still be checked.
3. `broken` is the harness's own failure. It never hides an anomaly: an invalid history stays invalid.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import json
import os
import sys
import textwrap
import threading
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Literal, cast

from splitbrain.checkers import History, HistoryError, Outcome, Verdict
from splitbrain.checkers.histories.formats import read
from splitbrain.harness.terminal import printable

Status = Literal["valid", "invalid", "unknown", "broken"]

EXIT_CODES: Mapping[Status, int] = {"valid": 0, "invalid": 1, "unknown": 2, "broken": 3}
EXIT_USAGE = 64
RANK: tuple[Status, ...] = ("invalid", "broken", "unknown", "valid")
"""The status of a suite is the first of these that one of its results has."""


class ResultsError(Exception):
    """A run's folder can't be used. The message names the cause and the remedy."""


class AnomalyFound(AssertionError):
    """A run that had to be valid is not. The message is what the terminal would show."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a run.

    status, reason: the verdict, or `broken` and why. verdict: the checkers', if there was a history to check. folder:
    the run's. command: replays it. notes: what the harness noticed about itself and the recovery, a sentence each.
    """

    status: Status
    reason: str
    verdict: Verdict | None
    folder: Path
    command: str
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    @property
    def valid(self) -> bool:
        return self.status == "valid"

    def require_valid(self) -> None:
        """Raises AnomalyFound unless the run was valid: reason, witness, and the command that replays it."""
        __tracebackhide__ = True  # pytest then shows the test's own line, and not this one.
        if not self.valid:
            raise AnomalyFound(self.explanation())

    def explanation(self) -> str:
        """Why the run was not valid: reason, witness, and the command that replays it."""
        return printable("\n".join([self._headline, *self._witness(), "", f"replay  {self.command}"]))

    def lines(self) -> list[str]:
        """The end of a run: at most `LINES` lines, each of them whole. What they don't hold is counted."""
        report = self.folder / "report.html"
        where = f"report  {report}" if report.exists() else f"folder  {self.folder}"
        above, below = [self._headline, *self._witness()], ["", where, f"replay  {self.command}"]
        details = self._details(LINES - len(above) - len(below) - 1)
        return [printable(line) for line in (*above, *([""] if details else []), *details, *below)]

    def _details(self, room: int) -> list[str]:
        """A line for each checker and note. Where there are more than `room`, checkers that passed go first."""
        parts = self.verdict.parts if self.verdict is not None else {}
        passed = [name for name, part in parts.items() if part.outcome is Outcome.VALID]
        told = {
            name: f"  {_MARKS[part.outcome]} {name}: {_flat(part.reason)}{_percentiles(part)}"
            for name, part in parts.items()
        }
        broken = self.verdict.broken if self.verdict is not None else {}
        others = [f"  ! {name} failed: {_flat(text)}" for name, text in broken.items()]
        others += [f"  ! {_flat(note)}" for note in self.notes]
        if len(told) + len(others) <= room:
            return [*told.values(), *others]
        while passed and len(told) + len(others) > room - 1:
            del told[passed.pop()]
        shown = [*told.values(), *others][: room - 1]
        return [*shown, f"  … ({len(parts) + len(others) - len(shown)} more in {self.folder / 'results.json'})"]

    @property
    def _headline(self) -> str:
        return f"{self.status.upper()}: {_flat(self.reason)}"

    def _witness(self) -> list[str]:
        """The first anomaly's, if there is one."""
        for name, part in self.verdict.parts.items() if self.verdict is not None else ():
            if part.outcome is Outcome.INVALID and part.witness is not None:
                return ["", f"witness ({name}):", *_shortened(part.witness.text, 6)]
        return []

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: results.json."""
        form: dict[str, Any] = {"verdict": self.status, "reason": self.reason}
        if self.verdict is not None:
            form["checkers"] = {name: part.as_dict() for name, part in self.verdict.parts.items()}
            if self.verdict.broken:
                form["broken"] = dict(self.verdict.broken)
        if self.notes:
            form["notes"] = list(self.notes)
        return form

    def as_json(self) -> str:
        """What `--json` prints: besides `as_dict`, the folder and the command that replays it."""
        return json.dumps({**self.as_dict(), "folder": str(self.folder), "replay": self.command})


_DEFLATED_MOST = 1032
"""Bytes that one byte of gzip's can unpack to."""
_GZIP = b"\x1f"  # The first of gzip's two magic bytes. No text has it, and a pipe may give one byte at first.
WIDTH = 110
"""Characters in a line of a witness."""
LINES = 20
"""Lines at the end of a run."""
_MARKS = {Outcome.VALID: "✓", Outcome.INVALID: "✗", Outcome.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder. note: what is to be said about it; "" for nothing."""

    path: Path
    note: str = ""

    @classmethod
    def create(cls, base: Path, name: str) -> RunFolder:
        """A new folder runs/<name>/<timestamp>, with runs/latest pointing to it. Raises ResultsError."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            for number in count():
                path = base / name / (f"{stamp}-{number}" if number else stamp)
                try:
                    path.mkdir(parents=True)
                    break
                except FileExistsError:
                    continue
            pointed = _point(base / "latest", path)
        except OSError as problem:
            raise ResultsError(f"can't make a run's folder under {base} ({problem}); give another with --out") from None
        return cls(path, "" if pointed else f"{base / 'latest'} is no link, so it was left as it is; rename it")

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write run.json. Raises ResultsError."""
        _write_json(self.path / "run.json", run)

    def write_schedule(self, content: bytes) -> None:
        """Write schedule.json. Raises ResultsError."""
        path = self.path / "schedule.json"
        try:
            path.write_bytes(content)
        except OSError as problem:
            raise unwritable(path, problem) from None

    def write_result(self, result: Result) -> None:
        """Write results.json. Raises ResultsError."""
        _write_json(self.path / "results.json", result.as_dict())

    def keep_traceback(self) -> str:
        """Keep the traceback of the exception being handled. Returns where it is, for people."""
        path = self.path / "traceback.txt"
        try:
            path.write_text(traceback.format_exc(), errors="backslashreplace")
        except OSError as problem:
            return f"its traceback could not be kept in {self.path} ({problem.strerror})"
        return f"see {path}"


LARGEST_MB = 1024.0
"""Seven million operations."""


def read_history(path: Path, *, independent: bool = False, largest_mb: float = LARGEST_MB) -> History:
    """The history in a file, in any format of `checkers.histories.formats`, compressed with gzip or not. `-` is
    standard input.

    independent: values are [key value]. largest_mb: what it may have unpacked, in megabytes, if it is compressed or
    comes from standard input; a line of any may have a sixteenth. Raises ResultsError naming the file and the line that
    is wrong.
    """
    collects = gc.isenabled()
    gc.disable()  # A history is millions of objects and no garbage: looking for some would double the time.
    try:
        with _opened(path) as file:
            return read(_lines(path, file, int(largest_mb * 1e6)), independent=independent)
    except MemoryError:
        raise ResultsError(f"{path} does not fit into memory; give a smaller history, or more memory") from None
    except HistoryError as problem:
        raise ResultsError(f"{path}, {problem}") from None
    except (OSError, EOFError, zlib.error) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise ResultsError(f"can't read {path} ({reason}); give a recorded history, such as history.jsonl") from None
    finally:
        if collects:
            gc.enable()


def _opened(path: Path) -> IO[bytes]:
    if str(path) == "-":
        if sys.stdin is None:
            raise ResultsError("standard input is closed; give a file, or something to read from")
        return _unzipped(io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer)))
    # A directory has no lines, and reading from a pipe without a writer would never end.
    if path.exists() and not path.is_file():
        raise ResultsError(f"{path} is no regular file; give a recorded history, or - for standard input")
    return _unzipped(path.open("rb"))


def _lines(path: Path, file: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """The lines. Raises ResultsError where there is more than may be, before it takes memory."""
    longest, remedy = max(1, most_bytes // 16), "if you trust it, give more with --largest"
    more = f"{path} has more than {most_bytes / 1e6:,g} MB unpacked; {remedy}"
    zipped = isinstance(file, gzip.GzipFile)
    # So small a file can't hold so much. Another is unpacked twice, first only to see how large it is.
    if zipped and path.is_file() and path.stat().st_size * _DEFLATED_MOST > most_bytes:
        with gzip.open(path) as unpacked:
            size = 0
            while part := unpacked.read(1 << 20):
                size += len(part)
                if size > most_bytes:
                    raise ResultsError(more)
    size, counted, number = 0, zipped or str(path) == "-", 0
    while line := file.readline(longest + 1):
        number, size = number + 1, size + len(line)
        if len(line) > longest:
            raise ResultsError(f"{path}, line {number} has more than {longest / 1e6:,g} MB; {remedy}")
        if counted and size > most_bytes:
            raise ResultsError(more)
        yield line


def _unzipped(file: io.BufferedReader) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if file.peek(1)[:1] == _GZIP else file


def conclude(verdict: Verdict | None, failure: Exception | None, crashes: Sequence[str]) -> tuple[Status, str]:
    """A run's status and its reason: invalid outranks broken, which outranks the rest."""
    if verdict is not None and verdict.outcome is Outcome.INVALID:
        return "invalid", verdict.reason
    if failure is not None:
        return "broken", str(failure)
    if crashes:
        return "broken", f"a client or nemesis crashed {len(crashes)} times, first: {crashes[0]}"
    assert verdict is not None
    if verdict.broken:
        return "broken", f"checkers failed: {', '.join(verdict.broken)}"
    return verdict.outcome.value, verdict.reason


def worst(statuses: Iterable[Status]) -> Status:
    """The status of a suite: invalid outranks broken outranks unknown; none at all is unknown."""
    return min(statuses, key=RANK.index, default="unknown")


def _point(link: Path, target: Path) -> bool:
    """Whether the link could be set: what somebody else has put in its place is left alone."""
    if link.exists() and not link.is_symlink():
        return False
    # A link is replaced in one step, so that two runs that start together leave one of theirs and not none.
    # They may be threads of one process.
    fresh = link.with_name(f".latest-{os.getpid()}-{threading.get_native_id()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)
    return True


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, so that a full disk takes nothing that was there. Raises ResultsError."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise unwritable(path, problem) from None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def unwritable(path: Path, problem: OSError) -> ResultsError:
    """The error for a file in a run's folder that can't be written: a full disk, most of the time."""
    return ResultsError(f"can't write {path} ({problem.strerror}); make room there, or give another folder with --out")


def _percentiles(part: Verdict) -> str:
    """The percentiles that a verdict rests on, if it does (`checkers.service.latency`)."""
    overall = part.evidence.get("overall")
    if not isinstance(overall, Mapping) or "p50" not in overall:
        return ""
    return f" ({', '.join(f'{name} {took_ms:,} ms' for name, took_ms in overall.items())})"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str, most: int) -> list[str]:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, WIDTH)]
    shown = [f"  {line}" for line in lines[:most]]
    return [*shown, f"  … ({len(lines) - most} more lines in the report)"] if len(lines) > most else shown
