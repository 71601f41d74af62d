"""The Raft store under test: how its nodes are started, how clients talk to it, and what must hold.

    pip install -e raft
    splitbrain run swaps --system raft --nodes 3 --faults partition,kill,pause --seed 1 --time-limit 20
    splitbrain run swaps --system raft --nodes 3 --faults partition --seed 1 --time-limit 20 --config mistake=stale
    splitbrain run swaps --system raft --nodes 3 --faults storm --seed 4 --time-limit 12 --config mistake=no-fsync

The first run is valid. In the others a mistake is planted. A leader that was cut off answers reads from what it
remembers, and a node that never calls fsync forgets in a power cut what it had promised.

The server is a program of its own, unchanged: `asyncio_program(main, argv)` runs in simulation what the command runs on
a real machine. The client uses asyncio's streams, which reach simulated nodes as they reach real ones.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

import raft_server

from splitbrain import (
    Completion,
    EnvironmentFailure,
    Invocation,
    NodeImage,
    OperationFailed,
    Program,
    Schema,
    Workload,
    asyncio_program,
    final_reads,
    generators,
)

PORT = 7000
DATA = "/var/lib/splitbrain/data"
SERVER = "/opt/splitbrain/raft_server.py"
START_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Raft:
    """The system. mistake: what is planted, one of the server's."""

    name: str = "raft"
    mistake: str = "none"
    interfaces: frozenset[str] = frozenset({"RaftRegister"})

    @property
    def config(self):
        return {"mistake": self.mistake}

    def configure(self, config, *, seed, nodes):
        mistake = config.get("mistake", self.mistake)
        if mistake not in raft_server.MISTAKES:
            raise ValueError(f"mistake={mistake}: give one of {', '.join(raft_server.MISTAKES)}")
        return replace(self, mistake=mistake)

    def describe(self):
        return dict(self.config)

    def image(self):
        return NodeImage(files={SERVER: Path(raft_server.__file__).read_bytes()})

    async def start(self, environment, machine):
        argv = ["--name", machine.name, "--port", str(PORT), "--data", DATA, "--mistake", self.mistake]
        for name, other in environment.machines.items():
            if name != machine.name:
                argv += ["--peer", f"{name}={other.host}"]
        await machine.start(
            Program(
                name="raft",
                command=("python3", "-u", SERVER, *argv),
                data=DATA,
                simulate=asyncio_program(raft_server.main, argv),
            )
        )
        deadline = asyncio.get_running_loop().time() + START_PATIENCE_S
        while not await self.ready(environment, machine.name):
            if asyncio.get_running_loop().time() > deadline or not await machine.running():
                raise EnvironmentFailure(f"{machine.name} does not answer; see its log in the run's folder")
            await asyncio.sleep(0.1)

    async def ready(self, environment, node):
        connection = await self.connect(environment, node)
        try:
            async with asyncio.timeout(1.0):
                await connection.ask(node, {"op": "ping"})
        except (OperationFailed, TimeoutError):
            return False
        finally:
            await connection.close()
        return True

    async def connect(self, environment, node):
        return RaftConnection({name: machine.host for name, machine in environment.machines.items()}, node)


class RaftConnection:
    """A client, which begins at one node and follows its hints to the leader."""

    def __init__(self, hosts, node):
        self._hosts, self._node = hosts, node
        self._streams = {}

    async def ask(self, node, request):
        """One request to one node. Raises OperationFailed."""
        try:
            if node not in self._streams:
                self._streams[node] = await asyncio.open_connection(self._hosts[node], PORT)
        except OSError as problem:
            raise OperationFailed("unreachable", str(problem), definite=True) from None
        reader, writer = self._streams[node]
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        except OSError as problem:
            self._drop(node)
            raise OperationFailed("lost", str(problem), definite=False) from None
        except asyncio.CancelledError:
            self._drop(node)  # A late answer must not be taken for that to the next request.
            raise
        if not line.endswith(b"\n"):
            self._drop(node)
            raise OperationFailed("lost", f"{node} closed the connection", definite=False)
        return json.loads(line)

    async def execute(self, request):
        """At the leader, wherever that is. Returns the register's value."""
        node = self._node
        for _ in range(3):
            answer = await self.ask(node, request)
            match answer.get("error"):
                case None:
                    return answer["value"]
                case "not-leader" if answer["leader"] in self._hosts:
                    node = answer["leader"]
                case "not-leader":
                    raise OperationFailed("no-leader", f"{node} knows none", definite=True)
                case "mismatch":
                    raise OperationFailed("mismatch", "the register holds another value", definite=True)
                case other:
                    raise OperationFailed(other, "another leader's entry took its place", definite=True)
        raise OperationFailed("no-leader", "nodes name each other", definite=True)

    async def close(self):
        for node in list(self._streams):
            self._drop(node)

    def _drop(self, node):
        self._streams.pop(node)[1].close()


SCHEMAS = (
    Schema("read", invoked=None, ok=int | None),
    Schema("write", invoked=int, ok=int),
    Schema("cas", invoked=list[int], ok=list[int]),  # the old value, and the new one
)


class RegisterClient:
    """Turns operations into requests."""

    def __init__(self, connection):
        self._connection = connection

    async def invoke(self, invocation):
        request = {"op": invocation.f, "key": invocation.key}
        match invocation.f:
            case "read":
                return Completion("ok", await self._connection.execute(request))
            case "write":
                request["value"] = invocation.value
            case "cas":
                request["old"], request["new"] = invocation.value
        await self._connection.execute(request)
        return Completion("ok", invocation.value)

    async def close(self):
        await self._connection.close()


def _generator(plan):
    keys = plan.keys("k")
    writes = generators.numbered(lambda number: Invocation("write", number % 5, keys[number % len(keys)]))
    swaps = generators.numbered(
        lambda number: Invocation("cas", [number % 5, number // 5 % 5], keys[number % len(keys)])
    )
    reads = generators.numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return generators.mix(plan.seed, (2, reads), (1, writes), (1, swaps))


async def _probe(connection):
    await connection.execute({"op": "write", "key": "probe", "value": 0})
    await connection.execute({"op": "read", "key": "probe"})


SYSTEM = Raft()
WORKLOAD = Workload(
    name="swaps",
    summary="reads, writes and compare-and-set on a few registers; each must be linearizable",
    interface="RaftRegister",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegisterClient(connection),
    generator=_generator,
    final=lambda plan: final_reads(plan.keys("k"), plan.nodes),
    checkers={"linearizable": {"model": "cas-register"}, "availability": {}},
    probe=_probe,
    config={"keys": "4"},
)
