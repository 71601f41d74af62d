"""The reference store as a system under test: `splitbrain-store` on real machines, its very core in simulation.

1. The same `store.node.Node` and `store.client.Client` run in both; only the shells differ.
2. A client talks to its node. A put or delete that its node leaves unanswered goes on to the others (unless `failover`
   is off), as those of applications do. Reads and polls are of the node that was asked.
3. One cluster key a run, made from its seed: good for a cluster that lives on loopback for a minute, nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from typing import Any

from splitbrain.harness.environment import Environment, EnvironmentFailure, Machine, Program
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.system import USER, Mutant, NodeImage, OperationFailed, ReplicaState, Siblings
from splitbrain.harness.systems.dynamo.simulated_node import SimulatedNode
from splitbrain.harness.systems.dynamo.store_image import image
from splitbrain.harness.systems.dynamo.store_space import MARKS, SPACE
from splitbrain.harness.systems.readiness import until_ready
from splitbrain.store import Client, ClientCore, Config, Member, StoreError
from splitbrain.store.actions import Instant
from splitbrain.store.defects import DEFECTS
from splitbrain.store.ring.ring import Ring
from splitbrain.store.versions.dotted import Version

PORT = 7000
FOLDER = "/var/lib/splitbrain"
CLUSTER = "splitbrain"
ENGINES = ("sqlite", "memory")


@dataclass(frozen=True)
class Dynamo:
    """The store, configured. seed: of the run, for the cluster's key and the clients' request ids. failover: rule 2."""

    cluster: Config = field(default_factory=Config)
    engine: str = "sqlite"
    failover: bool = True
    seed: int = 0
    name: str = "dynamo"
    interfaces: frozenset[str] = frozenset({"VersionedStore"})
    connections: Iterator[int] = field(default_factory=count, compare=False)

    @property
    def config(self) -> Mapping[str, str]:
        return {**self.cluster.settings(), "engine": self.engine, "failover": str(self.failover).lower()}

    @property
    def defects(self) -> Mapping[str, Mutant]:
        return {
            name: Mutant(defect.wrong, defect.seen, {"defect": name, "unsafe": "true"})
            for name, defect in DEFECTS.items()
        }

    @property
    def space(self) -> Sequence[Sequence[Mapping[str, str]]]:
        return SPACE

    @property
    def marks(self) -> Sequence[Sequence[str]]:
        return MARKS

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Dynamo:
        settings = dict(config)
        engine = settings.pop("engine", self.engine)
        if engine not in ENGINES:
            raise ValueError(f"engine={engine}: give one of {', '.join(ENGINES)}")
        failover = settings.pop("failover", str(self.failover).lower())
        if failover not in ("true", "false"):
            raise ValueError(f"failover={failover}: give true or false")
        cluster = self.cluster.changed(settings).fits(nodes)
        return replace(
            self, cluster=cluster, engine=engine, failover=failover == "true", seed=seed, connections=count()
        )

    async def start(self, environment: Environment, machine: Machine) -> None:
        await self._started(environment, machine, self._program(environment, machine.name))

    async def _started(self, environment: Environment, machine: Machine, program: Program) -> None:
        await machine.start(program)
        await until_ready(self.ready, environment, machine)

    async def ready(self, environment: Environment, node: str) -> bool:
        connection = await self.connect(environment, node)
        try:
            async with asyncio.timeout(1.0):
                await connection.client.status()
        except (StoreError, TimeoutError):
            return False
        finally:
            await connection.close()
        return True

    async def connect(self, environment: Environment, node: str) -> DynamoConnection:
        client = await self._client(environment, node, (), node)
        if not self.failover:
            return DynamoConnection(client, client)
        others = [other for other in environment.members if other != node]
        return DynamoConnection(client, await self._client(environment, node, others, f"{node} first"))

    async def _client(self, environment: Environment, node: str, standby: Sequence[str], whither: str) -> Client:
        """A client of that node. standby: whom else it asks. whither: names it among others of one process."""
        loop = asyncio.get_running_loop()
        number = next(self.connections)
        # On real machines the moment never comes again, and neither do incarnation ids: a second run with the same seed
        # must not look like a replay of the first. In simulation it must; and a process has one client for each node.
        whose = f"{USER.get() or number}" if environment.name == "sim" else f"{number} at {loop.time()!r}"
        bits = draw(split(self.seed, f"client of {whose} for {whither}")).getrandbits
        core = ClientCore(
            [(environment.machines[node].host, PORT)],
            standby=[(environment.machines[other].host, PORT) for other in standby],
            secret=self._secret,
            cluster=CLUSTER,
            bits=bits,
            name=f"client{number}",
        )
        simulated = environment.name == "sim"
        client = Client(core, lambda: Instant(loop.time(), round(loop.time() * 1e9) if simulated else time.time_ns()))
        client.attach(await environment.endpoint(client.received))
        return client

    def image(self) -> NodeImage:
        return image()

    def describe(self) -> Mapping[str, Any]:
        return dict(self.config)

    async def join(self, environment: Environment, machine: Machine, members: tuple[str, ...]) -> None:
        seed = environment.machines[members[0]].host
        await self._started(environment, machine, self._program(environment, machine.name, seed=seed))
        joining = Member(machine.name, (machine.host, PORT))
        await self._operate(environment, members, lambda client: client.join(joining))
        while machine.name not in await self.members(environment, machine.name):
            await asyncio.sleep(0.1)

    async def leave(self, environment: Environment, node: str, members: tuple[str, ...], *, gone: bool) -> None:
        await self._operate(environment, members, lambda client: client.leave(node, gone=gone))
        while any([node in await self.members(environment, other) for other in members]):
            await asyncio.sleep(0.1)

    async def members(self, environment: Environment, node: str) -> frozenset[str]:
        connection = await self.connect(environment, node)
        try:
            async with asyncio.timeout(1.0):
                ring: Any = (await connection.client.status())["ring"]
        except (StoreError, TimeoutError):
            return frozenset()
        finally:
            await connection.close()
        return frozenset(ring["members"]) | frozenset(ring["leaving"])

    async def _operate(
        self, environment: Environment, members: tuple[str, ...], ask: Callable[[Client], Awaitable[object]]
    ) -> None:
        """Ask one member after another, until one does it; the run's own bound ends what none does."""
        for node in cycle(members):
            connection = await self.connect(environment, node)
            try:
                await ask(connection.client)
                return
            except StoreError as problem:
                if problem.code == "bad_request":
                    raise EnvironmentFailure(f"{node} refuses a change of members: {problem.message}") from None
                await asyncio.sleep(0.2)
            finally:
                await connection.close()

    def tolerates(self, nodes: int) -> int:
        """An acknowledged write is on W different disks, a hinted one too, so all but one of these may lose it.

        With a write buffer, it is on DW disks.
        """
        durable = self.cluster.dw if self.cluster.write_buffer else self.cluster.w
        return min(durable, nodes) - 1

    def owners(self, nodes: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The preference list of each partition (section 4.6), each once, without those that stand in."""
        ring = Ring([Member(name, (name, PORT)) for name in nodes], self.cluster)
        primaries = [tuple(sorted(ring.primaries_of(partition))) for partition in range(ring.partitions)]
        return sorted(set(primaries))

    @property
    def _secret(self) -> bytes:
        return hashlib.blake2b(f"cluster/{self.seed}".encode(), digest_size=32).digest()

    def _program(self, environment: Environment, node: str, seed: str | None = None) -> Program:
        """The node's process. seed: where to find the cluster that it will join; None for a member of it."""
        hosts = {name: environment.machines[name].host for name in environment.members}
        members = [] if seed else [Member(name, (host, PORT)) for name, host in hosts.items()]
        seeds = [(seed, PORT)] if seed else []
        key_file, data = f"{FOLDER}/cluster.key", f"{FOLDER}/data"
        command = ["splitbrain-store", "serve", "--name", node, "--key-file", key_file, "--cluster", CLUSTER]
        command += ["--engine", self.engine, "--data", data, "--listen", f"{environment.machines[node].host}:{PORT}"]
        for member in members:
            command += ["--member", f"{member.name}={member.address[0]}:{PORT}"]
        for host, port in seeds:
            command += ["--seed", f"{host}:{port}"]
        for key, value in self.cluster.settings().items():
            command += ["--config", f"{key}={value}"]
        return Program(
            name="splitbrain-store",
            command=tuple(command),
            files={key_file: self._secret},
            data=data,
            simulate=lambda machine: SimulatedNode(
                machine, members, self.cluster, self._secret, CLUSTER, PORT, seeds=seeds
            ),
        )


class DynamoConnection:
    """A client of the store, as workloads use it. writer: does the writes (rule 2)."""

    def __init__(self, client: Client, writer: Client) -> None:
        self.client = client
        self.writer = writer

    async def get(self, key: bytes) -> Siblings:
        try:
            found = await self.client.get(key)
        except StoreError as problem:
            raise _failed(problem) from None
        return Siblings(found.values, found.context)

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> bytes:
        try:
            return await self.writer.put(key, value, context)
        except StoreError as problem:
            raise _failed(problem) from None

    async def delete(self, key: bytes, context: bytes) -> bytes:
        try:
            return await self.writer.delete(key, context)
        except StoreError as problem:
            raise _failed(problem) from None

    async def replica(self, key: bytes) -> ReplicaState:
        try:
            held = await self.client.local(key)
        except StoreError as problem:
            raise _failed(problem) from None
        versions = held.state.versions
        return ReplicaState(
            held.home, tuple(_identify(v) for v in versions), tuple(v.value for v in versions), len(held.hints_for)
        )

    async def close(self) -> None:
        self.client.close()
        if self.writer is not self.client:
            self.writer.close()


def _identify(version: Version) -> str:
    return f"{version.actor:x}:{version.counter}"


def _failed(problem: StoreError) -> OperationFailed:
    return OperationFailed(problem.code, problem.message, definite=problem.kind.definite)


SYSTEM = Dynamo()
