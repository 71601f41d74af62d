"""A simulated machine: what a process runs on, and the faults that can be injected there.

1. A process sees the world through its machine only: clock, timers, datagrams, disk, randomness, log.
2. A paused process does nothing. Datagrams wait in a buffer as large as Linux's; what exceeds it is lost. Timers that
   came due and syncs that ended wait as well. All of it happens, in order, once the process is resumed.
3. After kill -9 the process never does anything again: its timers, endpoints and pending syncs are gone, and the disk
   has crashed with it. That is harder than a real kill -9, which keeps the page cache.
4. A process that raises is dead, as a real one would be, and its traceback ends its log. So is one that does not handle
   the error of a commit.
5. SIGTERM ends a process at once unless it handles it (`terminate`). One that is paused gets it when it is resumed.
6. Its calendar clock and its monotonic clock may be wrong, each in its own way, and its timers with the latter. The
   monotonic clock never jumps. The lines of its log have the harness's time.
"""

from __future__ import annotations

import random
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from splitbrain.harness.environment import (
    Address,
    ClockSetting,
    DiskCondition,
    DiskObservation,
    Endpoint,
    EnvironmentFailure,
    OnDatagram,
    PowerCut,
    Program,
    SimulatedProcess,
)
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.simulation.disk import Done, Failed, Record, SimulatedDisk
from splitbrain.harness.simulation.loop import VirtualLoop
from splitbrain.harness.simulation.network import SimulatedEndpoint, SimulatedNetwork
from splitbrain.harness.simulation.simulated_files import SimulatedFiles

