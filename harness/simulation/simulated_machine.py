"""A simulated machine: what a process runs on, and the faults that can be injected there.

1. A process sees the world through its machine only: clock, timers, datagrams, disk, randomness, log.
2. A paused process does nothing. Datagrams wait in a buffer as large as Linux's; what exceeds it is lost. Timers that
   came due and syncs that ended wait as well. All of it happens, in order, once the process is resumed.
3. After kill -9 the process never does anything again: its timers, endpoints and pending syncs are gone, and the disk
   has crashed with it. That is harder than a real kill -9, which keeps the page cache: it is a power cut.
4. A process that raises is dead, as a real one would be, and its traceback ends its log.
"""

from __future__ import annotations

import random
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from splitbrain.harness.environment import Address, Endpoint, EnvironmentFailure, OnDatagram, Program, SimulatedProcess
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.simulation.disk import Done, Record, SimulatedDisk
from splitbrain.harness.simulation.loop import VirtualLoop
from splitbrain.harness.simulation.network import SimulatedEndpoint, SimulatedNetwork

RECEIVE_BUFFER_BYTES = 212_992
"""Linux's net.core.rmem_default."""
EPOCH_NS = 1_700_000_000_000_000_000
"""What every machine's calendar shows when a simulation starts, its skew aside."""
Callback = Callable[..., object]


class Timer:
    """A timer of a process; cancelling it is all one can do."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class SimulatedMachine:
    """One node. Implements `environment.Machine` for the harness; the rest is for its process.

    name: the node's. host: the same. skew_ns: by how much its calendar clock is wrong. rng: the process's own
    randomness, anew for each start.
    """

    def __init__(self, name: str, loop: VirtualLoop, network: SimulatedNetwork, *, seed: int) -> None:
        self.name = name
        self.host = name
        self.ended = ""
        self.skew_ns = 0
        self.rng: random.Random = draw(split(seed, "process 0"))
        self._loop = loop
        self._network = network
        self._seed = seed
        self._disk = SimulatedDisk(loop, seed=split(seed, "disk"))
        self._process: SimulatedProcess | None = None
        self._starts = 0
        self._life = 0
        self._paused = False
        self._held: deque[tuple[Callback, tuple[Any, ...]]] = deque()
        self._buffered_bytes = 0
        self._endpoints: list[SimulatedEndpoint] = []
        self._log: list[str] = []
        self._log_name = "process"
        self.disk = MachineDisk(self, self._disk)

    # What the process sees.

    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    def wall_ns(self) -> int:
        """The calendar clock, nanoseconds since 1970; wrong by `skew_ns`."""
        return EPOCH_NS + round(self._loop.time() * 1e9) + self.skew_ns

    def call_at(self, when: float, callback: Callback, *args: Any) -> Timer:
        """Call back at this moment (monotonic seconds), or when resumed after it."""
        timer = Timer()
        self._loop.deliver(max(0.0, when - self._loop.time()), self._fire, self._life, timer, callback, args)
        return timer

    def call_later(self, delay_s: float, callback: Callback, *args: Any) -> Timer:
        """Call back after so many seconds, or when resumed after that."""
        return self.call_at(self._loop.time() + delay_s, callback, *args)

    def endpoint(self, port: int, receive: OnDatagram) -> Endpoint:
        """A datagram socket of the process. Raises OSError if the port is in use."""

        def arrive(datagram: bytes, source: Address) -> None:
            if not self._paused:
                self._run(receive, (datagram, source))
            elif self._buffered_bytes + len(datagram) <= RECEIVE_BUFFER_BYTES:
                self._buffered_bytes += len(datagram)
                self._held.append((receive, (datagram, source)))

        endpoint = self._network.bind((self.host, port), arrive)
        self._endpoints.append(endpoint)
        return endpoint

    def log(self, text: str) -> None:
        """A line in the process's log, with the machine's monotonic time."""
        self._log.append(f"{self._loop.time():12.6f} {text}\n")

    # What the harness does to it.

    async def start(self, program: Program) -> None:
        """Start the program. Raises EnvironmentFailure if it can't be simulated or is gone at once."""
        if self._process is not None:
            raise EnvironmentFailure(f"{self.name} already runs {self._log_name}; kill it first")
        if program.simulate is None:
            raise EnvironmentFailure(
                f"{program.name} can't be simulated; run it with --env docker, or give its program `simulate`"
            )
        self._log_name = program.name
        self._starts += 1
        self.rng = draw(split(self._seed, f"process {self._starts}"))
        self._disk.recover()
        self._run(self._boot, (program.simulate,))
        if self._process is None:
            end = "".join(self._log[-5:]).rstrip()
            raise EnvironmentFailure(f"{program.name} on {self.name} was gone at once; its log ends:\n{end}")

    def _boot(self, simulate: Callable[[SimulatedMachine], SimulatedProcess]) -> None:
        self._process = simulate(self)
        self._process.start()

    async def kill(self) -> None:
        """Rule 3. Does nothing if nothing runs."""
        if self._process is not None:
            self.log("killed")
            self._end()

    async def pause(self) -> None:
        """Raises EnvironmentFailure if nothing runs."""
        if self._process is None:
            raise EnvironmentFailure(f"nothing runs on {self.name} that could be paused; start it first")
        self._paused = True

    async def resume(self) -> None:
        """Does nothing if nothing is paused."""
        self._paused = False
        self._buffered_bytes = 0
        # Should one of these be the death of the process, there is nothing held any more.
        while self._held:
            self._run(*self._held.popleft())

    async def wipe(self) -> None:
        """Raises EnvironmentFailure while a process runs."""
        if self._process is not None:
            raise EnvironmentFailure(f"{self.name} can't be wiped while {self._log_name} runs; kill it first")
        self._disk.wipe()

    async def running(self) -> bool:
        return self._process is not None

    async def logs(self) -> Mapping[str, bytes]:
        return {f"{self._log_name}.log": "".join(self._log).encode()}

    # The gate between the two.

    def gate(self, callback: Done) -> Done:
        """The callback as a process's own: held back while it is paused, void once it is dead."""
        life, timer = self._life, Timer()
        return lambda: self._fire(life, timer, callback, ())

    def _fire(self, life: int, timer: Timer, callback: Callback, args: tuple[Any, ...]) -> None:
        if life == self._life and not timer.cancelled:
            if self._paused:
                # Asked again on resuming: what ran before it may have cancelled it.
                self._held.append((self._fire, (life, timer, callback, args)))
            else:
                self._run(callback, args)

    def _run(self, callback: Callback, args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except Exception as problem:
            self.log("died:\n" + traceback.format_exc())
            self.ended = "".join(traceback.format_exception_only(problem)).strip()
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        self._life += 1
        self._paused = False
        self._held.clear()
        self._buffered_bytes = 0
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints.clear()
        if process is not None:
            process.stop()
        self._disk.crash()


class MachineDisk:
    """A machine's disk as its process sees it. No completion reaches a paused or dead process."""

    def __init__(self, machine: SimulatedMachine, disk: SimulatedDisk) -> None:
        self._machine = machine
        self._disk = disk
        self.get = disk.get
        self.scan = disk.scan

    def commit(self, records: Sequence[Record], done: Done) -> None:
        """See `SimulatedDisk.commit`."""
        self._disk.commit(records, self._machine.gate(done))
