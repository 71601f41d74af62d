"""A node's shell on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from splitbrain.harness.environment import Address, Endpoint
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine
from splitbrain.harness.systems.toys.toy_node import Shell, ToyNode

SPACE = "journal"


class SimulatedToy:
    """A simulated process, and the shell of the node in it. make: (shell, name, addresses) -> the node."""

    def __init__(
        self,
        machine: SimulatedMachine,
        addresses: Mapping[str, Address],
        make: Callable[[Shell, str, Mapping[str, Address]], ToyNode],
    ) -> None:
        self._machine = machine
        self._port = addresses[machine.name][1]
        self._endpoint: Endpoint | None = None
        self._entries = count(sum(1 for _ in machine.disk.scan(SPACE)))
        self._node = make(self, machine.name, addresses)

    def start(self) -> None:
        self._endpoint = self._machine.endpoint(self._port, self._node.received)
        self._node.start()
        self.log("serving")

    def stop(self) -> None:
        """Nothing to do: the machine lets nothing more happen."""

    def now(self) -> float:
        return self._machine.now()

    def send(self, datagram: bytes, to: Address) -> None:
        assert self._endpoint is not None
        try:
            self._endpoint.send(datagram, to)
        except OSError as problem:  # Too long: as good as lost on the way.
            self.log(f"not sent to {to[0]}:{to[1]}: {problem}")

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._machine.call_later(delay_s, callback)

    def append(self, entries: Sequence[bytes], done: Callable[[], None]) -> None:
        records = [(SPACE, next(self._entries).to_bytes(8, "big"), entry) for entry in entries]
        self._machine.disk.commit(records, done)

    def journal(self) -> Iterator[bytes]:
        return (entry for _, entry in self._machine.disk.scan(SPACE))

    def log(self, text: str) -> None:
        self._machine.log(text)
