"""A run whose own parts fail at random: clients, system, nemesis, recorder, disk, checkers, logs.

1. All of it is drawn from one seed: the experiment, which parts fail, at which of their calls, and how.
2. A part raises whatever a program can raise, waits for ever, or lies: it answers as if it had done what it did not.
3. What comes of it is held against `sets_oracle`, which reads the history by itself, and against what was injected.

Groce and others, "Swarm testing" (ISSTA 2012): each run leaves most features out, so that the others meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import msgspec

import splitbrain.harness.running.run as running
import splitbrain.harness.systems.dynamo.store_system as dynamo
from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.interpreting.recorder import HistoryWriter
from splitbrain.harness.nemesis.package import FaultPackage
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result, ResultsError
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.terminal import Progress
from tests.harness.running.sets_oracle import Found, lines_of, oracle

NODES = 3


class Odd(BaseException):
    """What no `except Exception` catches, and no library knows."""


RAISED: tuple[Callable[[], BaseException], ...] = (
    lambda: RuntimeError("out of order"),
    lambda: SystemExit(0),
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
    asyncio.CancelledError,
    TimeoutError,
    MemoryError,
    RecursionError,
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: OSError(errno.EIO, "Input/output error"),
    lambda: EnvironmentFailure("the machine is on fire; put it out"),
    lambda: OperationFailed("unavailable", "not now", definite=False),
    lambda: Odd("\x1b[2Jodd"),
)
PARTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "get": (150, ("raises", "waits", "lies")),
    "put": (100, ("raises", "waits", "lies")),
    "close": (15, ("raises", "waits")),
    "connect": (20, ("raises", "waits")),
    "start": (4, ("raises", "waits")),
    "ready": (8, ("raises", "waits", "lies")),
    "nemesis": (4, ("raises", "waits", "lies")),
    "kill": (6, ("raises", "waits", "lies")),
    "history": (300, ("raises", "halves")),
    "file": (4, ("raises",)),
    "check": (1, ("raises", "waits")),
    "logs": (3, ("raises", "waits", "lies")),
}
"""By part: the call to fail is one of the first so many; and how it may."""
HARMLESS = frozenset({"logs", "ready", "file", "kill"})
"""Parts without which a run may be valid: logs are extra, readiness is asked again, a report is a page, and the last
kill only cleans up. A kill that a fault needed is in the history."""


@dataclass
class Injection:
    """One failure. part, how: as in `PARTS`. at: which call of the part, from 1. fired: whether it came to that."""

    part: str
    how: str
    at: int
    problem: Callable[[], BaseException]
    calls: int = 0
    fired: bool = False

    def due(self) -> bool:
        self.calls += 1
        self.fired = self.fired or self.calls == self.at
        return self.calls == self.at

    def __str__(self) -> str:
        what = type(self.problem()).__name__ if self.how == "raises" else ""
        return f"{self.part} {self.how} {what}".strip() + f" at call {self.at}{'' if self.fired else ' (never)'}"


@dataclass(frozen=True, slots=True)
class Case:
    """What a seed stands for."""

    experiment: Experiment
    injections: list[Injection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. status: the run's, or the error that kept it from starting. found: None without a history."""

    case: Case
    status: str
    reason: str
    found: Found | None
    results: dict[str, Any] | None
    exit_code: int | None
    wrong: str | None


def drawn(seed: int) -> Case:
    """The case of a seed."""
    rng = Random(seed)
    config = {"conflicts": "lww"} if rng.random() < 0.3 else {}
    config["keys"] = str(rng.choice((1, 2, 4)))
    faults = rng.choice(((), (), ("partition",), ("kill",), ("pause",)))
    experiment = Experiment(
        "sets",
        nodes=NODES,
        faults=faults,
        time_limit_s=4.0 if "pause" in faults else rng.choice((2.0, 3.0)),
        rate=rng.choice((15.0, 30.0)),
        concurrency=rng.choice((2, 5)),
        seed=seed,
        config=config,
    )
    injections = []
    for part in rng.sample(list(PARTS), rng.choice((0, 1, 1, 1, 2, 2, 3))):
        most, hows = PARTS[part]
        injections.append(Injection(part, rng.choice(hows), rng.randint(1, most), rng.choice(RAISED)))
    return Case(experiment, injections)