RECEIVE_BUFFER_BYTES = 212_992
"""Linux's net.core.rmem_default."""
EPOCH_NS = 1_700_000_000_000_000_000
"""What every machine's calendar shows when a simulation starts, if it is right."""
TICK_S = 1e-9
"""By how much a timer is late whose clock has been set."""
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

    name: the node's. host: the same. rng: the process's own randomness, anew for each start. loop, network: what the
    machine's kernel works on, paused or not. files: those of programs that use `open`.
    """

    def __init__(self, name: str, loop: VirtualLoop, network: SimulatedNetwork, *, seed: int) -> None:
        self.name = name
        self.host = name
        self.taken_down = False
        self.ended = ""
        self.rng: random.Random = draw(split(seed, "process 0"))
        self.loop = self._loop = loop
        self.network = self._network = network
        self._seed = seed
        self._disk = SimulatedDisk(loop, seed=split(seed, "disk"))
        self.files = SimulatedFiles(draw(split(seed, "files")))
        self._process: SimulatedProcess | None = None
        self._starts = 0
        self._life = 0
        self._paused = False
        self._clock: ClockSetting | None = None
        """None: it was never set."""
        self._clock_set_s = 0.0
        self._monotonic_set_s = 0.0
        """What the monotonic clock showed when the clock was set."""
        self._held: deque[tuple[Callback, tuple[Any, ...]]] = deque()
        self._buffered_bytes = 0
        self._endpoints: list[SimulatedEndpoint] = []
        self._log: list[str] = []
        self._log_name = "process"
        self.disk = MachineDisk(self, self._disk)

    # What the process sees.

    def now(self) -> float:
        """Monotonic seconds."""
        if self._clock is None:
            return self._loop.time()
        since_s = self._loop.time() - self._clock_set_s
        return self._monotonic_set_s + since_s * (1 + self._clock.monotonic_drift)

    def wall_ns(self) -> int:
        """The calendar clock, nanoseconds since 1970."""
        clock, true_s = self._clock, self._loop.time()
        if clock is None:
            return EPOCH_NS + round(true_s * 1e9)
        return EPOCH_NS + round((true_s + clock.offset_s + clock.drift * (true_s - self._clock_set_s)) * 1e9)

    def call_at(self, when: float, callback: Callback, *args: Any) -> Timer:
        """Call back at this moment (monotonic seconds), or when resumed after it."""
        timer = Timer()
        true_s = when - self.now()
        if self._clock is not None:
            # Rounded down, the clock would not quite show that moment, and who asks again would ask without end.
            true_s = true_s / (1 + self._clock.monotonic_drift) + TICK_S
        self._loop.deliver(max(0.0, true_s), self._fire, self._life, timer, callback, args)
        return timer

    def call_later(self, delay_s: float, callback: Callback, *args: Any) -> Timer:
        """Call back after so many seconds, or when resumed after that."""
        return self.call_at(self.now() + delay_s, callback, *args)

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
        """A line in the process's log."""
        self._log.append(f"{self._loop.time():12.6f} {text}\n")

    def exit(self, text: str) -> None:
        """The process ends, with this line in its log. Nothing more of it happens, so return at once."""
        self.log(text)
        self._end()

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
        self.taken_down = False

    def _boot(self, simulate: Callable[[SimulatedMachine], SimulatedProcess]) -> None:
        self._process = simulate(self)
        self._process.start()

    async def kill(self) -> None:
        """Rule 3. Does nothing if nothing runs."""
        if self._process is not None:
            self.log("killed")
            self.taken_down = True
            self._end()

    async def terminate(self) -> None:
        """Rule 5. Does nothing if nothing runs."""
        if self._process is not None:
            self.taken_down = True
            self._fire(self._life, Timer(), self._terminate, ())

    def _terminate(self) -> None:
        handled = getattr(self._process, "terminate", None)
        if handled is None:
            self.exit("terminated")
        else:
            handled()

    async def power_cut(self, *, torn: bool = False) -> PowerCut:
        """The process ends, and its disk loses what was not synced. Of a machine on which nothing runs, nothing."""
        if self._process is None:
            return PowerCut(0, 0)
        self.log("power cut")
        self.taken_down = True
        # First the disk: what a process does not finish by itself is not for the end of the process to decide.
        cut = self._disk.power_cut(torn=torn)
        self._end()
        return cut

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
        self.files.wipe()

    async def set_clock(self, clock: ClockSetting) -> None:
        """Raises ValueError for a monotonic clock that would stand still or run backwards."""
        if clock.monotonic_drift <= -1:
            raise ValueError(f"a monotonic drift of {clock.monotonic_drift} stops the clock; give more than -1")
        self._monotonic_set_s, self._clock_set_s = self.now(), self._loop.time()
        self._clock = clock

    async def read_clock(self) -> float:
        return (self.wall_ns() - EPOCH_NS) / 1e9 - self._loop.time()

    async def read_monotonic(self) -> float:
        return self.now()

    async def set_disk(self, condition: DiskCondition) -> None:
        self._disk.set_condition(condition)
        if condition.full or condition.failing:
            self.taken_down = True
        elif self._process is not None:
            self.taken_down = False

    async def read_disk(self) -> DiskObservation:
        return self._disk.observe()

    async def flip_bit(self, seed: int) -> str:
        """Raises EnvironmentFailure while a process runs."""
        if self._process is not None:
            raise EnvironmentFailure(f"no bit on {self.name} can flip while {self._log_name} runs; kill it first")
        return self._disk.flip_bit(seed)

    async def running(self) -> bool:
        return self._process is not None

    async def run(self, command: Sequence[str], *, user: str | None = None, timeout_s: float = 30.0) -> str:
        raise EnvironmentFailure(
            f"{self.name} is simulated and has no commands, so {' '.join(command):.80} can't be run there; "
            "run it with --env docker"
        )

    async def logs(self) -> Mapping[str, bytes]:
        return {f"{self._log_name}.log": "".join(self._log).encode()}

    # The gate between the two.

    def gate(self, callback: Callback) -> Callable[..., None]:
        """The callback as a process's own: held back while it is paused, void once it is dead."""
        life, timer = self._life, Timer()
        return lambda *args: self._fire(life, timer, callback, args)

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

    def commit(self, records: Sequence[Record], done: Done, failed: Failed | None = None) -> None:
        """See `SimulatedDisk.commit`. Without `failed`, an error is raised in the process, which it ends."""
        gate = self._machine.gate
        self._disk.commit(records, gate(done), gate(failed or _raise))


def _raise(error: OSError) -> None:
    raise error
