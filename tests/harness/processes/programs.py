"""Programs for tests of processes: what `open_environment` starts, in a few lines of Python each."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from splitbrain.harness.environment import Address, Program
from splitbrain.harness.processes import ProcessesEnvironment, Talking
from splitbrain.harness.processes.envelopes import Envelope
from splitbrain.harness.processes.processes_environment import PORT
from splitbrain.harness.simulation import LinkConditions

ECHO = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"src": message["dest"], "dest": message["src"], "body": message["body"]}), flush=True)
"""
RELAY = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    to = body["via"].pop(0) if body.get("via") else body["back"]
    print(json.dumps({"src": message["dest"], "dest": to, "body": body}), flush=True)
"""
"""Passes a message on to the first of `via`, and in the end to `back`."""
PATIENCE_S = 20.0


def program(source: str, *arguments: str) -> Program:
    return Program("node", (sys.executable, "-I", "-c", source, *arguments), preload=False)


class Plain:
    """A system of nothing but nodes."""

    def __init__(self, links: LinkConditions | None = None, hosts: Collection[str] = ()) -> None:
        self.links = links or LinkConditions(delay_s=(0.0, 0.0))
        self.hosts = hosts
        self.strays: list[Envelope] = []

    def astray(self, environment: ProcessesEnvironment, message: Envelope) -> None:
        self.strays.append(message)


class Listener:
    """A client, and what it received."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._place: Any = None

    async def open(self, environment: ProcessesEnvironment) -> Listener:
        self._place = await environment.endpoint(self._received)
        return self

    @property
    def name(self) -> str:
        return str(self._place.name)

    def say(self, node: str, **body: Any) -> None:
        self._place.send(msgspec.json.encode(body), (node, PORT))

    def _received(self, body: bytes, source: Address) -> None:
        self.heard.append((source[0], msgspec.json.decode(body)))


async def until(reached: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.005)


def in_environment(
    scenario: Callable[[ProcessesEnvironment], Awaitable[None]],
    *,
    nodes: Sequence[str] = ("n1", "n2", "n3"),
    source: str | None = ECHO,
    system: Talking | None = None,
    seed: int = 1,
    record: Path | None = None,
) -> None:
    """Run the scenario in an open environment, in which the program runs on every node if there is one."""

    async def main() -> None:
        environment = ProcessesEnvironment(nodes, system or Plain(), seed=seed)
        if record is not None:
            environment.record(record)
        try:
            await environment.open(lambda line: None)
            if source is not None:
                for machine in environment.machines.values():
                    await machine.start(program(source))
                    machine.listening = True
            await scenario(environment)
        finally:
            await environment.close()

    asyncio.run(main())
