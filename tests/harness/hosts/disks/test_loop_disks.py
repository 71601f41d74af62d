"""Nodes with disks of their own: a power cut takes what a program did not sync, though nothing is preloaded into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from docker.client import DockerClient

from splitbrain.harness.environment import EnvironmentFailure, PowerCut, Program
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.system import NodeImage

DATA = "/var/lib/splitbrain/data"
WRITER = """
import os, time

def synced(name):
    with open(name, "rb") as file:
        os.fsync(file.fileno())
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

os.chdir("/var/lib/splitbrain/data")
with open("synced", "wb") as file:
    file.write(b"a" * 5000)
synced("synced")
with open("longer", "wb") as file:
    file.write(b"b" * 100)
synced("longer")
with open("longer", "ab") as file:
    file.write(b"c" * 20000)
with open("unsynced", "wb") as file:
    file.write(b"d" * 3000)
print("written", flush=True)
time.sleep(3600)
"""
PATIENCE_S = 60.0


async def written(environment: DockerEnvironment, program: Program) -> None:
    machine = environment.machines["n1"]
    await machine.start(program)
    async with asyncio.timeout(PATIENCE_S):
        while b"written" not in (await machine.logs()).get("writer.log", b""):
            await asyncio.sleep(0.1)


async def sizes(environment: DockerEnvironment) -> dict[str, int]:
    listed = await environment.machines["n1"].run(("find", DATA, "-type", "f", "-printf", "%f %s\\n"))
    return {name: int(size) for name, size in (line.split() for line in listed.splitlines())}


def test_what_was_synced_survives_and_what_was_not_is_lost(
    docker_engine: DockerClient, held: Callable[[str], list[str]]
) -> None:
    async def told() -> tuple[PowerCut, dict[str, int], str, PowerCut]:
        environment = DockerEnvironment(["n1"], NodeImage(disk_mib=64))
        try:
            await environment.open(print)
            machine = environment.machines["n1"]
            await written(environment, Program("writer", ("python3", "-c", WRITER), data=DATA, preload=False))
            assert await sizes(environment) == {"synced": 5000, "longer": 20100, "unsynced": 3000}
            assert {"power-cut", "torn-write"} <= environment.abilities
            assert environment.abilities.isdisjoint({"clock", "full-disk"})
            cut = await machine.power_cut()
            assert not await machine.running()
            left = await sizes(environment)
            content = await machine.run(("head", "-c", "20100", f"{DATA}/longer"))
            return cut, left, content, await machine.power_cut()
        finally:
            await environment.close()
            assert held(environment.run) == []

    cut, left, content, again = asyncio.run(told())
    assert left == {"synced": 5000, "longer": 100}
    assert content == "b" * 100
    assert cut == PowerCut(undone=2, undone_bytes=23000)
    assert again == PowerCut(undone=0, undone_bytes=0), "what a cut left is on the disk"


def test_data_beside_the_disk_and_a_missing_disk_are_refused_by_name(docker_engine: DockerClient) -> None:
    elsewhere = Program("writer", ("sleep", "3600"), data="/srv/data", preload=False)

    async def refusals() -> list[str]:
        said = []
        for image in (NodeImage(disk_mib=64), NodeImage()):
            environment = DockerEnvironment(["n1"], image)
            try:
                await environment.open(print)
                await environment.machines["n1"].start(elsewhere)
                with pytest.raises(EnvironmentFailure) as refused:
                    await environment.machines["n1"].power_cut()
                said.append(str(refused.value))
                assert await environment.machines["n1"].running(), "what is refused kills nothing"
            finally:
                await environment.close()
        return said

    beside, without = asyncio.run(refusals())
    assert "keeps its data at /srv/data, which is not on the node's own disk" in beside
    assert "nothing is preloaded into writer on n1" in without
