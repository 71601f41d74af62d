"""Shims preloaded into a machine's program: its clock can be set wrong, its disk can lose, refuse and stall.

1. A program that a shim can't reach is refused before it starts, by name: a static binary, or one of Go. So is one
   whose processes turn out not to have it.
2. Each shim has a page of memory on the node: the harness writes its front, the shim what came of it. Pages, and so
   clocks and disks, are the machine's: a program that starts, for the first time or again, finds them as they are.
3. The clock is read back through the program's own eyes: its next reading under the setting in force. One that reads no
   clock, or does not run, is stood for by a probe with the same shim and page.
4. A power cut undoes what was not synced, or is refused: where the program wrote what the shim could not see, it would
   be a lie.

`clock_shim.c` and `disk_shim.c` have the other side.
"""

from __future__ import annotations

import asyncio
import shlex
import struct
from pathlib import Path
from typing import Annotated

import msgspec

from splitbrain.harness.environment import (
    ClockSetting,
    DiskCondition,
    DiskObservation,
    EnvironmentFailure,
    PowerCut,
    Program,
)
from splitbrain.harness.hosts.node_root import NodeRoot
from splitbrain.harness.hosts.ssh import SshConnection

LIBRARIES = "/usr/local/lib/splitbrain"
FOLDER = "/dev/shm/splitbrain"
CLOCK, DISK = f"{FOLDER}/clock", f"{FOLDER}/page"
SECOND_NS = 1_000_000_000
# A server reads its clock many times a second; longer than this only one that does nothing.
READ_PATIENCE_S = 0.5
READ_INTERVAL_S = 0.02
BLIND = {
    1: "it writes files by stdio, inside libc",
    2: "it wrote more without a sync than the undo log holds",
    4: "what it removes can't be kept, as its data folder is a file system of its own",
}
_AGENT = Path(__file__).with_name("agent")
_CLOCK = struct.Struct("<QqqdQ")
# In one write with what it left behind so far, set to zero: nothing of before is taken for the new condition's doing.
_DISK = struct.Struct("<QQQ40xQQ")
# What the shims leave behind, after the 64 bytes that the harness writes.
_CLOCK_SEEN = struct.Struct("<64xqQQ")
_DISK_SEEN = struct.Struct("<64xQQQQ")
# Whoever the program runs as has to write there.
_PAGES = f"""
(umask 0; mkdir -p {FOLDER}/undo; touch {FOLDER}/names
for page in {CLOCK} {DISK}; do [ -s "$page" ] || truncate -s 4096 "$page"; done)
"""
_SHIMMED = f"""
(umask 0; mkdir -p "$root$data.undo")
set -- /usr/bin/env LD_PRELOAD="$libraries/clock_shim.so $libraries/disk_shim.so" \\
    SPLITBRAIN_CLOCK={CLOCK} SPLITBRAIN_DISK={FOLDER} SPLITBRAIN_DATA="$data" "$@"
"""
# One that ended has no maps. One that has just begun has not loaded it yet, so it is looked for again.
_LOADED = f"""
loaded() {{
    for each in $(pgrep -g "$1"); do
        maps=$(cat "/proc/$each/maps" 2>/dev/null)
        case $maps in "" | *{DISK}*) ;; *) return 1;; esac
    done
}}
"""
NOT_LOADED = "libraries can't be preloaded into its processes"


class Undone(msgspec.Struct):
    """What playing back the undo log answers."""

    undone: Annotated[int, msgspec.Meta(ge=0)]
    undone_bytes: int
    torn: bool
    blind: int


