"""Maelstrom's protocol as a system: any program as its nodes, one process each, over the harness's network.

1. A node is told who it is (`init`) whenever its process starts, and is ready once it has answered.
   Until then it hears nothing else, for it could not answer in its name.
2. Where the configuration names a topology, each node is told of it after that, and has to answer too.
3. What is told so comes from the host `c0`, which no fault touches: a node that restarts in a partition is told too.
4. Whether a node answers is not asked for: no request is one that every program knows. It answers if it was told who it
   is, and its process is there and not stopped.

Source: Maelstrom's protocol document (doc/protocol.md).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from splitbrain.harness.environment import Environment, EnvironmentFailure, Machine, Program
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.processes.envelopes import Envelope
from splitbrain.harness.running.deaths import log_end
from splitbrain.harness.simulation import LinkConditions
from splitbrain.harness.system import NodeImage, OperationFailed
from splitbrain.harness.systems.maelstrom.error_codes import NODE_NOT_FOUND
from splitbrain.harness.systems.maelstrom.maelstrom_client import MaelstromConnection
from splitbrain.harness.systems.maelstrom.rpc import Answer, Requests
from splitbrain.harness.systems.maelstrom.service_hosts import NAMES, open_services
from splitbrain.harness.systems.maelstrom.topologies import TOPOLOGIES

TELLER = "c0"
LOOK_S = 0.05
NONE = "none"
LONGEST_MS = 60_000


@dataclass
class _Run:
    """What one run has: who tells nodes who they are, and which start of each node was told."""

    teller: Requests | None = None
    told: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Maelstrom:
    """The system, configured.

    bin: the program. args: its arguments, as a shell has them. topology: a name of `TOPOLOGIES`, or "none". latency_ms:
    of every message between nodes, and to services: `20`, or `5-50` for any between. loss: the share of these messages
    that is lost, 0 to 1. timeout_ms: how long a client waits for an answer. init_timeout_ms: how long a node may take
    to answer `init` and `topology`.
    """

    bin: str = ""
    args: str = ""
    topology: str = NONE
    latency_ms: str = "0"
    loss: str = "0"
    timeout_ms: str = "4000"
    init_timeout_ms: str = "10000"
    seed: int = 0
    name: str = "maelstrom"
    environment: str = "processes"
    interfaces: frozenset[str] = frozenset(
        {"Echo", "UniqueIds", "Broadcast", "Set", "Counter", "Log", "Register", "Transactions"}
    )
    run: _Run = field(default_factory=_Run, compare=False)

    @property
    def config(self) -> Mapping[str, str]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in _KEYS}

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Maelstrom:
        settings: Mapping[str, Any] = config
        configured = replace(self, **settings, seed=seed, run=_Run())
        configured._check()
        return configured

    def describe(self) -> Mapping[str, Any]:
        return dict(self.config)

    def prescribe(self, interface: str) -> Mapping[str, str]:
        """One set, and one counter, without a name; and counters that need only converge."""
        return {"Set": {"keys": "1"}, "Counter": {"keys": "1", "reads": "at-the-end"}}.get(interface, {})

    def image(self) -> NodeImage:
        return NodeImage()

    @property
    def links(self) -> LinkConditions:
        least, _, most = self.latency_ms.partition("-")
        return LinkConditions(loss=float(self.loss), delay_s=(float(least) / 1000, float(most or least) / 1000))

    @property
    def hosts(self) -> Collection[str]:
        return (TELLER, *NAMES)

    def astray(self, environment: ProcessesEnvironment, message: Envelope) -> None:
        """A request to a host that there never was is answered with an error; anything else goes nowhere."""
        number = msgspec.json.decode(message.body, type=dict[str, Any]).get("msg_id")
        if number is not None:
            text = f"there is no node {message.dest}"
            body = {"type": "error", "code": NODE_NOT_FOUND, "text": text, "in_reply_to": number}
            environment.send(message.dest, message.src, msgspec.json.encode(body))

    async def start(self, environment: Environment, machine: Machine) -> None:
        place = _place(environment)
        if self.run.teller is None:
            open_services(place, self.seed)
            self.run.teller = Requests(place).as_host(TELLER)
        own = place.machines[machine.name]
        await own.start(Program(name="node", command=(_found(self.bin), *shlex.split(self.args)), preload=False))
        await self._tell(place, own.name, "init", {"node_id": own.name, "node_ids": place.members})
        if self.topology != NONE:
            await self._tell(place, own.name, "topology", {"topology": TOPOLOGIES[self.topology](place.members)})
        own.listening = True
        self.run.told[own.name] = own.starts

    async def ready(self, environment: Environment, node: str) -> bool:
        machine = _place(environment).machines[node]
        return machine.state not in ("", "T") and self.run.told.get(node) == machine.starts

    async def connect(self, environment: Environment, node: str) -> MaelstromConnection:
        place = _place(environment)
        return MaelstromConnection(place, await Requests(place).as_client(), node, int(self.timeout_ms) / 1000)

    async def _tell(self, place: ProcessesEnvironment, node: str, kind: str, fields: Mapping[str, Any]) -> None:
        """Raises EnvironmentFailure if the node does not answer, or ends before it does."""
        assert self.run.teller is not None
        machine, patience_s = place.machines[node], int(self.init_timeout_ms) / 1000
        asking = asyncio.create_task(self.run.teller.ask(node, kind, fields, Answer, patience_s))
        try:
            while not (await asyncio.wait([asking], timeout=LOOK_S))[0]:
                if not await machine.running():
                    ended = f"{node} ended ({machine.ended or 'killed'}) before it answered {kind}"
                    raise EnvironmentFailure(f"{ended}; {await log_end(place, node)}")
            asking.result()
        except OperationFailed as failed:
            remedy = f"a node answers with {kind}_ok, and flushes its output after every message"
            said = f"{node} did not answer {kind} ({failed.code}: {failed})"
            raise EnvironmentFailure(f"{said}; {remedy}; {await log_end(place, node)}") from None
        finally:
            asking.cancel()

    def _check(self) -> None:
        """Raises ValueError naming what can't be."""
        if not self.bin:
            raise ValueError(f"{self.name} runs a program of yours; name it with --bin ./node")
        _found(self.bin)
        try:
            shlex.split(self.args)
        except ValueError as problem:
            raise ValueError(f"args={self.args}: {problem}; write the arguments as for a shell") from None
        if self.topology not in (NONE, *TOPOLOGIES):
            raise ValueError(f"topology={self.topology}: give one of {', '.join((NONE, *TOPOLOGIES))}")
        for key in ("timeout_ms", "init_timeout_ms"):
            value = getattr(self, key)
            if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= LONGEST_MS):
                raise ValueError(f"{key}={value}: give whole milliseconds from 1 to {LONGEST_MS}")
        try:
            links = self.links
        except ValueError:
            latency = f"latency_ms={self.latency_ms}: give milliseconds, such as 20 or 5-50"
            raise ValueError(f"{latency}; and loss={self.loss}: give a share from 0 to 1") from None
        if not links.delay_s[1] * 1000 <= LONGEST_MS:
            raise ValueError(f"latency_ms={self.latency_ms}: give at most {LONGEST_MS}")


_KEYS = ("bin", "args", "topology", "latency_ms", "loss", "timeout_ms", "init_timeout_ms")


def _place(environment: Environment) -> ProcessesEnvironment:
    if not isinstance(environment, ProcessesEnvironment):
        raise EnvironmentFailure(f"this program talks through the harness, which {environment.name} can't do for it")
    return environment


def _found(program: str) -> str:
    """The program's absolute path. Raises ValueError if it can't be executed."""
    found = shutil.which(program)
    if found is not None:
        return str(Path(found).absolute())
    if not os.path.lexists(program):
        raise ValueError(f"bin={program}: there is no such file; give the path of your program")
    remedy = "name the file" if Path(program).is_dir() else f"make it so: chmod +x {shlex.quote(program)}"
    raise ValueError(f"bin={program} is not an executable file; {remedy}")


SYSTEM = Maelstrom()
