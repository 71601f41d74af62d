"""A node of a user's compose project: its container is killed, paused and started by the engine.

1. The program is the container's own, so `start` starts the container. Of the program that a system asks for, only the
   name counts: it names the log.
2. A container takes its network along when it ends, with the rules in it. Until it was started again and its sidecar
   has joined the new network, the node is not `present`.
3. Whoever takes a node down waits for what is being asked of the network, and keeps it from asking a node that is gone.
4. The user's data is never deleted, and nothing is preloaded into a program of theirs: these faults are refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from docker.client import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from splitbrain.harness.environment import (
    ClockSetting,
    DiskCondition,
    DiskObservation,
    EnvironmentFailure,
    PowerCut,
    Program,
)
from splitbrain.harness.hosts.containers.engine import refusals
from splitbrain.harness.hosts.ssh import SshConnection, excerpt
from splitbrain.harness.hosts.ssh_machine import exit_named
from splitbrain.harness.running.node_logs import LOG_LIMIT_BYTES

T = TypeVar("T")
END_S = 15.0
"""How long the engine may take to have ended a container's processes."""
TAIL_BYTES = 600


class Engine(Protocol):
    """Does blocking work with the engine, in a thread."""

    async def __call__(self, work: Callable[[DockerClient], T]) -> T: ...


class Attachment(Protocol):
    """What a run has put beside a node.

    leave: the node's network is about to go. join: have the sidecar join the node's network; returns the address there,
    and a connection to the sidecar. rejoined: all that is cut or degraded there is so again.
    """

    def leave(self) -> None: ...

    async def join(self) -> tuple[str, SshConnection]: ...

    async def rejoined(self) -> None: ...


