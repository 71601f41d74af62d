"""Directed probes: which machine hears which, observed with real packets.

1. A link is heard if a datagram sent over it in this very observation arrived. A nonce is never used twice, so a
   delayed packet of an earlier one proves nothing.
2. A link is silent only if no try was heard. One lost packet makes no cut.
3. A nonce can't be guessed, and only its target's answer counts for it. An answer of the wrong form or size is a
   failure of that machine, by name. So is one that has not come as a whole in time.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import paramiko

from splitbrain.harness.environment import EnvironmentFailure, Link
from splitbrain.harness.hosts.ssh import excerpt
from splitbrain.harness.hosts.ssh_machine import SshMachine

T = TypeVar("T")

TRIES = 3
# What a packet may need to arrive before the target is asked: far more than a round trip between neighbours.
PATIENCE_S = 0.02
ANSWER_TIMEOUT_S = 10.0
# A line of answer: each of a hundred nodes sent three parcels at most, and a nonce has 16 letters.
ANSWER_LIMIT_BYTES = 1 << 16

Parcel = tuple[str, int, str]
_SOURCE = Path(__file__).with_name("listener.py").read_text()


class Opened(msgspec.Struct):
    """What a listener says at first."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Heard(msgspec.Struct):
    """What it answers."""

    heard: list[str]


class Probe:
    """A listener on each machine, and the sending between them. Started by the first look."""

    def __init__(self, machines: Mapping[str, SshMachine]) -> None:
        self._machines = machines
        self._listeners: dict[str, _Listener] = {}

    async def heard(self, links: Collection[Link], sent: dict[Link, int]) -> set[Link]:
        """Which of the links carry a datagram now. Takes about 10 ms if all do, and 3 times 30 ms if not.

        sent: is raised by 1 for each packet sent over a link, as a cut's counters count them too.
        Raises EnvironmentFailure if a machine does not answer.
        """
        ears = await self._listening()
        nonces: dict[str, Link] = {}
        missing = set(links)
        for attempt in range(TRIES):
            await asyncio.sleep(PATIENCE_S * attempt)
            parcels: dict[str, list[Parcel]] = {name: [] for name in ears}
            for source, target in sorted(missing):
                nonce = secrets.token_hex(8)
                nonces[nonce] = source, target
                parcels[source].append((self._machines[target].host, ears[target].port, nonce))
                sent[source, target] = sent.get((source, target), 0) + 1
            # Twice: the first answer of a listener may be older than what another has just sent it.
            nothing: dict[str, list[Parcel]] = {name: [] for name in ears}
            for question in (parcels, nothing):
                answers = await asyncio.gather(*(ears[name].ask(asked) for name, asked in question.items()))
                for name, answer in zip(question, answers, strict=True):
                    arrived = {nonces[nonce] for nonce in answer if nonce in nonces}
                    missing -= {link for link in arrived if link[1] == name}
            if not missing:
                break
        return set(links) - missing

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.channel.close()
        self._listeners.clear()

    async def _listening(self) -> Mapping[str, _Listener]:
        async def ensure(machine: SshMachine) -> None:
            listener = self._listeners.get(machine.name)
            if listener is None or listener.channel.closed:
                self._listeners[machine.name] = await _Listener.start(machine)

        await asyncio.gather(*(ensure(machine) for machine in self._machines.values()))
        return self._listeners


class _Listener:
    """The harness's side of one listener."""

    def __init__(self, machine: SshMachine, channel: paramiko.Channel) -> None:
        self.channel = channel
        self.port = 0
        self._machine = machine
        self._said = b""

    @staticmethod
    async def start(machine: SshMachine) -> _Listener:
        script = f"exec python3 -c {shlex.quote(_SOURCE)} {shlex.quote(machine.host)}"
        channel = await machine.connection.channel(script)
        listener = _Listener(machine, channel)
        listener.port = (await machine.connection.in_thread(lambda: listener._answer(Opened))).port
        return listener

    async def ask(self, parcels: Collection[Parcel]) -> list[str]:
        """Have it send these (address, port, nonce). Returns the nonces that came in since it was last asked."""

        def exchange() -> list[str]:
            self.channel.settimeout(ANSWER_TIMEOUT_S)
            self.channel.sendall(msgspec.json.encode({"send": list(parcels)}) + b"\n")
            return self._answer(Heard).heard

        try:
            return await self._machine.connection.in_thread(exchange)
        except OSError as error:
            self.channel.close()
            raise self._failure(str(error) or f"it takes nothing within {ANSWER_TIMEOUT_S:g} s") from error

    def _answer(self, form: type[T]) -> T:
        try:
            return read_answer(self._line(), form)
        except (OSError, ValueError) as error:
            said = excerpt(self.channel.recv_stderr(4096)) if self.channel.recv_stderr_ready() else ""
            self.channel.close()
            cause = said or str(error) or f"no whole line within {ANSWER_TIMEOUT_S:g} s"  # Timeouts have no text.
            raise self._failure(cause.splitlines()[-1]) from error

    def _line(self) -> bytes:
        """The next line, or what came of it before the end. Raises TimeoutError, however slowly it comes."""
        end = time.monotonic() + ANSWER_TIMEOUT_S
        while b"\n" not in self._said and len(self._said) < ANSWER_LIMIT_BYTES:
            self.channel.settimeout(max(0.0, end - time.monotonic()))
            piece = self.channel.recv(ANSWER_LIMIT_BYTES)
            if not piece:
                break
            self._said += piece
        line, newline, self._said = self._said.partition(b"\n")
        return (line + newline)[:ANSWER_LIMIT_BYTES]

    def _failure(self, cause: str) -> EnvironmentFailure:
        return EnvironmentFailure(
            f"the probe on {self._machine.name} does not answer ({cause}); see whether the machine still runs "
            "and has Python 3 as python3"
        )


def read_answer(line: bytes, form: type[T]) -> T:
    """A listener's line, as what it has to be. Raises ValueError."""
    if not line:
        raise ValueError("it has ended")
    if not line.endswith(b"\n"):
        raise ValueError(f"its answer is cut off, or longer than {ANSWER_LIMIT_BYTES:,} bytes")
    try:
        return msgspec.json.decode(line, type=form)
    except RecursionError:
        raise ValueError("its answer is nested too deep") from None
