"""A system of one static program in C, in an image that has nothing else: no shell, no Python, no sshd, no libc."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
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
        command = [
            "/server",
            "/data",
            str(PORT),
            machine.host,
            machines[min(machines)].host,
            *(["stale"] if self.stale else []),
        ]
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
LOADER, LIBC = "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"


def imported(engine: DockerClient, folder: Path, name: str = IMAGE, *, static: bool = True) -> str:
    """An image with the server and nothing else but a link to its data, imported from a tar: no registry has it.

    static: else libc and its loader are there too, of this machine. The test is skipped where no compiler is.
    """
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine (apt-get install gcc libc6-dev)")
    server = folder / "server"
    source = Path(__file__).with_name("register_server.c")
    subprocess.run(["cc", "-O2", *(["-static"] if static else []), "-o", server, source], check=True)
    files = {"server": server, **({} if static else {path: Path(path) for path in (LOADER, LIBC)})}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in ("store", "tmp"):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        # Absolute: followed from where one logs in, it would lead out of the node.
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, "/store"
        tar.addfile(link)
        for path, file in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            content = file.read_bytes()
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    repository, _, tag = name.partition(":")
    changes = ["ENV WHERE=inside"]
    engine.api.import_image(src=buffer.getvalue(), repository=repository, tag=tag, changes=changes)  # type: ignore[arg-type]
    return name
