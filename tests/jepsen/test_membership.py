"""The store on real machines (containers): nodes join and leave, and a majority dies, while clients go on."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager

import pytest

from splitbrain.harness.environment import Program
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.systems.dynamo.store_image import image
from splitbrain.store import Client, ClientCore, Member, StoreError
from splitbrain.store.server import present

PORT = 7000
FOLDER = "/var/lib/splitbrain"
SECRET = bytes(range(32))
PATIENCE_S = 60.0


def program(environment, node, members):
    """The node's process; members: of the cluster's beginning, or a seed for one that joins later."""
    hosts = {name: machine.host for name, machine in environment.machines.items()}
    command = ["splitbrain-store", "serve", "--name", node, "--key-file", f"{FOLDER}/key", "--data", f"{FOLDER}/data"]
    # Five nodes share a machine's cores and disk: its clients' latency must not decide how long a leave takes.
    command += ["--listen", f"{hosts[node]}:{PORT}", "--config", "background_p99_ms=10000"]
    if node in members:
        command += [word for name in members for word in ("--member", f"{name}={hosts[name]}:{PORT}")]
    else:
        command += ["--seed", f"{hosts[members[0]]}:{PORT}"]
    return Program("splitbrain-store", tuple(command), files={f"{FOLDER}/key": SECRET}, data=f"{FOLDER}/data")


async def client(environment, *nodes):
    addresses = [(environment.machines[node].host, PORT) for node in nodes]
    made = Client(ClientCore(addresses, secret=SECRET, cluster="splitbrain", bits=secrets.randbits), present)
    made.attach(await environment.endpoint(made.received))
    return made


@asynccontextmanager
async def cluster(nodes, members):
    """Containers; the members run."""
    environment = DockerEnvironment(nodes, image())
    try:
        await environment.open(print)
        for node in members:
            await environment.machines[node].start(program(environment, node, members))
        for node in members:
            await until(lambda node=node: answers(environment, node))
        yield environment
    except BaseException:
        for name, machine in environment.machines.items():
            print(f"== {name}", await machine.tail(10), sep="\n")
        raise
    finally:
        await environment.close()


async def answers(environment, node):
    asked = await client(environment, node)
    try:
        return bool(await asyncio.wait_for(asked.status(), 1.0))
    except (StoreError, TimeoutError):
        return False
    finally:
        asked.close()


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.1)


class Load:
    """Clients that each write keys of their own, one after another, and read back what they wrote before."""

    def __init__(self, environment, nodes, clients=4):
        self.environment, self.nodes, self.clients = environment, nodes, clients
        self.acknowledged = {}
        self.failed, self.hidden = [], []
        self.puts = self.gets = 0

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(self.clients)]
        return self

    async def __aexit__(self, *problem):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def served(self, number=40):
        """Until that many more puts and gets were answered."""
        puts, gets = self.puts + number, self.gets + number

        async def enough():
            for task in self._tasks:
                assert not task.done(), task.exception()
            return self.puts >= puts and self.gets >= gets

        await until(enough)

    async def _run(self, number):
        first = number % len(self.nodes)
        asked = await client(self.environment, *self.nodes[first:], *self.nodes[:first])
        mine = []
        try:
            while True:
                key = f"{number}/{len(mine)}".encode()
                mine.append(key)
                try:
                    await asked.put(key, key)
                    self.acknowledged[key] = key
                    self.puts += 1
                except StoreError as problem:
                    self.failed.append(f"put {key!r}: {problem.code}: {problem}")
                old = mine[len(mine) // 2]
                try:
                    found = (await asked.get(old)).values
                    self.gets += 1
                    if old in self.acknowledged and found != (old,):
                        self.hidden.append((old, found))
                except StoreError as problem:
                    self.failed.append(f"get {old!r}: {problem.code}: {problem}")
        finally:
            asked.close()


async def lost(environment, nodes, load):
    """Acknowledged writes that are not read through one of the nodes."""
    missing = []
    for node in nodes:
        asked = await client(environment, node)
        try:
            for key, value in load.acknowledged.items():
                if (await asked.get(key)).values != (value,):
                    missing.append((node, key))
        finally:
            asked.close()
    return missing


async def drained(environment, nodes):
    for node in nodes:
        asked = await client(environment, node)
        try:
            if (await asked.status())["hints"]:
                return False
        except StoreError:
            return False
        finally:
            asked.close()
    return True


@pytest.fixture
def run(docker_engine):
    return lambda scenario: asyncio.run(asyncio.wait_for(scenario(), 300))


def test_nodes_join_and_leave_while_clients_go_on_and_nothing_acknowledged_is_lost_or_hidden(run):
    async def scenario():
        async with cluster(["n1", "n2", "n3", "n4", "n5"], ["n1", "n2", "n3"]) as environment:
            operator = await client(environment, "n2")
            load = Load(environment, ["n1", "n2", "n3"])
            async with load:
                await load.served()
                for node in ("n4", "n5"):
                    machine = environment.machines[node]
                    await machine.start(program(environment, node, ["n1", "n2", "n3"]))
                    await until(lambda node=node: answers(environment, node))
                    await operator.join(Member(node, (machine.host, PORT)))
                    await load.served()
                await operator.leave("n1")

                async def handed_over():
                    return (await operator.status())["ring"]["leaving"] == []

                await until(handed_over)
                await load.served()
                load.nodes = ["n2", "n3"]
            assert load.hidden == []
            assert await lost(environment, ["n2", "n3", "n4", "n5"], load) == []
            status = await operator.status()
            assert sorted(status["ring"]["members"]) == ["n2", "n3", "n4", "n5"]
            failed = [each for each in load.failed if "not_member" not in each]
            assert failed == []
            operator.close()

    run(scenario)


def test_a_majority_dies_by_kill_9_one_after_another_and_the_cluster_answers_throughout(run):
    async def scenario():
        nodes = ["n1", "n2", "n3", "n4", "n5"]
        async with cluster(nodes, nodes) as environment:
            load = Load(environment, ["n4", "n5"])
            async with load:
                await load.served()
                for node in ("n1", "n2", "n3"):
                    await environment.machines[node].kill()
                    await load.served()
                for node in ("n1", "n2", "n3"):
                    await environment.machines[node].start(program(environment, node, nodes))
                    await until(lambda node=node: answers(environment, node))
                    await load.served()
            # A read may miss a write that stand-ins hold (`load.hidden`): that is the price of answering at all.
            assert load.failed == []
            await until(lambda: drained(environment, nodes))
            assert await lost(environment, nodes, load) == []

    run(scenario)