class Preload:
    """The shims of one machine's program, over its connection.

    root: the node's, which has the libraries too. libraries: the folder there in which they are, by which no other
    program there is touched; "" if there are none.
    """

    def __init__(self, connection: SshConnection, root: NodeRoot, libraries: str = LIBRARIES) -> None:
        self._connection = connection
        self._root = root
        self.libraries = libraries
        self._name = connection.name
        self._program: Program | None = None
        self._reachable: set[str] = set()
        self._settings = 0
        self._condition = DiskCondition()
        self._real = ""
        """A shell word: the data folder without links, as the program calls it."""

    @property
    def possible(self) -> bool:
        """Whether it can have shims: the program last started, or any if none was."""
        return bool(self.libraries) and (self._program is None or self._program.preload)

    async def prepare(self, program: Program) -> str:
        """Shell lines to run before the program's start, which has to be "$@" there; they also define `loaded`.

        Raises EnvironmentFailure if the program can't be reached.
        """
        self._program = program
        if not self.possible:
            return "loaded() { :; }\n"
        await self._reach(program.command[0])
        (data,) = await self._root.resolved(self._connection, (program.data or f"{FOLDER}/none",))
        self._real = shlex.quote(data) if self._root.path else f'"$(realpath -m {shlex.quote(data)})"'
        where = f"root={self._root.path} data={self._real} libraries={shlex.quote(self.libraries)}\n"
        return f"{_PAGES}{where}{_SHIMMED}{_LOADED}"

    async def set_clock(self, clock: ClockSetting) -> None:
        """From now on, for the program and those after it."""
        self._require("its clock can't be set")
        if clock.monotonic_drift:
            raise EnvironmentFailure("a program's monotonic clock can't be set in containers; set monotonic_drift to 0")
        # A drift counts from now, as the machine has it: its clock may be seconds from ours.
        since_ns = await self._now_ns() if clock.drift else 0
        self._settings += 1
        number, offset_ns = self._settings, round(clock.offset_s * SECOND_NS)
        page = _CLOCK.pack(number, offset_ns, since_ns, clock.drift, number)
        await self._connection.check(_PAGES + _write(CLOCK), stdin=page)

    async def read_clock(self) -> float:
        """By how much the program's clock is ahead of its machine's, in seconds."""
        self._require("its clock can't be read")
        if self._program is None:
            await self._connection.check(_PAGES)
        deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
        *_, before = await self._clock_seen()
        while asyncio.get_running_loop().time() < deadline:
            ahead_ns, under, readings = await self._clock_seen()
            if under == self._settings and readings != before:
                return ahead_ns / SECOND_NS
            await asyncio.sleep(READ_INTERVAL_S)
        await self._connection.check(
            f"env LD_PRELOAD={self.libraries}/clock_shim.so SPLITBRAIN_CLOCK={CLOCK} date >/dev/null"
        )
        ahead_ns, under, _ = await self._clock_seen()
        if under != self._settings:
            raise EnvironmentFailure(f"the clock on {self._name} does not follow its setting; see {CLOCK} there")
        return ahead_ns / SECOND_NS

    async def set_disk(self, condition: DiskCondition) -> None:
        """From now on, for the program and those after it."""
        self._data("its disk can't be made to fail")
        page = _DISK.pack(condition.full, condition.failing, round(condition.stall_s * SECOND_NS), 0, 0)
        await self._connection.check(_PAGES + _write(DISK), stdin=page)
        self._condition = condition

    async def read_disk(self) -> DiskObservation:
        """What the disk did since it was last set."""
        folder = self._root.path + (self._real if self._data("its disk can't be observed") else FOLDER)
        statfs = f"stat -f -c '%a %S' {folder} || echo - -"
        said = (await self._connection.check(f"{_read(DISK)}; {statfs}")).data
        refused, stalled, *_ = self._unpacked(_DISK_SEEN, said)
        blocks, _, size = said[_DISK_SEEN.size :].strip().partition(b" ")
        free = int(blocks) * int(size) if blocks.isdigit() and size.isdigit() else None
        # What a write found out, for it is no word of ours that counts.
        return DiskObservation(0 if self._condition.full and refused else free, refused, stalled)

    async def see_writes(self) -> None:
        """Raises EnvironmentFailure if not all that the program wrote could be undone."""
        if not self._data("no power cut can be made"):
            return
        *_, blind, _ = self._unpacked(_DISK_SEEN, (await self._connection.check(_read(DISK))).data)
        self._refuse_blind(blind)

    async def play_back(self, *, torn: bool) -> PowerCut:
        """Undo what was not synced: nothing, where nothing ran. Only while the program is not running."""
        data = self._data("no power cut can be made")
        if not data:
            return PowerCut(0, 0)
        source = (_AGENT / "undo_log.py").read_text()
        said = await self._connection.check(self._root.python(source, FOLDER, data, *(["torn"] if torn else [])))
        try:
            undone = msgspec.json.decode(said.data, type=Undone)
        except ValueError as problem:
            raise EnvironmentFailure(f"the undo log on {self._name} answers with what can't be: {problem}") from None
        self._refuse_blind(undone.blind)
        return PowerCut(undone.undone, undone.undone_bytes, undone.torn)

    @property
    def forget(self) -> str:
        """Shell lines that empty the undo log."""
        if self._program is None or not self.possible or self._program.data is None:
            return ""
        return f"rm -f {FOLDER}/undo/* {FOLDER}/names {self._root.path}{self._real}.undo/*\n"

    async def _reach(self, command: str) -> None:
        if command in self._reachable:
            return
        source = (_AGENT / "reachable.py").read_text()
        said = (await self._connection.check(self._root.python(source, command))).excerpt
        if said:
            raise EnvironmentFailure(
                f"{self._name}: {said}, so nothing can be preloaded into it; say so by Program(preload=False), and run "
                "without faults of clocks, disks and power"
            )
        self._reachable.add(command)

    async def _clock_seen(self) -> tuple[int, int, int]:
        """By how much the last reading was ahead, in nanoseconds; under which setting it was; how many there were."""
        ahead_ns, under, readings = self._unpacked(_CLOCK_SEEN, (await self._connection.check(_read(CLOCK))).data)
        return ahead_ns, under, readings

    async def _now_ns(self) -> int:
        """The machine's calendar clock."""
        said = (await self._connection.check("date +%s%N")).text
        if not (said.isascii() and said.isdecimal() and len(said) < 20):
            raise EnvironmentFailure(f"{self._name} does not tell the time ({said[:40]!r}); see what its date is")
        return int(said)

    def _require(self, otherwise: str) -> None:
        """Raises EnvironmentFailure if a program was started into which nothing is preloaded."""
        if not self.possible:
            why = "Program.preload is False" if self.libraries else "there are no libraries for it on that machine"
            raise EnvironmentFailure(
                f"nothing is preloaded into {self._called} on {self._name} ({why}), "
                f"so {otherwise}; leave that fault out"
            )

    def _data(self, otherwise: str) -> str:
        """The data folder, as the program calls it; "" if nothing was started yet."""
        self._require(otherwise)
        if self._program is None:
            return ""
        if self._program.data is None:
            raise EnvironmentFailure(
                f"{self._called} on {self._name} names no data folder, so {otherwise}; give Program.data, or leave "
                "that fault out"
            )
        return self._program.data

    @property
    def _called(self) -> str:
        return "nothing" if self._program is None else self._program.name

    def _refuse_blind(self, blind: int) -> None:
        why = [text for flag, text in BLIND.items() if blind & flag]
        if why:
            raise EnvironmentFailure(
                f"what {self._called} on {self._name} has not synced can't be undone: "
                f"{' and '.join(why)}; leave power cuts out"
            )

    def _unpacked(self, form: struct.Struct, said: bytes) -> tuple[int, ...]:
        if len(said) < form.size:
            raise EnvironmentFailure(f"a shim's page on {self._name} is cut short; see {FOLDER} there")
        return form.unpack_from(said)


def _read(page: str) -> str:
    return f"dd if={page} bs=96 count=1 status=none"


def _write(page: str) -> str:
    return f"dd of={page} bs=128 iflag=fullblock conv=notrunc status=none"
