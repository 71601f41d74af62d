"""A system of one static program in C, in an image that has nothing else: no shell, no Python, no sshd, no libc."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from docker.client import DockerClient

from splitbrain import NodeImage, OperationFailed, Program
from splitbrain.harness.environment import Endpoint, Environment, Machine
from splitbrain.harness.systems.readiness import until_ready

IMAGE = "splitbrain-test-register:local"
PORT = 62
PATIENCE_S = 1.0


class RegisterConnection:
    """A `Register`: one datagram a request, never sent twice."""

    def __init__(self, host: str) -> None:
        self._to = (host, PORT)
        self._numbers = count()
        self._answer: asyncio.Future[str] | None = None
        self._asked = ""
        self._endpoint: Endpoint | None = None

    async def open(self, environment: Environment) -> RegisterConnection:
        self._endpoint = await environment.endpoint(self._received)
        return self

    async def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()

    async def read(self, key: str) -> Any:
        return json.loads(await self._ask(f"r {key}"))

    async def write(self, key: str, value: Any) -> None:
        await self._ask(f"w {key} {json.dumps(value)}")

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        return bool(json.loads(await self._ask(f"c {key} {json.dumps(old)} {json.dumps(new)}")))

    async def _ask(self, request: str) -> str:
        assert self._endpoint is not None
        self._asked = str(next(self._numbers))
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._endpoint.send(f"{self._asked} {request}".encode(), self._to)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await answer
        except TimeoutError:
            raise OperationFailed("timeout", f"no answer within {PATIENCE_S:g} s", definite=False) from None

    def _received(self, datagram: bytes, source: tuple[str, int]) -> None:
        number, _, said = datagram.decode().partition(" ")
        if number == self._asked and self._answer is not None and not self._answer.done():
            self._answer.set_result(said)


@dataclass(frozen=True)
class Registers:
    """The system. stale: nodes answer reads from what the primary last sent them."""

    stale: bool = False
    image_name: str = IMAGE
    name: str = "registers-in-c"
    interfaces: frozenset[str] = frozenset({"Register"})
    preload: bool = False

    @property
    def config(self) -> Mapping[str, str]:
        return {"stale": str(self.stale)}

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Registers:
        return replace(self, stale=config.get("stale", str(self.stale)) == "True")

    async def start(self, environment: Environment, machine: Machine) -> None:
        await machine.start(self.program(environment.machines, machine))
        await until_ready(self.ready, environment, machine)

    def program(self, machines: Mapping[str, Machine], machine: Machine) -> Program:
        command = ["/server", "/data", str(PORT), machine.host, machines[min(machines)].host, *(["stale"] if self.stale else [])]
        return Program("register", tuple(command), data="/data", preload=self.preload)

    async def ready(self, environment: Environment, node: str) -> bool:
        connection = await self.connect(environment, node)
        try:
            await connection.read("ready")
        except OperationFailed:
            return False
        finally:
            await connection.close()
        return True

    async def connect(self, environment: Environment, node: str) -> RegisterConnection:
        return await RegisterConnection(environment.machines[node].host).open(environment)

    def image(self) -> NodeImage:
        return NodeImage(stock=self.image_name)

    def describe(self) -> Mapping[str, Any]:
        return dict(self.config)


SYSTEM = Registers()


def compiled(folder: Path, *flags: str) -> Path:
    """The server, compiled here."""
    server = folder / "server"
    source = Path(__file__).with_name("register_server.c")
    subprocess.run(["cc", "-O2", *flags, "-o", server, source], check=True)
    return server


def imported(engine: DockerClient, server: Path, name: str = IMAGE, libraries: Mapping[str, Path] | None = None) -> str:
    """An image with the server, and nothing else but a link to its data; it exists on this machine alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("store", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        link = tarfile.TarInfo("data")
        # Absolute: from where one logs in, it would lead out of the node.
        link.type, link.linkname = tarfile.SYMTYPE, "/store"
        tar.addfile(link)
        for path, file in {"server": server, **(libraries or {})}.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            content = file.read_bytes()
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    repository, _, tag = name.partition(":")
    engine.api.import_image(src=buffer.getvalue(), repository=repository, tag=tag, changes=["ENV WHERE=inside"])
    return name
