"""The node as a real program on loopback: its journal outlives a kill -9."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from splitbrain.harness.environment import Environment, OnDatagram
from splitbrain.harness.hosts.endpoint import UdpEndpoint
from splitbrain.harness.systems.toys import SYSTEM
from splitbrain.harness.systems.toys.toy_client import ToyConnection
from splitbrain.harness.systems.toys.toy_server import RealShell, address_of

MODULE = "splitbrain.harness.systems.toys.toy_server"
ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


class Loopback:
    """As much of an environment as a connection needs."""

    async def endpoint(self, receive: OnDatagram) -> UdpEndpoint:
        return UdpEndpoint(receive, "127.0.0.1")


class Servers:
    """Two nodes, each with a folder of its own. image: where the modules are imported from."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self.image = folder, image
        self.ports = [_free_port(), _free_port()]
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, defect: str = "none") -> None:
        addresses = [f"n{number}=127.0.0.1:{port}" for number, port in enumerate(self.ports, 1)]
        command = [sys.executable, "-m", MODULE, name, str(self.folder / name), defect, *addresses]
        environment = {"PYTHONPATH": str(self.image), "PATH": ""}
        process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        self.running[name] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    async def connect(self, client: str, node: int) -> ToyConnection:
        connection = ToyConnection(client, ("127.0.0.1", self.ports[node - 1]))
        return await connection.open(cast("Environment", Loopback()))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """The files of the image in a folder, as a container has them: no other file of ours is there."""
    for path, contents in SYSTEM.image().files.items():
        file = tmp_path / "image" / path.removeprefix("/opt/splitbrain/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents)
    made = Servers(tmp_path, tmp_path / "image")
    yield made
    for name in list(made.running):
        made.kill(name)


def test_what_was_acknowledged_is_there_after_a_kill(servers: Servers) -> None:
    async def go() -> list[Any]:
        servers.start("n1")
        servers.start("n2")
        one, two = await servers.connect("a", 1), await servers.connect("b", 2)
        await one.ask("send", "log", "first", patience_s=PATIENCE_S)
        await two.ask("send", "log", "second", patience_s=PATIENCE_S)
        servers.kill("n1")
        journal = servers.folder / "n1" / "journal.jsonl"
        with journal.open("ab") as file:
            file.write(b'["c",1,"send",["log","to')  # What a crash may leave of a third.
        servers.start("n1")
        polled = await two.ask("poll", {"log": 0}, patience_s=PATIENCE_S)
        await one.close()
        await two.close()
        return [polled, [line[:1] for line in journal.read_bytes().splitlines()]]

    polled, lines = asyncio.run(go())
    assert polled == {"log": [[0, "first"], [1, "second"]]}
    assert lines == [b"[", b"[", b"["]


def test_a_mistake_is_switched_on_by_its_name(servers: Servers) -> None:
    async def go() -> Any:
        servers.start("n1", "forgets-ids")
        one = await servers.connect("a", 1)
        before = await one.ask("generate", patience_s=PATIENCE_S)
        servers.kill("n1")
        servers.start("n1", "forgets-ids")
        after = await one.ask("generate", patience_s=PATIENCE_S)
        await one.close()
        return before, after

    assert asyncio.run(go()) == (1, 1)


def test_timers_fire_in_their_order(tmp_path: Path) -> None:
    shell = RealShell(("127.0.0.1", 0), tmp_path / "journal")
    fired: list[str] = []

    def last() -> None:
        fired.append("last")
        raise KeyboardInterrupt  # The only way out.

    shell.call_later(0.02, last)
    shell.call_later(0.01, lambda: fired.append("first"))
    with pytest.raises(KeyboardInterrupt):
        shell.serve(lambda datagram, source: None)
    assert fired == ["first", "last"]


def test_an_address_is_split_at_its_last_colon() -> None:
    assert address_of("10.0.0.3:7100") == ("10.0.0.3", 7100)
