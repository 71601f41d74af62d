"""The reference store on simulated disks that are full, fail, or have flipped bits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from splitbrain.harness.environment import CLIENTS, Conditions, DiskCondition
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.dynamo import SYSTEM, Dynamo
from splitbrain.harness.systems.dynamo.store_system import DynamoConnection

NODES = ("n1", "n2", "n3", "n4", "n5")
SETTLED_S = 11.0
"""By then the nodes know each other."""


class Cluster:
    """Five nodes, and what a test asks of them."""

    def __init__(self, environment: SimulatedEnvironment, system: Dynamo) -> None:
        self.environment = environment
        self.system = system

    async def connect(self, node: str) -> DynamoConnection:
        return await self.system.connect(self.environment, node)

    async def put(self, node: str, key: bytes, value: bytes = b"v") -> None:
        connection = await self.connect(node)
        await connection.put(key, value, None)
        await connection.close()

    async def values(self, node: str, key: bytes) -> tuple[bytes, ...]:
        """What the node itself has."""
        connection = await self.connect(node)
        state = await connection.replica(key)
        await connection.close()
        return tuple(value for value in state.values if value is not None)

    async def log(self, node: str) -> str:
        return (await self.environment.machines[node].logs())["splitbrain-store.log"].decode()

    async def homes(self, key: bytes) -> list[str]:
        found = []
        for node in NODES:
            connection = await self.connect(node)
            if (await connection.replica(key)).home:
                found.append(node)
            await connection.close()
        return found


def on_a_cluster(scenario: Callable[[Cluster], Awaitable[object]], *, seed: int = 1, **config: str) -> object:
    async def main() -> object:
        environment = SimulatedEnvironment(NODES, seed=seed)
        await environment.open(lambda text: None)
        system = SYSTEM.configure(config, seed=seed, nodes=len(NODES))
        await asyncio.gather(*(system.start(environment, machine) for machine in environment.machines.values()))
        await asyncio.sleep(SETTLED_S)
        return await scenario(Cluster(environment, system))

    return run_simulated(main)


def test_a_node_whose_disk_is_full_refuses_writes_stays_up_and_catches_up_once_there_is_room() -> None:
    async def scenario(c: Cluster) -> None:
        full, *others = await c.homes(b"k")
        machine = c.environment.machines[full]
        await machine.set_disk(DiskCondition(full=True))
        loop = asyncio.get_running_loop()
        for number in range(20):
            began = loop.time()
            await c.put(others[0], b"k", b"%d" % number)
            # Virtual time: a fallback takes its place at once, and nobody waits for the time in which it is overdue.
            assert loop.time() - began < 0.1
        with pytest.raises(OperationFailed, match=f"the disk of {full} is full") as refused:
            await c.put(full, b"another")
        assert refused.value.definite and refused.value.code == "disk_full"
        assert await machine.running() and await c.system.ready(c.environment, full)
        assert await c.values(full, b"k") == ()
        await machine.set_disk(DiskCondition())
        await asyncio.sleep(5.0)
        assert sorted(await c.values(full, b"k")) == sorted(b"%d" % number for number in range(20))
        await c.put(full, b"another")
        log = await c.log(full)
        assert f"the disk is full: {full} refuses writes until there is room" in log
        assert f"the disk has room again: {full} takes writes" in log

    on_a_cluster(scenario, anti_entropy_s="0", failover="false")


def test_a_put_that_meets_the_end_of_its_coordinators_disk_is_indeterminate_and_spreads_with_room() -> None:
    async def scenario(c: Cluster) -> None:
        full, *others = await c.homes(b"k")
        await c.environment.machines[full].set_disk(DiskCondition(full=True))
        with pytest.raises(OperationFailed, match=f"the disk of {full} is full") as failed:
            await c.put(full, b"k")
        assert not failed.value.definite and failed.value.code == "quorum_failed"
        assert [await c.values(node, b"k") for node in (full, *others)] == [(), (), ()]
        await c.environment.machines[full].set_disk(DiskCondition())
        await asyncio.sleep(5.0)
        assert [await c.values(node, b"k") for node in (full, *others)] == [(b"v",)] * 3

    on_a_cluster(scenario, anti_entropy_s="0", read_repair="off", failover="false")


def test_a_client_that_knows_other_nodes_turns_to_them_where_a_disk_is_full() -> None:
    async def scenario(c: Cluster) -> None:
        homes = await c.homes(b"k")
        full = homes[0]
        await c.environment.machines[full].set_disk(DiskCondition(full=True))
        await c.put(full, b"k", b"first")
        other = next(node for node in NODES if node not in homes)
        # It forwards to the first primary, which refuses, and then to the next.
        await c.put(other, b"k", b"second")

    on_a_cluster(scenario)


def test_after_an_io_error_a_node_stops_at_once_says_so_and_has_what_it_acknowledged() -> None:
    async def scenario(c: Cluster) -> None:
        node = (await c.homes(b"k"))[0]
        machine = c.environment.machines[node]
        await c.put(node, b"k", b"before")
        await machine.set_disk(DiskCondition(failing=True))
        with pytest.raises(OperationFailed):
            await c.put(node, b"k", b"lost or not")
        assert not await machine.running()
        last = (await c.log(node)).splitlines()[-1]
        assert f"{node} stops: can't write ([Errno 5] Input/output error); check the disk for failures" in last
        assert (await machine.read_disk()).refused == 1, "a failed sync was tried again"
        await machine.set_disk(DiskCondition())
        await c.system.start(c.environment, machine)
        assert b"before" in await c.values(node, b"k")

    on_a_cluster(scenario, failover="false")


def test_flipped_bits_are_found_by_checksums_and_the_replicas_bring_the_records_back() -> None:
    async def scenario(c: Cluster) -> None:
        keys = [b"key%d" % number for number in range(30)]
        for key in keys:
            await c.put("n1", key, b"precious")
        await asyncio.sleep(2.0)
        homes = {key: await c.homes(key) for key in keys}
        machine = c.environment.machines["n2"]
        await machine.kill()
        for bit in range(40):
            assert await machine.flip_bit(bit)
        await c.system.start(c.environment, machine)
        await asyncio.sleep(30.0)
        assert "is damaged" in await c.log("n2")
        for key in keys:
            assert [await c.values(node, key) for node in homes[key]] == [(b"precious",)] * 3

    on_a_cluster(scenario, anti_entropy_s="2")


@pytest.mark.parametrize("between", ["nodes", "clients"])
def test_corruption_on_the_wire_is_loss_to_the_store_and_nothing_else(between: str) -> None:
    async def scenario(c: Cluster) -> None:
        network = c.environment.network
        links = [(a, b) for a in NODES for b in NODES if a != b]
        if between == "clients":
            links = [link for node in NODES for link in ((CLIENTS, node), (node, CLIENTS))]
        await network.degrade(links, Conditions(corruption=0.2))
        failed: list[str] = []
        for number in range(200):
            node = NODES[number % 5]
            try:
                await c.put(node, b"key%d" % number, b"v%d" % number)
            except OperationFailed as problem:
                failed.append(problem.code)
        corrupted = sum(link.interference.corrupted for link in await network.observe() if link.interference)
        await network.heal()
        assert corrupted > 100
        # As under loss: some take too long. Nobody was told anything false, and nothing fell over.
        assert set(failed) <= {"timeout", "quorum_failed"} and len(failed) < 20
        forged = 0
        for node in NODES:
            assert await c.environment.machines[node].running()
            connection = await c.connect(node)
            counters = (await connection.client.status())["counters"]
            forged += sum(counters.get(name, 0) for name in ("forged", "malformed", "other_protocol", "other_cluster"))
            await connection.close()
        assert forged > 50
        await asyncio.sleep(5.0)
        for number in range(200):
            connection = await c.connect("n1")
            found = await connection.get(b"key%d" % number)
            await connection.close()
            assert set(found.values) <= {b"v%d" % number}

    on_a_cluster(scenario)
