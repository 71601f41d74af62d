"""One node's process: started, signalled, and spoken to over its standard input and output.

1. A process leads a group of its own, and signals go to the whole group. The result is observed: a kill that leaves the
   process alive, or a pause that leaves it running, is an EnvironmentFailure. However a process ends, its group does.
2. A line that it writes is handed over as it is. Longer than `LINE_LIMIT`, it is none.
3. What it does not read waits for it, up to `WAITING_LIMIT` bytes; beyond that messages are lost, as in any full queue.
4. Standard error goes to one log file across restarts.
5. A process that starts hears nobody but the system's own hosts until the system says that it listens: what it is told
   at first comes first.
6. Its folder survives kills, and is named by `SPLITBRAIN_DATA` in its environment. A wipe empties it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from splitbrain.harness.environment import (
    ClockSetting,
    DiskCondition,
    DiskObservation,
    EnvironmentFailure,
    PowerCut,
    Program,
)
from splitbrain.harness.running.node_logs import LOG_LIMIT_BYTES

LINE_LIMIT = 1 << 24
WAITING_LIMIT = 1 << 26
DATA_VARIABLE = "SPLITBRAIN_DATA"
PATIENCE_S = 5.0
"""How long a process may take to be gone after a kill, or stopped after a pause."""


class ProcessMachine:
    """Implements `environment.Machine`.

    name: the node's. folder: for its log and its data. heard: is called with each line it writes. failed: is called
    with a sentence once it writes what can be no line. watched: is called with its process group, and with the negative
    of it once that ended. starts: how often it was started. listening: rule 5. overflowed: messages lost by rule 3.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        heard: Callable[[bytes], None],
        failed: Callable[[str], None],
        watched: Callable[[int], None],
    ) -> None:
        self.name = name
        self.host = name
        self.taken_down = False
        self.ended = ""
        self.starts = 0
        self.listening = False
        self.overflowed = 0
        self._folder = folder
        self._heard = heard
        self._failed = failed
        self._watched = watched
        self._log: Path | None = None
        self._pipes: _Pipes | None = None

    async def start(self, program: Program) -> None:
        """Start the program. Raises EnvironmentFailure if it can't be executed, or runs already."""
        if await self.running():
            raise EnvironmentFailure(f"{program.name} runs already on {self.name}; kill it before it is started again")
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._log = self._folder / f"{program.name}.log"
        pipes = _Pipes(self._heard, self._failed, self._watched)
        try:
            with self._log.open("ab") as log:
                await asyncio.get_running_loop().subprocess_exec(
                    lambda: pipes,
                    *program.command,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, DATA_VARIABLE: str(data)},
                )
        except OSError as problem:
            remedy = "it must be an executable file, and a script must begin with #! and its interpreter"
            raise EnvironmentFailure(f"{program.command[0]} can't be started ({problem.strerror}); {remedy}") from None
        self.listening = False
        self._pipes = pipes
        self.starts += 1
        self.taken_down = False

    def tell(self, line: bytes) -> bool:
        """Write a line to its standard input. Returns False if it is lost, as nobody is there to read it."""
        if self._pipes is None or self._pipes.input is None:
            return False
        if self._pipes.input.get_write_buffer_size() > WAITING_LIMIT:
            self.overflowed += 1
            return False
        self._pipes.input.write(line)
        return True

    async def kill(self) -> None:
        """kill -9 the group, then see that the process is gone."""
        self.taken_down = True
        self._signal(signal.SIGKILL)
        await self._until(lambda state: state == "", "is still there after kill -9")
        if self._pipes is not None:
            # Else closing the pipes would wait for the process too, and one of the two would find it gone.
            await self._pipes.status()

    async def terminate(self) -> None:
        """SIGTERM."""
        self.taken_down = True
        self._signal(signal.SIGTERM)

    async def pause(self) -> None:
        """SIGSTOP. Raises EnvironmentFailure if there is no process to stop."""
        self._signal(signal.SIGSTOP)
        await self._until(lambda state: state == "T", "is not stopped after SIGSTOP")

    async def resume(self) -> None:
        """SIGCONT. A process that died meanwhile needs none."""
        self._signal(signal.SIGCONT)
        await self._until(lambda state: state != "T", "is still stopped after SIGCONT")

    async def wipe(self) -> None:
        """Empty its folder. Raises EnvironmentFailure while it runs."""
        if await self.running():
            raise EnvironmentFailure(f"the program of {self.name} runs; kill it before the wipe")
        data = self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)

    @property
    def state(self) -> str:
        """The state of its process as the kernel has it, `T` if it is stopped; "" if there is none."""
        return self._pipes.state if self._pipes is not None else ""

    async def running(self) -> bool:
        """Whether its process exists; a paused one does."""
        if self.state:
            return True
        if self._pipes is not None and not self.taken_down:
            self.ended = _how(await self._pipes.status())
        return False

    async def marked(self, marks: Collection[str]) -> str:
        """Refused, as the ability "marks" is missing here."""
        raise EnvironmentFailure(f"{self.name} can't be heard in time; run that fault with --env sim")

    async def run(self, command: Sequence[str], *, user: str | None = None, timeout_s: float = 30.0) -> str:
        raise EnvironmentFailure(
            f"{self.name} is a process of this machine, and has none of its own to run {' '.join(command):.80} on"
        )

    async def logs(self) -> Mapping[str, bytes]:
        """The end of its log."""
        if self._log is None or not self._log.exists():
            return {}
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - LOG_LIMIT_BYTES))
            return {self._log.name: log.read()}

    async def close(self) -> None:
        """End it for good. Idempotent."""
        with contextlib.suppress(EnvironmentFailure):
            await self.kill()
        if self._pipes is not None:
            self._pipes.close()

    def _signal(self, number: int) -> None:
        if self.state and self._pipes is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pipes.process, number)

    async def _until(self, reached: Callable[[str], bool], otherwise: str) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        # Looked at once a turn: a process that goes between two looks is gone, and was there.
        while not reached(state := self.state):
            if not state or asyncio.get_running_loop().time() > deadline:
                number = self._pipes.process if self._pipes is not None else "(there is none)"
                raise EnvironmentFailure(f"the process {number} of {self.name} {otherwise}")
            await asyncio.sleep(0.005)

    async def power_cut(self, *, torn: bool = False) -> PowerCut:
        self._refuse("lose power")

    async def set_clock(self, clock: ClockSetting) -> None:
        self._refuse("have a wrong clock")

    async def read_clock(self) -> float:
        return 0.0  # It has the harness's own clock.

    async def read_monotonic(self) -> float:
        self._refuse("have a wrong clock")

    async def set_disk(self, condition: DiskCondition) -> None:
        self._refuse("have a disk that fails")

    async def read_disk(self) -> DiskObservation:
        return DiskObservation()

    async def flip_bit(self, seed: int) -> str:
        self._refuse("have bits flipped")

    def _refuse(self, what: str) -> NoReturn:
        raise EnvironmentFailure(f"a process on the harness's own machine can't {what}; leave that fault out")