async def _fails(injection: Injection | None, true: Callable[[], Any], lie: Any = None) -> Any:
    """The true answer, or what the injection has instead, if it is due."""
    if injection is None or not injection.due():
        return await true()
    match injection.how:
        case "raises":
            raise injection.problem()
        case "waits":
            return await asyncio.get_running_loop().create_future()
        case _:
            return lie


class FailingConnection:
    """A client's connection, some call of which goes wrong. What it lies of has not been done."""

    def __init__(self, inner: Any, injections: dict[str, Injection]) -> None:
        self._inner = inner
        self._injections = injections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, key: bytes) -> Any:
        held = dynamo.Siblings((msgspec.msgpack.encode([-1]),), None)
        return await _fails(self._injections.get("get"), lambda: self._inner.get(key), held)

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> Any:
        return await _fails(self._injections.get("put"), lambda: self._inner.put(key, value, context), b"")

    async def replica(self, key: bytes) -> Any:
        return await self._inner.replica(key)

    async def close(self) -> None:
        await _fails(self._injections.get("close"), self._inner.close)


class FailingNemesis:
    """A nemesis, some action of which goes wrong."""

    def __init__(self, inner: Any, injection: Injection) -> None:
        self._inner = inner
        self._injection = injection

    async def invoke(self, invocation: Any) -> Any:
        lie = {**(invocation.value or {}), "evidence": {"effective": True}}
        return await _fails(self._injection, lambda: self._inner.invoke(invocation), lie)


