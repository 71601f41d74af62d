"""A process for simulated machines: answers every datagram, counts on its disk, ticks once a second."""

from __future__ import annotations

from splitbrain.harness.environment import Address, Endpoint, Program
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine, Timer

PORT = 7


class Echo:
    """b"add" adds one to a durable counter and is answered then; b"die" raises; the rest comes back at once."""

    def __init__(self, machine: SimulatedMachine) -> None:
        self.machine = machine
        self.ticks: list[float] = []
        self.received: list[bytes] = []
        self._endpoint: Endpoint | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        self._endpoint = self.machine.endpoint(PORT, self._receive)
        self.machine.log(f"serving from {self.count}")
        self._tick()

    def stop(self) -> None:
        """Nothing to do: the machine lets nothing more happen."""

    @property
    def count(self) -> int:
        return int.from_bytes(self.machine.disk.get("counter", b"n") or b"", "big")

    def _tick(self) -> None:
        self.ticks.append(self.machine.now())
        self._timer = self.machine.call_later(1.0, self._tick)

    def _receive(self, datagram: bytes, source: Address) -> None:
        self.received.append(datagram)
        assert self._endpoint is not None
        match datagram:
            case b"die":
                raise ZeroDivisionError("asked to die")
            case b"add":
                value = (self.count + 1).to_bytes(4, "big")
                endpoint = self._endpoint
                self.machine.disk.commit([("counter", b"n", value)], lambda: endpoint.send(b"added " + value, source))
            case _:
                self._endpoint.send(datagram, source)


def program(started: list[Echo]) -> Program:
    """The program; every process it starts is appended to `started`."""

    def simulate(machine: SimulatedMachine) -> Echo:
        started.append(Echo(machine))
        return started[-1]

    return Program("echo", ("echo",), simulate=simulate)
