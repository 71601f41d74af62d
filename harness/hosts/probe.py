"""Directed probes: who hears whom, observed with real packets. The harness itself is one end: `CLIENTS`.

1. A link is heard if a datagram sent over it in this very observation arrived. A nonce is never used twice, so a
   delayed packet of an earlier one proves nothing.
2. A link is silent only if no try was heard. One lost packet makes no cut.
3. A nonce can't be guessed, and only its target's answer counts for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from splitbrain.harness.environment import CLIENTS, Address, EnvironmentFailure, Link
from splitbrain.harness.hosts.line_program import LineProgram
from splitbrain.harness.hosts.reached import Reached

TRIES = 3
# What a packet may need to arrive before the target is asked: far more than a round trip between neighbours.
PATIENCE_S = 0.02
NONCE_BYTES = 64
LISTENER = Path(__file__).with_name("agent") / "listener.py"

Parcel = tuple[str, int, str]


class Opened(msgspec.Struct):
    """What a listener says at first."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Heard(msgspec.Struct):
    """What it answers."""

    heard: list[str]


class Probe:
    """A listener on each machine and one here, and the sending between them. Started by the first look."""

    def __init__(self, machines: Mapping[str, Reached]) -> None:
        self._machines = machines
        self._listeners: dict[str, _Listener] = {}
        self._here: dict[str, _Here] = {}

    async def heard(
        self, links: Collection[Link], sent: dict[Link, int], seen: Mapping[str, str], nodes: Collection[str]
    ) -> set[Link]:
        """Which of the links carry a datagram now. Takes about 10 ms if all do, and 3 times 30 ms if not.

        nodes: those that can be asked; a link of another carries nothing.
        sent: is raised by 1 for each packet sent over a link, as a cut's counters count them too. seen: by node, the
        address that clients have there. Raises EnvironmentFailure if a machine does not answer.
        """
        ears = await self._listening(nodes)
        nonces: dict[str, Link] = {}
        unheard = {link for link in links if not {*link} <= {*nodes, CLIENTS}}
        missing = set(links) - unheard
        here = sorted({node for link in missing if CLIENTS in link for node in link if node != CLIENTS})
        local = {node: self._ear(seen[node]) for node in here}
        for attempt in range(TRIES):
            await asyncio.sleep(PATIENCE_S * attempt)
            parcels: dict[str, list[Parcel]] = {name: [] for name in ears}
            for source, target in sorted(missing):
                nonce = secrets.token_hex(8)
                nonces[nonce] = source, target
                sent[source, target] = sent.get((source, target), 0) + 1
                host, port = local[source].address if target == CLIENTS else ears[target].address
                if source == CLIENTS:
                    local[target].send((host, port, nonce))
                else:
                    parcels[source].append((host, port, nonce))
            # Twice: the first answer of a listener may be older than what another has just sent it.
            nothing: dict[str, list[Parcel]] = {name: [] for name in ears}
            for question in (parcels, nothing):
                answers = await asyncio.gather(*(ears[name].ask(asked) for name, asked in question.items()))
                arrived = {(nonce, name) for name, answer in zip(question, answers, strict=True) for nonce in answer}
                arrived |= {(nonce, CLIENTS) for ear in local.values() for nonce in ear.take()}
                missing -= {nonces[nonce] for nonce, target in arrived if nonces.get(nonce, ("", ""))[1] == target}
            if not missing:
                break
        return set(links) - unheard - missing

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.program.close()
        for ear in self._here.values():
            ear.close()
        self._listeners.clear()
        self._here.clear()

    def _ear(self, address: str) -> _Here:
        if address not in self._here:
            self._here[address] = _Here(address)
        return self._here[address]

    async def _listening(self, nodes: Collection[str]) -> Mapping[str, _Listener]:
        async def ensure(machine: Reached) -> None:
            listener = self._listeners.get(machine.name)
            if listener is None or listener.program.ended:
                self._listeners[machine.name] = await _Listener.start(machine)

        await asyncio.gather(*(ensure(self._machines[node]) for node in nodes))
        return {node: self._listeners[node] for node in nodes}


class _Listener:
    """The harness's side of one listener."""

    def __init__(self, program: LineProgram, address: Address) -> None:
        self.program = program
        self.address = address

    @staticmethod
    async def start(machine: Reached) -> _Listener:
        program = await LineProgram.start(machine, LISTENER, "the probe", machine.host)
        return _Listener(program, (machine.host, (await program.answer(Opened)).port))

    async def ask(self, parcels: Collection[Parcel]) -> list[str]:
        """Have it send these (address, port, nonce). Returns the nonces that came in since it was last asked."""
        return (await self.program.ask({"send": list(parcels)}, Heard)).heard


class _Here:
    """The same on this machine, where clients are."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((address, 0))
        except OSError as error:
            self._socket.close()
            raise EnvironmentFailure(
                f"nodes see clients at {address}, which is not this machine's ({error.strerror}); "
                "links of clients can be cut only where no router translates addresses"
            ) from error
        self.address: Address = self._socket.getsockname()[:2]

    def send(self, parcel: Parcel) -> None:
        host, port, nonce = parcel
        # A packet that can't be sent is one that does not arrive.
        with contextlib.suppress(OSError):
            self._socket.sendto(nonce.encode(), (host, port))

    def take(self) -> list[str]:
        """The nonces that came in since then."""
        taken = []
        while True:
            try:
                taken.append(self._socket.recv(NONCE_BYTES).decode("ascii", "replace"))
            except BlockingIOError:
                return taken
            except OSError:
                # An ICMP answer to an earlier send; the socket itself is fine.
                continue

    def close(self) -> None:
        self._socket.close()
