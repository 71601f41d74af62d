"""A distributed hash table of `kademlia` from PyPI, on simulated machines, under faults drawn from a seed.

Each node runs the library as its documentation says, and serves "set KEY VALUE" and "get KEY", a line each, over TCP.
Clients set keys that nobody sets twice; so whatever a get returns later is that value, or the key was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from kademlia.network import Server

from splitbrain.harness.environment import Program
from splitbrain.harness.seeds import choose, draw, shuffled, split
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.simulation.programs import asyncio_program

NODES = ("n1", "n2", "n3", "n4", "n5")
DHT_PORT, CLIENT_PORT = 8468, 8000
EPISODES = 4
PATIENCE_S = 20.0
SETTLE_S = 60.0
"""After the last heal, before the last gets: the library asks a node that does not answer for 5 s."""


async def serve(name: str, others: Sequence[str]) -> None:
    """A node: the program."""
    server = Server()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().split():
            if line[0] == "set":
                writer.write(f"{await server.set(line[1], line[2])}\n".encode())
            else:
                writer.write(f"{await server.get(line[1])}\n".encode())
        writer.close()

    await server.listen(DHT_PORT)
    clients = await asyncio.start_server(answer, None, CLIENT_PORT)
    loop = asyncio.get_running_loop()
    found = [(await loop.getaddrinfo(other, DHT_PORT))[0][4] for other in others]
    print(f"{name} found {await server.bootstrap(found)}")
    await clients.serve_forever()


@dataclass
class Findings:
    """What one seed showed.

    acknowledged: sets that were answered True. refused: that were answered False. unanswered: by themselves, that ended
    without an answer. lost: acknowledged keys that some node did not find in the end, by node. wrong: keys with a value
    nobody set. tracebacks: the last lines of those in the nodes' logs. record: everything that happened, and all logs.
    """

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    unanswered: int = 0
    lost: dict[str, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    record: list[str] = field(default_factory=list)


def drive(seed: int, faults: tuple[str, ...] = ("partition", "kill", "pause")) -> Findings:
    """One run. The faults of an episode take turns with load that no fault disturbs."""

    async def main() -> Findings:
        run = _Run(seed, faults)
        await run.environment.open(lambda text: None)
        try:
            await run.go()
        finally:
            await run.environment.close()
        return run.findings

    return run_simulated(main)


class _Run:
    def __init__(self, seed: int, faults: tuple[str, ...]) -> None:
        self.environment = SimulatedEnvironment(NODES, seed=split(seed, "environment"))
        self.findings = Findings()
        self._faults = faults
        self._rng = draw(split(seed, "faults"))
        self._keys = 0

    async def go(self) -> None:
        for name in NODES:
            await self._start(name)
        await asyncio.sleep(30)
        for _ in range(EPISODES):
            await self._load()
            if self._faults:
                await self._fault(choose(self._rng, self._faults))
        await self._load()
        await asyncio.sleep(SETTLE_S)
        await self._judge()

    async def _start(self, name: str) -> None:
        others = [node for node in NODES if node != name]
        program = Program("dht", (), simulate=asyncio_program(serve, name, others))
        await self.environment.machines[name].start(program)

    async def _fault(self, fault: str) -> None:
        order = shuffled(self._rng, NODES)
        lasts_s = 5 + 25 * self._rng.random()
        self._note(f"{fault} {order[:2]} for {lasts_s:.3f} s")
        machines = [self.environment.machines[name] for name in order[:2]]
        match fault:
            case "partition":
                links = [(one, other) for one in order[:2] for other in order[2:]]
                await self.environment.network.cut(links + [(other, one) for one, other in links])
            case "kill":
                for machine in machines:
                    await machine.kill()
            case "pause":
                for machine in machines:
                    await machine.pause()
        load = asyncio.create_task(self._load())
        await asyncio.sleep(lasts_s)
        await load
        match fault:
            case "partition":
                await self.environment.network.heal()
            case "kill":
                for machine in machines:
                    await self._start(machine.name)
            case "pause":
                for machine in machines:
                    await machine.resume()
        self._note("healed")

    async def _load(self) -> None:
        """A set through every node, all at once."""
        keys = [f"key{self._keys + number}" for number in range(len(NODES))]
        self._keys += len(NODES)
        for key, answer in zip(keys, await self._ask_all([f"set {key} {key}" for key in keys]), strict=True):
            if answer == "True":
                self.findings.acknowledged.append(key)
            elif answer == "False":
                self.findings.refused += 1
            else:
                self.findings.unanswered += 1

    async def _judge(self) -> None:
        for key in self.findings.acknowledged:
            for name, answer in zip(NODES, await self._ask_all([f"get {key}"] * len(NODES)), strict=True):
                if answer in ("None", ""):
                    self.findings.lost.setdefault(key, []).append(name)
                elif answer != key:
                    self.findings.wrong.append(f"{key} is {answer}")
        for name, machine in self.environment.machines.items():
            for log in (await machine.logs()).values():
                text = log.decode()
                self.findings.record.append(f"{name}:\n{text}")
                after = [part.splitlines()[1:] for part in text.split("Traceback (most recent call last):")[1:]]
                self.findings.tracebacks += [next(line for line in lines if line[:1].strip()) for lines in after]

    async def _ask_all(self, requests: Sequence[str]) -> list[str]:
        return await asyncio.gather(*map(self._ask, NODES, requests))

    async def _ask(self, node: str, request: str) -> str:
        """The answer; empty if there is none in time."""
        answer = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection(node, CLIENT_PORT)
                writer.write(f"{request}\n".encode())
                answer = (await reader.readline()).decode().strip()
                writer.close()
        except (OSError, TimeoutError):
            pass
        self._note(f"{node}: {request}: {answer}")
        return answer

    def _note(self, text: str) -> None:
        self.findings.record.append(f"{asyncio.get_running_loop().time():.9f} {text}")
