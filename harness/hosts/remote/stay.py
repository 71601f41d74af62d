"""A run's stay on a host: it is taken, what is written there is noted, and in the end it is given back.

`agent.caretaker` does it there; its opening has the rules.
"""

from __future__ import annotations

import getpass
import json
import shlex
import socket
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from splitbrain.harness.environment import EnvironmentFailure, Program
from splitbrain.harness.hosts.preload import FOLDER as PAGES
from splitbrain.harness.hosts.ssh import COMMAND_TIMEOUT_S, SshConnection
from splitbrain.harness.hosts.ssh_machine import ENDED, LOGS, PROCESS
from splitbrain.harness.owner import Life, Owner

T = TypeVar("T")

AGENT = Path(__file__).parent.parent / "agent" / "caretaker.py"
LEASE_S = 30.0
"""After so long without a renewal a host heals itself."""
GRACE_S = 5.0
"""From SIGTERM to SIGKILL, at the end of a run: within it a database closes its files, and a person still waits."""
UNDO_TIMEOUT_S = 60.0


Word = Annotated[str, msgspec.Meta(max_length=1000)]
Words = Annotated[list[Word], msgspec.Meta(max_length=100)]
"""What a host says goes into messages; it may be hostile, and say no end of it."""


class Held(msgspec.Struct):
    """Who has a host.

    run: its id. owner: the process that has it, as `Owner` writes it. by: user and machine, for people. leased: whether
    a watchdog there still waits for a renewal. kept: whether its system was left running on purpose. stray: the
    process of a program that no run has noted; 0 for none.
    """

    run: Word = ""
    owner: Word = ""
    by: Word = ""
    leased: bool = False
    kept: bool = False
    stray: int = 0

    @property
    def life(self) -> Life:
        """Whether the run still goes on. Where its owner can't be seen from here, its lease tells."""
        owner = Owner.parse(self.owner)
        if not self.leased or (owner is not None and owner.life() == "dead"):
            return "dead"
        return "alive"


class Answer(msgspec.Struct):
    """What `take` and `look` answer."""

    held: Held | None


class Refusal(msgspec.Struct):
    """What `note` answers."""

    refused: Word


class Undone(msgspec.Struct):
    """What `undo` answers, in words."""

    removed: Words
    failed: Words


class Done(msgspec.Struct):
    """What `keep` answers."""


class Stay:
    """A run on one host. connection: on which one is root there. run: its id."""

    def __init__(self, connection: SshConnection, run: str) -> None:
        self._connection = connection
        self._run = run
        self.libraries = f"/usr/local/lib/splitbrain-{run}"
        """Where the run's shims are put."""

    async def take(self) -> Held | None:
        """Take the host, with a watchdog. Returns who has it, if somebody has. Raises EnvironmentFailure."""
        marker = {
            "run": self._run,
            "owner": str(Owner.this()),
            "by": f"{_user()}@{socket.gethostname()}",
            "lease_s": LEASE_S,
            "process": PROCESS,
            "ended": ENDED,
            "logs": LOGS,
            "pages": PAGES,
            "libraries": self.libraries,
        }
        return (await self._ask("take", marker, Answer)).held

    async def look(self) -> Held | None:
        """Who has the host. Raises EnvironmentFailure."""
        return (await self._ask("look", {}, Answer)).held

    async def note(self, program: Program) -> None:
        """Note what this program will write. Raises EnvironmentFailure where that can't be undone."""
        asked = {"data": program.data, "files": sorted({*program.files, *program.logs})}
        why = (await self._ask("note", asked, Refusal)).refused
        if why:
            raise EnvironmentFailure(
                f"{self._connection.name}: {why}, and {program.name} would begin with what is there; empty it, or have "
                "the system use a folder of its own"
            )

    async def keep(self) -> None:
        """End the run, and leave its system running. Raises EnvironmentFailure."""
        await self._ask("keep", {"run": self._run}, Done)

    async def undo(self) -> Undone:
        """End the run, and remove all of it; nothing of another one's. Raises EnvironmentFailure."""
        asked = {"run": self._run, "grace_s": GRACE_S}
        return await self._ask("undo", asked, Undone, timeout_s=UNDO_TIMEOUT_S)

    async def _ask(
        self, command: str, asked: dict[str, Any], form: type[T], *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> T:
        # The first line is what messages show of a script.
        script = f"# caretaker: {command}\nexec python3 -c {shlex.quote(AGENT.read_text())} {command}"
        said = await self._connection.check(script, stdin=json.dumps(asked).encode(), timeout_s=timeout_s)
        try:
            return msgspec.json.decode(said.data, type=form)
        except (ValueError, RecursionError) as problem:
            raise EnvironmentFailure(
                f"the caretaker on {self._connection.name} answers with what can't be ({problem}); see what python3 is "
                "there"
            ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A user id without a name.
        return "somebody"