@contextlib.contextmanager
def injected(injections: list[Injection], out: Path) -> Iterator[None]:
    """While it is entered, the parts fail as drawn."""
    by_part = {injection.part: injection for injection in injections}
    with contextlib.ExitStack() as stack:

        def replaced(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
            stack.enter_context(mock.patch.object(owner, name, made(getattr(owner, name))))

        def failing(part: str, owner: Any, name: str, lie: Any = None) -> None:
            if part in by_part:
                replaced(owner, name, lambda true: _method(by_part[part], true, lie))

        async def connected(self: Any, environment: Any, node: str) -> Any:
            made = await _fails(by_part.get("connect"), lambda: connect(self, environment, node))
            return FailingConnection(made, by_part)

        connect = dynamo.Dynamo.connect
        replaced(dynamo.Dynamo, "connect", lambda _: connected)
        if "start" in by_part:
            replaced(dynamo.Dynamo, "start", lambda true: _starting(by_part["start"], true))
        failing("ready", dynamo.Dynamo, "ready", True)
        failing("kill", SimulatedMachine, "kill")
        failing("logs", SimulatedMachine, "logs", {"../../history.jsonl": b"{}", "\x1b[2J": b"x"})
        if "nemesis" in by_part:
            replaced(
                FaultPackage,
                "nemesis",
                lambda true: lambda *words: FailingNemesis(true(*words), by_part["nemesis"]),
            )
        if "history" in by_part:
            replaced(HistoryWriter, "_append", lambda true: _appending(by_part["history"], true))
        if "file" in by_part:
            for name in ("write_text", "write_bytes"):
                replaced(Path, name, lambda true: _writing(by_part["file"], true, out))
        if "check" in by_part:
            replaced(running, "check_all", lambda true: _checking(by_part["check"], true))
        yield


def _method(injection: Injection, true: Any, lie: Any) -> Any:
    async def method(self: Any, *words: Any, **more: Any) -> Any:
        return await _fails(injection, lambda: true(self, *words, **more), lie)

    return method


def _starting(injection: Injection, true: Any) -> Any:
    async def start(self: Any, environment: Any, machine: Any) -> None:
        if hasattr(environment, "network"):
            await _fails(injection, lambda: true(self, environment, machine))
        else:  # The run asks which program would be started, and needs no answer.
            await true(self, environment, machine)

    return start


def _appending(injection: Injection, true: Any) -> Any:
    def append(self: Any, line: Any) -> None:
        if injection.due():
            if injection.how == "halves":
                true(self, line[: len(line) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            raise injection.problem()
        true(self, line)

    return append


def _writing(injection: Injection, true: Any, out: Path) -> Any:
    def write(self: Path, *words: Any, **more: Any) -> Any:
        if self.is_relative_to(out) and injection.due():
            raise OSError(errno.EIO, "Input/output error")
        return true(self, *words, **more)

    return write


def _checking(injection: Injection, true: Any) -> Any:
    def check(*words: Any, **more: Any) -> Any:
        if injection.due() and injection.how == "raises":
            raise injection.problem()
        return true(*words, **more)

    return check


def performed(seed: int, out: Path) -> Outcome:
    """Run the seed's case, and say what is wrong with what came of it, if anything is."""
    case = drawn(seed)
    out.mkdir(parents=True, exist_ok=True)
    result: Result | None = None
    escaped: BaseException | None = None
    with injected(case.injections, out):
        try:
            result = running.run(case.experiment, out=out, progress=Progress(quiet=True), report=seed % 10 == 0)
        except BaseException as problem:  # Whatever it is, the user would see it.
            if isinstance(problem, KeyboardInterrupt) and not any(each.fired for each in case.injections):
                raise
            escaped = problem
    folder = out / "latest"
    history, stored = folder / "history.jsonl", folder / "results.json"
    found = oracle(history, NODES) if history.exists() and lines_of(history) else None
    try:
        results = json.loads(stored.read_text())
    except (OSError, ValueError):
        results = None
    status = result.status if result is not None else type(escaped).__name__
    reason = result.reason if result is not None else str(escaped)
    wrong = _wrong(case, result, escaped, found, results)
    return Outcome(case, status, reason, found, results, None if result is None else result.exit_code, wrong)


def _wrong(
    case: Case, result: Result | None, escaped: BaseException | None, found: Found | None, results: Any
) -> str | None:
    fired = {each.part: each for each in case.injections if each.fired}
    if result is None:
        refused = isinstance(escaped, ResultsError) and "file" in fired
        return None if refused else f"{type(escaped).__name__} came out of the run"
    if "\n" in result.reason or "Traceback" in result.reason:
        return "its reason is no line"
    if results is None and "file" not in fired:
        return "it has no results"
    if results is not None and results["verdict"] != result.status and "file" not in fired:
        return f"it said {result.status} and its file says {results['verdict']}"
    if result.status == "valid":
        return _wrongly_valid(fired, found)
    if found is None:
        return None if result.status == "broken" else f"{result.status} without a history"
    return _wrong_part(result, found)


def _wrongly_valid(fired: dict[str, Injection], found: Found | None) -> str | None:
    """What keeps a run from being valid."""
    if found is None:
        return "valid without a history"
    if found.bad:
        return f"valid, but lost {set(found.lost)}, missing {set(found.missing)}, impossible {set(found.impossible)}"
    if not found.whole:
        return "valid, but its history is not whole"
    if not found.acknowledged:
        return "valid, but nothing was acknowledged"
    for injection in fired.values():
        known = isinstance(injection.problem(), OperationFailed | EnvironmentFailure)
        told = injection.how != "raises" or (known and injection.part in ("get", "put", "connect", "kill", "nemesis"))
        if not told and injection.part not in HARMLESS:
            return f"valid, though {injection}"
    return None


def _wrong_part(result: Result, found: Found) -> str | None:
    """What the checker of lost writes said, beside the oracle."""
    part = result.verdict.parts.get("lost-writes") if result.verdict is not None else None
    if part is None:
        return None if result.status == "broken" else f"{result.status} without a verdict on lost writes"
    said = part.outcome.value
    if found.bad and found.healed and (said != "invalid" or result.status != "invalid"):
        return f"it lost {set(found.lost)}, missing {set(found.missing)}, impossible {set(found.impossible)}: {said}"
    if said == "invalid" and not found.bad:
        return f"it lost nothing, and is invalid: {part.reason}"
    return None