class _Pipes(asyncio.SubprocessProtocol):
    """A process's standard input and output. input: None once nobody reads it any more."""

    def __init__(
        self, heard: Callable[[bytes], None], failed: Callable[[str], None], watched: Callable[[int], None]
    ) -> None:
        self.process = 0
        self._watched = watched
        self._heard = heard
        self._failed = failed
        self._begun = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self.input: asyncio.WriteTransport | None = None
        self._exited = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self.process = transport.get_pid()
        self._watched(self.process)
        pipe = transport.get_pipe_transport(0)
        assert isinstance(pipe, asyncio.WriteTransport)
        self.input = pipe

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._heard(line)
        if len(self._begun) > LINE_LIMIT:
            self._begun = b""
            self._failed(f"wrote a line of more than {LINE_LIMIT >> 20} MiB; end each message with a newline")

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self.input = None

    def process_exited(self) -> None:
        # A script that ended by itself may have left what it started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        self._watched(-self.process)
        self.input = None
        self._exited.set()

    @property
    def state(self) -> str:
        if self._exited.is_set():
            return ""
        try:
            letter = Path(f"/proc/{self.process}/stat").read_text().rpartition(") ")[2][:1]
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if letter in "ZX" else letter

    async def status(self) -> int | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._exited.wait()
        return self._transport.get_returncode() if self._transport is not None else None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _how(status: int | None) -> str:
    if status is None:
        return ""
    return f"exit status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"
