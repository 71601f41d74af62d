"""A system, its client and a workload that misbehave: in one part, in one way.

`Misdeed.now` says which part, and how; in a process of its own, EVIL says it as `part: way`. All else is the reference
store and the workload `sets`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from splitbrain.harness.generators import Generator
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.systems.dynamo.store_system import Dynamo
from splitbrain.harness.workload import Plan, Workload
from splitbrain.workloads import sets

TEXT = "\x1b[2J\x1b]0;VALID\x07\u202e\r\nVALID: all is well\n\x00\udcff"
"""Clears a terminal, renames it, and says that all is well."""


class Misdeed:
    """now: (part, way) of the run under way."""

    now = ("", "")


Misdeed.now = tuple(os.environ.get("EVIL", ": ").split(": ", 1))  # type: ignore[assignment]


class Mute(BaseException):
    """What can't even say what it is."""

    def __str__(self) -> str:
        raise SystemExit(0)


WAYS = ("exits", "interrupts", "generator exit", "cancels", "stops", "mute", "evil text", "memory", "recurses")
"""Ways that take no time, and leave the process alone."""
SLOW_WAYS = ("waits", "swallows")


def raised(way: str) -> None:
    """Misbehave, as any function may."""
    match way:
        case "leaves":
            os._exit(0)
        case "exits":
            raise SystemExit(0)
        case "interrupts":
            raise KeyboardInterrupt
        case "generator exit":
            raise GeneratorExit
        case "cancels":
            raise asyncio.CancelledError
        case "stops":
            raise StopAsyncIteration
        case "mute":
            raise Mute
        case "evil text":
            raise RuntimeError(TEXT)
        case "memory":
            raise MemoryError
        case "recurses":
            raised(way)


async def misbehaves(part: str) -> None:
    """Misbehave, if it is this part's turn."""
    which, way = Misdeed.now
    if which != part:
        return
    if way == "waits":
        await asyncio.get_running_loop().create_future()
    while way == "swallows":
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue
    raised(way)


def misbehaves_at_once(part: str) -> None:
    """The same for a part that is no coroutine."""
    if Misdeed.now[0] == part:
        raised(Misdeed.now[1])


class EvilConnection:
    """A connection that misbehaves in `get`, `put` and `close`."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, key: bytes) -> Any:
        self._asked += 1
        if self._asked % 5 == 0:
            await misbehaves("get")
        return await self._inner.get(key)

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> Any:
        self._asked += 1
        if self._asked % 5 == 0:
            await misbehaves("put")
        return await self._inner.put(key, value, context)

    async def close(self) -> None:
        await self._inner.close()
        await misbehaves("close")


@dataclass(frozen=True)
class Evil(Dynamo):
    """The reference store, by somebody who means harm. It is prepared and torn down too."""

    name: str = "evil"

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Evil:
        misbehaves_at_once("configure")
        made: Any = super().configure(config, seed=seed, nodes=nodes)
        return made

    def describe(self) -> Mapping[str, Any]:
        misbehaves_at_once("describe")
        return super().describe()

    async def start(self, environment: Any, machine: Any) -> None:
        if hasattr(environment, "network"):  # It is asked before the run which program it would start.
            await misbehaves("start")
        if Misdeed.now == ("start", "lies"):
            return
        await super().start(environment, machine)

    async def ready(self, environment: Any, node: str) -> bool:
        await misbehaves("ready")
        return Misdeed.now == ("start", "lies") or await super().ready(environment, node)

    async def connect(self, environment: Any, node: str) -> Any:
        if Misdeed.now == ("connect", "lies"):
            return None
        await misbehaves("connect")
        return EvilConnection(await super().connect(environment, node))

    async def prepare(self, environment: Any) -> None:
        await misbehaves("prepare")

    async def tear_down(self, environment: Any) -> None:
        await misbehaves("tear_down")


class EvilClient:
    """A client of sets that misbehaves in what it answers."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._asked = 0

    async def invoke(self, invocation: Invocation) -> Completion:
        self._asked += 1
        done: Completion = await self._inner.invoke(invocation)
        if Misdeed.now[0] != "answer" or self._asked % 5:
            return done
        match Misdeed.now[1]:
            case "unknown type":
                return replace(done, type="VALID")  # type: ignore[arg-type]
            case "no JSON":
                return replace(done, value=object())
            case "not a number":
                return replace(done, value=float("nan"))
            case "evil text":
                return Completion("fail", None, TEXT)
            case "deep":
                nested: list[Any] = []
                for _ in range(100_000):
                    nested = [nested]
                return replace(done, value=nested)
            case "nothing":
                return None  # type: ignore[return-value]
            case _:
                return done

    async def close(self) -> None:
        await self._inner.close()


ANSWERS = ("unknown type", "no JSON", "not a number", "evil text", "deep", "nothing")


def _client(connection: Any, shared: Any, config: Mapping[str, str]) -> Any:
    misbehaves_at_once("client")
    return EvilClient(sets.WORKLOAD.client(connection, shared, config))


def _generator(plan: Plan) -> Generator:
    misbehaves_at_once("generator")
    return sets.WORKLOAD.generator(plan)


def _final(plan: Plan) -> Any:
    misbehaves_at_once("final")
    return sets.WORKLOAD.final(plan)


def _shared() -> Any:
    misbehaves_at_once("shared")
    return asyncio.Lock()


def _everything() -> Iterator[str]:
    yield from ("configure", "describe", "start", "ready", "connect", "prepare", "tear_down")
    yield from ("get", "put", "close", "client", "generator", "final", "shared")


PARTS = tuple(_everything())
COROUTINES = ("start", "ready", "connect", "prepare", "tear_down", "get", "put", "close")
SYSTEM = Evil()
WORKLOAD: Workload = replace(
    sets.WORKLOAD, name="evil", client=_client, generator=_generator, final=_final, shared=_shared
)
