"""A program on a machine that answers each line of JSON with one.

1. It is sent over as text, and its only channel is its standard input and output. When the connection ends, it ends.
2. A machine may lie. An answer of the wrong form or size is a failure of that machine, by name; so is one that has not
   come as a whole in time.
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import paramiko

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.reached import Reached
from splitbrain.harness.hosts.ssh import excerpt

T = TypeVar("T")

ANSWER_TIMEOUT_S = 10.0
# The longest answer is a probe's: each of a hundred nodes sent three parcels at most, and a nonce has 16 letters.
ANSWER_LIMIT_BYTES = 1 << 16


class LineProgram:
    """The harness's side of such a program. name: what it is called in messages, as "the probe"."""

    def __init__(self, machine: Reached, channel: paramiko.Channel, name: str) -> None:
        self._machine = machine
        self._channel = channel
        self._name = name
        self._said = b""

    @staticmethod
    async def start(machine: Reached, source: Path, name: str, *arguments: str) -> LineProgram:
        """Start that Python file on the machine. Its first line is to be asked for by `answer`."""
        words = shlex.join(("python3", "-c", source.read_text(), *arguments))
        return LineProgram(machine, await machine.connection.channel(f"exec {words}"), name)

    @property
    def ended(self) -> bool:
        """Whether it is known to answer no more."""
        return bool(self._channel.closed)

    async def answer(self, form: type[T]) -> T:
        """The next line. Raises EnvironmentFailure."""
        return await self._machine.connection.in_thread(lambda: self._answer(form))

    async def ask(self, question: Any, form: type[T]) -> T:
        """Send a line, and take its answer. Raises EnvironmentFailure."""

        def exchange() -> T:
            self._channel.settimeout(ANSWER_TIMEOUT_S)
            self._channel.sendall(msgspec.json.encode(question) + b"\n")
            return self._answer(form)

        try:
            return await self._machine.connection.in_thread(exchange)
        except OSError as error:
            self.close()
            raise self._failure(str(error) or f"it takes nothing within {ANSWER_TIMEOUT_S:g} s") from error

    def close(self) -> None:
        """End it. Idempotent."""
        self._channel.close()

    def _answer(self, form: type[T]) -> T:
        try:
            return read_answer(self._line(), form)
        except (OSError, ValueError) as error:
            said = excerpt(self._channel.recv_stderr(4096)) if self._channel.recv_stderr_ready() else ""
            self.close()
            cause = said or str(error) or f"no whole line within {ANSWER_TIMEOUT_S:g} s"  # Timeouts have no text.
            raise self._failure(cause.splitlines()[-1]) from error

    def _line(self) -> bytes:
        """The next line, or what came of it before the end. Raises TimeoutError, however slowly it comes."""
        end = time.monotonic() + ANSWER_TIMEOUT_S
        while b"\n" not in self._said and len(self._said) < ANSWER_LIMIT_BYTES:
            self._channel.settimeout(max(0.0, end - time.monotonic()))
            piece = self._channel.recv(ANSWER_LIMIT_BYTES)
            if not piece:
                break
            self._said += piece
        line, newline, self._said = self._said.partition(b"\n")
        return (line + newline)[:ANSWER_LIMIT_BYTES]

    def _failure(self, cause: str) -> EnvironmentFailure:
        return EnvironmentFailure(
            f"{self._name} on {self._machine.name} does not answer ({cause}); see whether the machine still runs "
            "and has Python 3 as python3"
        )


def read_answer(line: bytes, form: type[T]) -> T:
    """A program's line, as what it has to be. Raises ValueError."""
    if not line:
        raise ValueError("it has ended")
    if not line.endswith(b"\n"):
        raise ValueError(f"its answer is cut off, or longer than {ANSWER_LIMIT_BYTES:,} bytes")
    try:
        return msgspec.json.decode(line, type=form)
    except RecursionError:
        raise ValueError("its answer is nested too deep") from None
