"""Whatever a system, a client or a workload does: no exit code 0 without a printed VALID, nothing is written outside the
run's folder, every run ends, and nobody sees a traceback or a control character.

Here in simulation and within this process, so that every part can meet every way. What ends a process, blocks it or
holds an interrupt up needs one of its own: `test_hostile_processes`, and tests/harness/doors/test_guard.py.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from splitbrain.harness.doors import cli, guard
from splitbrain.harness.places import thing_at
from tests.hostile import evil
from tests.hostile.promises import files_of, kept

EVIL = Path(evil.__file__)
WORDS = ("run", f"{EVIL}:WORKLOAD", "--system", f"{EVIL}:SYSTEM", "--nodes", "3", "--time-limit", "2", "--rate", "30")
HARMLESS = frozenset({"tear_down"})
"""What comes after the verdict, and costs none."""


def some(parts: Sequence[str], ways: Sequence[str], every: int) -> list[tuple[str, str]]:
    """One in `every` of the pairs, so that each part and each way is among them; with SPLITBRAIN_HOSTILE=all, all."""
    step = 1 if os.environ.get("SPLITBRAIN_HOSTILE") == "all" else every
    pairs = [(part, way) for at, part in enumerate(parts) for by, way in enumerate(ways) if (3 * at + by) % step == 0]
    assert {part for part, _ in pairs} == set(parts) and {way for _, way in pairs} == set(ways)
    return pairs


@dataclass(frozen=True, slots=True)
class Told:
    """What a command said, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


class Place:
    """The current folder of commands, beside a home and a folder for what is temporary; each has a file already."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._folder, self._monkeypatch, self._capture = folder, monkeypatch, capture
        for name in ("temporary", "home", "work"):
            (folder / name).mkdir()
            (folder / name / "precious").write_text("mine")
        self.runs = folder / "work" / "runs"
        monkeypatch.chdir(folder / "work")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        # The guard forks: one process for each of these would take minutes.
        monkeypatch.setattr(guard, "enter", lambda *_, **__: None)

    def told(self, part: str, way: str, *words: str) -> Told:
        """What the command says and does while that part misbehaves. The promises have been looked at."""
        self._monkeypatch.setattr(thing_at(f"{EVIL}:Misdeed"), "now", (part, way))
        self._monkeypatch.setattr(sys, "argv", ["splitbrain", *WORDS, "--seed", "1", *words])
        before = files_of(self._folder)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output, errors = self._capture.readouterr()
        done = Told(int(ended.value.code or 0), output, errors)
        kept(done.exit_code, output, errors, before, files_of(self._folder), self.runs)
        return done

    def stored(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.runs / "latest/results.json").read_text())
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Place]:
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Place(tmp_path, monkeypatch, capfd)
    for number, handler in signals.items():
        signal.signal(number, handler)


def test_without_any_misdeed_it_is_a_system_like_any_other(place: Place) -> None:
    done = place.told("", "")
    assert done.exit_code == 0 and done.stdout.startswith("VALID: ")


@pytest.mark.parametrize(("part", "way"), some(evil.PARTS, evil.WAYS, 5))
def test_whatever_a_part_raises_is_named_and_is_no_verdict(place: Place, part: str, way: str) -> None:
    done = place.told(part, way)
    if part in HARMLESS:
        assert done.exit_code == 0 and "was not torn down" in done.stdout + done.stderr
        return
    assert done.exit_code == (64 if part in ("configure", "describe", "generator") else 3), done
    if done.exit_code == 3:
        assert place.stored()["verdict"] == "broken" and done.stdout.startswith("BROKEN: ")


@pytest.mark.parametrize(("part", "way"), some(evil.COROUTINES, evil.SLOW_WAYS, 2))
def test_a_part_that_never_returns_ends_no_later_than_the_run(place: Place, part: str, way: str) -> None:
    done = place.told(part, way)
    # A client that waits has no answer, which is an honest `info`. Any other is named.
    expected = {"tear_down": (0,), "get": (0, 2, 3), "put": (0, 2, 3), "connect": (2, 3)}.get(part, (3,))
    assert done.exit_code in expected, done
    assert place.stored()["verdict"] in ("valid", "unknown", "broken")


@pytest.mark.parametrize("way", evil.ANSWERS)
def test_an_answer_that_is_none_is_never_part_of_a_valid_run(place: Place, way: str) -> None:
    done = place.told("answer", way)
    if way == "evil text":  # As an error's text it is honest, and shown as what it is.
        assert "\\u001b" in (place.runs / "latest/history.jsonl").read_text()
        return
    assert done.exit_code == 3, done
    assert place.stored()["verdict"] == "broken"


@pytest.mark.parametrize("part", ["start", "connect"])
def test_a_system_that_lies_about_having_started_is_not_valid(place: Place, part: str) -> None:
    assert place.told(part, "lies").exit_code in (1, 2, 3)


def test_a_logger_that_raises_costs_no_verdict(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit(0)

    root, handler = logging.getLogger(), Raising(level=0)
    monkeypatch.setattr(root, "level", 0)
    root.addHandler(handler)
    try:
        done = place.told("", "", "--faults", "partition")
    finally:
        root.removeHandler(handler)
    assert done.exit_code in (0, 3)