class ComposedMachine:
    """An `environment.Machine` of a container that was there before.

    name: the node's. container: its id. host, connection: where it is, and to its sidecar. engine: how the engine is
    asked. turn: held while the network is asked.
    """

    def __init__(
        self,
        name: str,
        container: str,
        host: str,
        connection: SshConnection,
        engine: Engine,
        turn: asyncio.Lock,
        attachment: Attachment,
    ) -> None:
        self.name = name
        self.host = host
        self.connection = connection
        self.taken_down = False
        self.ended = ""
        self._container = container
        self._engine = engine
        self._turn = turn
        self._attachment = attachment
        self._joined = True
        self._log = name
        self._since = int(time.time())

    async def start(self, program: Program) -> None:
        """Start the container, if it does not run. Raises EnvironmentFailure with the end of its log."""
        self._log = program.name
        if not (await self._state())["Running"]:
            async with self._turn:
                self._gone()
                await self._asked("start", lambda container: container.start())
                try:
                    self.host, self.connection = await self._attachment.join()
                except EnvironmentFailure as failure:
                    said = excerpt((await self._said())[-TAIL_BYTES:])
                    raise EnvironmentFailure(f"{failure}; the end of its log: {said}") from failure
                self._joined = True
                await self._attachment.rejoined()
        self.taken_down = False

    async def kill(self) -> None:
        """kill -9 by the engine, then look that the container has ended."""
        self.taken_down = True
        async with self._turn:
            self._gone()
            await self._asked("kill", lambda container: _signal(container, "SIGKILL"))
            await self._until_ended()

    async def terminate(self) -> None:
        """SIGTERM to its first process. It ends when it likes."""
        self.taken_down = True
        await self._asked("terminate", lambda container: _signal(container, "SIGTERM"))

    async def pause(self) -> None:
        """Freeze all its processes. Raises EnvironmentFailure if it does not run."""
        await self._asked("pause", lambda container: container.pause())

    async def resume(self) -> None:
        """Unfreeze them, if they are frozen."""
        if (await self._state())["Paused"]:
            await self._asked("resume", lambda container: container.unpause())

    async def marked(self, marks: Collection[str]) -> str:
        self._refuse("it can't be heard in time")

    async def run(self, command: Sequence[str], *, user: str | None = None, timeout_s: float = 30.0) -> str:
        """Run another command in the container. Raises EnvironmentFailure with what it said if it fails."""
        ended: list[tuple[int | None, bytes]] = []

        def executed(container: Container) -> None:
            status, said = container.exec_run(list(command), user=user or "", stream=False)
            ended.append((status, bytes(said) if isinstance(said, bytes) else b""))

        async with asyncio.timeout(timeout_s):
            await self._asked("run a command in", executed)
        status, said = ended[0]
        if status != 0:
            raise EnvironmentFailure(f"{self.name}: {' '.join(command):.80} ended with {status}: {excerpt(said)}")
        return said.decode(errors="replace").strip()

    async def running(self) -> bool:
        """Whether the container runs; a paused one does."""
        state = await self._state()
        if not state["Running"] and not self.taken_down:
            self.ended = exit_named(str(state["ExitCode"]))
        return bool(state["Running"])

    async def present(self) -> bool:
        """Whether it runs, and its sidecar is in its network."""
        if self._joined and not (await self._state())["Running"]:
            self._gone()
        return self._joined

    async def logs(self) -> Mapping[str, bytes]:
        """The end of what the container has written since the run began, at most 16 MiB."""
        return {f"{self._log}.log": await self._said()}

    async def power_cut(self, *, torn: bool = False) -> PowerCut:
        """Raises EnvironmentFailure, as do all that follow."""
        self._refuse("no power cut can be made")

    async def wipe(self) -> None:
        self._refuse("its data is not deleted")

    async def flip_bit(self, seed: int) -> str:
        self._refuse("its data is not damaged")

    async def set_clock(self, clock: ClockSetting) -> None:
        self._refuse("its clock can't be set")

    async def read_clock(self) -> float:
        self._refuse("its clock can't be read")

    async def read_monotonic(self) -> float:
        self._refuse("its clock can't be read")

    async def set_disk(self, condition: DiskCondition) -> None:
        self._refuse("its disk can't be made to fail")

    async def read_disk(self) -> DiskObservation:
        self._refuse("its disk can't be observed")

    def close(self) -> None:
        self.connection.close()

    def _refuse(self, otherwise: str) -> NoReturn:
        raise EnvironmentFailure(
            f"{self.name} is a container of a compose project, so {otherwise}; leave that fault out"
        )

    def _gone(self) -> None:
        self._joined = False
        self._attachment.leave()
        # Its other end is gone without a word: whoever asks it would wait.
        self.connection.close()

    async def _state(self) -> Mapping[str, Any]:
        def inspected(client: DockerClient) -> Mapping[str, Any]:
            with refusals(f"look at the container of {self.name}"):
                state: Mapping[str, Any] = client.api.inspect_container(self._container)["State"]
                return state

        return await self._engine(inspected)

    async def _asked(self, what: str, work: Callable[[Container], object]) -> None:
        def asked(client: DockerClient) -> None:
            with refusals(f"{what} the container of {self.name}"):
                work(client.containers.get(self._container))

        await self._engine(asked)

    async def _until_ended(self) -> None:
        deadline = asyncio.get_running_loop().time() + END_S
        while (await self._state())["Running"]:
            if asyncio.get_running_loop().time() > deadline:
                raise EnvironmentFailure(f"the container of {self.name} still runs {END_S:g} s after kill -9")
            await asyncio.sleep(0.02)

    async def _said(self) -> bytes:
        def read(client: DockerClient) -> bytes:
            with refusals(f"read the log of {self.name}"):
                said = bytearray()
                for piece in client.containers.get(self._container).logs(stream=True, follow=False, since=self._since):
                    said += piece
                    del said[:-LOG_LIMIT_BYTES]
                return bytes(said)

        return await self._engine(read)


def _signal(container: Container, name: str) -> None:
    try:
        container.kill(name)
    except APIError as error:
        container.reload()
        # A kill has nothing left to do where nothing runs.
        if container.attrs["State"]["Running"]:
            raise error
