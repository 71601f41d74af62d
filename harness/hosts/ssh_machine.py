"""A node's machine, operated over SSH.

1. The program is identified by its process id *and* the moment that process started: ids are soon used again.
2. Signals go to all that the program has started, and the result is observed. A kill that leaves a process alive, or a
   pause that leaves it running, is an `EnvironmentFailure`, never a silent success. Processes of a database leave the
   program's process group, and some its family too. So each program runs with a supplementary group of the harness's
   own (`MARK`), which its processes can't help passing on, as batch systems do. SIGTERM goes to the process group
   alone: who else has to end is for the program to know.
3. After a power cut, what the program had not synced is gone; a plain kill loses nothing that was written.
4. Output is appended to one log file across restarts, and outlives the program.
5. The machine is not trusted: logs without a plain name are not asked for, and all it sends is bounded.
6. A shell waits for the program and keeps its exit status, for what is said of a program that ended by itself.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import PurePosixPath

from splitbrain.harness.environment import (
    ClockSetting,
    DiskCondition,
    DiskObservation,
    EnvironmentFailure,
    PowerCut,
    Program,
)
from splitbrain.harness.hosts.archive import archive
from splitbrain.harness.hosts.node_root import NodeRoot
from splitbrain.harness.hosts.preload import NOT_LOADED, Preload
from splitbrain.harness.hosts.program_user import as_user, owned
from splitbrain.harness.hosts.ssh import SshConnection
from splitbrain.harness.running.node_logs import LOG_LIMIT_BYTES, LOGS_LIMIT, NODE_LIMIT_BYTES, plain
from splitbrain.harness.seeds import draw

BeforeStart = Callable[[Program], Awaitable[None]]
LOGIN = NodeRoot()
"""That of a node to which one logs in."""
LOGS = "/var/log/splitbrain"
PROCESS = "/run/splitbrain.pid"
ENDED = "/run/splitbrain.ended"
"""The process id of the program that ended last, and its exit status as a shell has it."""
TAIL_LINES = 15
MARK = 1_397_769_330
"""The number of the supplementary group; it has no name, and no files."""

# `state` prints the letter of /proc/PID/stat if the program's process is there: not gone, no zombie, not a namesake.
_LOOK = f"""
fields() {{ sed 's/.*) //' "/proc/$1/stat" 2>/dev/null; }}
state() {{
    [ -s {PROCESS} ] && read -r pid born < {PROCESS} || return 1
    set -- $(fields "$pid")
    [ "${{20:-}}" = "$born" ] && [ "$1" != Z ] && [ "$1" != X ] && echo "$1"
}}
until_state() {{
    tries=0
    while found=$(state); ! echo "${{found:-gone}}" | grep -Eq "^($1)$"; do
        tries=$((tries + 1))
        [ -n "$found" ] && [ "$tries" -lt 300 ] || return 1
        sleep 0.01
    done
}}
"""
# `left` prints the process ids of all that the program has started, but for those in one of these states.
_LEFT = f"""
left() {{
    cat /proc/[0-9]*/status 2>/dev/null | awk -v mark={MARK} -v wanted="^($1)$" '
        /^State:/ {{ state = $2 }}
        /^Pid:/ {{ pid = $2 }}
        /^Groups:/ {{
            for (at = 2; at <= NF; at++) if ($at == mark && state !~ /^[ZX]$/ && state !~ wanted) print pid
        }}'
}}
"""
# Prints the exit status of the program that is not there any more, once the shell that waited for it has written it.
_STATUS = f"""
read -r pid born < {PROCESS}
tries=0
while [ ! -s {ENDED} ] && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.01; done
read -r ended status < {ENDED} && [ "$ended" = "$pid" ] && echo "$status"
"""
# A process may die of a wrong option or a taken port only after Python has loaded it; see it through its first moments.
_START = (
    _LOOK
    + """
state >/dev/null && { echo "it runs already"; exit 3; }
command -v "$COMMAND" >/dev/null || { echo "there is no $COMMAND; install the program there"; exit 3; }
mkdir -p "$(dirname "$LOG")"
(umask "$MASK" && tar -xf - -C / --no-same-owner) || { echo "its files can't be written"; exit 3; }
[ -z "$DATA" ] || mkdir -p "$DATA" || { echo "its folder $DATA can't be made"; exit 3; }
own || exit 3
cd /
"""
    + f"process={PROCESS} ended={ENDED} tries=0"
    + """
rm -f "$process" "$ended"
{
    setsid "$@" >>"$LOG" 2>&1 </dev/null &
    pid=$!
    set -- $(fields "$pid")
    echo "$pid ${20:-0}" > "$process.new" && mv "$process.new" "$process"
    wait "$pid"
    echo "$pid $?" > "$ended"
} >/dev/null 2>&1 </dev/null &
until [ -s "$process" ] || [ "$tries" -ge 300 ]; do tries=$((tries + 1)); sleep 0.01; done
read -r pid born < "$process"
"""
    + f"""
tries=0
while state >/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 15 ]; then
        loaded "$pid" && exit 0
        [ "$tries" -lt 100 ] || {{ echo "{NOT_LOADED}"; kill -s KILL -- -$pid; until_state gone; exit 5; }}
    fi
    sleep 0.02
done
echo "it was gone at once; the end of $LOG:"
tail -n {TAIL_LINES} "$LOG"
exit 4
"""
)


OwnDisk = Callable[[str | None, Callable[[], Awaitable[None]]], Awaitable[PowerCut]]
"""Cuts a machine with a disk of its own off from power: (data folder, kills the program) -> what was lost."""


class SshMachine:
    """An `environment.Machine` on any host on which one can become root.

    name: the node's name. connection: to that host; it may be opened later. before: is told of each program before it
    is started. root: the node's, if the connection leads to another one that sees the node's processes. disk: how to
    cut it off from power if it has a disk of its own; None if what was not synced has to be undone by the shim.
    ended: how the program ended when `running` last found that it had ended by itself.
    """

    def __init__(
        self, name: str, connection: SshConnection, before: BeforeStart | None = None, *, root: NodeRoot = LOGIN
    ) -> None:
        self.name = name
        self.host = connection.host
        self.connection = connection
        self.taken_down = False
        self.ended = ""
        self.preload = Preload(connection, root)
        self._root = root
        self._before = before
        self.disk: OwnDisk | None = None
        self._data: str | None = None
        self._logs: tuple[str, ...] = ()

    async def start(self, program: Program) -> None:
        """Start the program, appending to its log. Raises EnvironmentFailure with the end of that log."""
        if self._before is not None:
            await self._before(program)
        files = await self._placed(program.files)
        self._data, self._logs = await self._real(program.data), program.logs
        log = f"{LOGS}/{program.name}.log"
        prepared = await self.preload.prepare(program)
        if program.user and self._root.path:
            raise EnvironmentFailure(
                f"{program.name} can't run as {program.user} on {self.name}: the users of a stock image are its own; "
                "have its own entry point change the user, or use an image of Debian packages"
            )
        # What a stock image has is seen by its own chroot only.
        sought = "chroot" if self._root.path else program.command[0]
        words = f"LOG={shlex.quote(log)} COMMAND={shlex.quote(sought)}"
        command = f"{words}; set -- {self._root.started(program.command)}\n{prepared}"
        script = f"{command}{self._root.cleared}{owned(program.user, [*files], self._data, MARK)}{_START}"
        output = await self.connection.run(script, stdin=archive(files))
        if output.status != 0:
            raise EnvironmentFailure(f"{program.name} did not start on {self.name}: {output.excerpt}")
        self.taken_down = False

    async def kill(self) -> None:
        """kill -9, then check that the process is gone."""
        self.taken_down = True
        await self._signal("KILL", "gone", "is still there after kill -9")

    async def terminate(self) -> None:
        """SIGTERM, if the program is there. It ends when it likes."""
        self.taken_down = True
        await self._signal("TERM", ".*", "can't be sent a SIGTERM")

    async def power_cut(self, *, torn: bool = False) -> PowerCut:
        """kill -9, and undo what was not synced. Raises EnvironmentFailure, and kills nothing, where it can't be."""
        if self.disk is not None:
            return await self.disk(self._data, self.kill)
        await self.preload.see_writes()
        await self.kill()
        return await self.preload.play_back(torn=torn)

    async def pause(self) -> None:
        """SIGSTOP, then check that the process is stopped. Raises EnvironmentFailure if there is none to stop."""
        await self._signal("STOP", "T", "is not stopped after SIGSTOP")

    async def resume(self) -> None:
        """SIGCONT, then check that the process is not stopped. One that died meanwhile needs none."""
        await self._signal("CONT", "R|S|D|gone", "is still stopped after SIGCONT")

    async def wipe(self) -> None:
        """Empty the data directory of the program last started. Raises EnvironmentFailure while it runs."""
        if self._data is None:
            return
        folder = shlex.quote(self._data)
        await self.connection.check(
            f"{_LOOK}\nif state >/dev/null; then echo 'the program runs; kill it before the wipe'; exit 3; fi\n"
            f"{self.preload.forget}[ -d {folder} ] || exit 0\nfind {folder} -mindepth 1 -delete\n"
            f'[ -z "$(ls -A {folder})" ] || {{ echo {folder} is not empty after the wipe; exit 3; }}'
        )

    async def set_clock(self, clock: ClockSetting) -> None:
        """Make the program's clock wrong, or right again. Raises EnvironmentFailure if no shim reaches it."""
        await self.preload.set_clock(clock)

    async def read_clock(self) -> float:
        """By how much the program's clock is ahead of its machine's, which containers share with the harness."""
        return await self.preload.read_clock()

    async def read_monotonic(self) -> float:
        """Raises EnvironmentFailure: that clock is always right here."""
        raise EnvironmentFailure(f"the monotonic clock of {self.name} is always right, so nothing has to read it")

    async def set_disk(self, condition: DiskCondition) -> None:
        """Make the disk fail, or work again. Raises EnvironmentFailure if no shim reaches the program."""
        if condition.full or condition.failing:
            self.taken_down = True
        await self.preload.set_disk(condition)
        if not (condition.full or condition.failing) and await self.running():
            self.taken_down = False

    async def read_disk(self) -> DiskObservation:
        """What the disk did since then."""
        return await self.preload.read_disk()

    async def flip_bit(self, seed: int) -> str:
        """Flip one bit of the program's files, each byte as likely. Raises EnvironmentFailure while it runs."""
        self.taken_down = True
        if self._data is None:
            return ""
        folder = shlex.quote(self._data)
        listed = await self.connection.check(
            f"{_LOOK}\nif state >/dev/null; then echo 'the program runs; kill it before the flip'; exit 3; fi\n"
            f"[ ! -d {folder} ] || find {folder} -type f -size +0 -printf '%s %P\\0'"
        )
        place = drawn_bit(listed.data, seed)
        if place is None:
            return ""
        name, at, bit = place
        path = shlex.quote(f"{self._data}/{name}")
        await self.connection.check(
            f"old=$(od -An -tu1 -j {at} -N 1 {path}) && printf '%b' \"\\\\0$(printf %o $((old ^ {1 << bit})))\" |\n"
            f"dd of={path} bs=1 seek={at} conv=notrunc status=none"
        )
        return f"{name}, byte {at}, bit {bit}"

    async def marked(self, marks: Collection[str]) -> str:
        """Refused: over SSH it is heard of too late. So containers lack the ability "marks"."""
        raise EnvironmentFailure(f"{self.name} can't be heard in time; run that fault with --env sim")

    async def present(self) -> bool:
        """Always: its network outlives its program."""
        return True

    async def running(self) -> bool:
        """Whether the program's process exists now; a paused one does."""
        found = await self.connection.run(f"{_LOOK}\nstate >/dev/null && exit 0\n{_STATUS}\nexit 1")
        if found.status != 0 and not self.taken_down:
            self.ended = exit_named(found.text.strip())
        return found.status == 0

    async def run(self, command: Sequence[str], *, user: str | None = None, timeout_s: float = 30.0) -> str:
        """Run another command there. Raises EnvironmentFailure with what it said if it fails."""
        argv = shlex.join(command)
        output = await self.connection.run(f'set -- {argv}\n{as_user(user)}exec "$@"', timeout_s=timeout_s)
        if output.status != 0:
            said = output.excerpt or "it said nothing"
            raise EnvironmentFailure(f"{self.name}: {argv:.80} ended with exit status {output.status}: {said}")
        return output.text

    async def logs(self) -> Mapping[str, bytes]:
        """The end of every log file (at most 16 MiB each), by name.

        What has no plain name, or comes after the first `LOGS_LIMIT`, is not asked for: it is empty here, and last.
        Raises EnvironmentFailure if the machine sends more than logs may have.
        """
        listed = await self.connection.run(f"cd {LOGS} 2>/dev/null && ls")
        names = listed.text.splitlines() if listed.status == 0 else []
        logs: dict[str, bytes] = {}
        for name in [name for name in names if plain(name)][:LOGS_LIMIT]:
            logs[name] = await self._log(f"{LOGS}/{name}")
            if sum(map(len, logs.values())) > NODE_LIMIT_BYTES:
                raise EnvironmentFailure(f"the logs of {self.name} are larger than {NODE_LIMIT_BYTES >> 20} MiB")
        for path in self._logs:
            # A program that never came so far has not written there.
            logs[path.rpartition("/")[2]] = await self._log(path)
        return logs | {name: b"" for name in names if name not in logs}

    async def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of all logs together, for a message about a node that does not answer."""
        return (await self.connection.run(f"tail -n {lines} {LOGS}/*.log")).excerpt

    def close(self) -> None:
        self.connection.close()

    async def _real(self, path: str | None) -> str | None:
        """A path of the node's, as it is called where one logs in."""
        if path is None:
            return None
        (real,) = await self._root.resolved(self.connection, (path,))
        return self._root.path + real

    async def _placed(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Files by where they go, which is through no link of the node's."""
        pure = [PurePosixPath(path) for path in files]
        folders = await self._root.resolved(self.connection, [str(path.parent) for path in pure])
        names = [f"{self._root.path}{folder}/{path.name}" for folder, path in zip(folders, pure, strict=True)]
        return dict(zip(names, files.values(), strict=True))

    async def _log(self, path: str) -> bytes:
        quoted = shlex.quote(path)
        return (await self.connection.check(f"[ ! -f {quoted} ] || tail -c {LOG_LIMIT_BYTES} {quoted}")).data

    async def _signal(self, name: str, wanted: str, otherwise: str) -> None:
        # `wanted` decides what it means that no process was there: a kill has nothing left to do, a pause failed.
        await self.connection.check(
            f"{_LOOK}{_LEFT}\npid=\n"
            f"if state >/dev/null; then read -r pid born < {PROCESS}; kill -s {name} -- -$pid; fi\n"
            f'until_state "{wanted}" || {{ echo "the process ${{pid:-(there is none)}} {otherwise}"; exit 3; }}\n'
            f"tries=0; while others=$(left '{wanted}'); [ -n \"$others\" ]; do\n"
            # Again, since a process may have been forked meanwhile.
            f"kill -s {name} $others 2>/dev/null\ntries=$((tries + 1))\n"
            f'[ "$tries" -lt 300 ] || {{ echo "of its processes, $others {otherwise}"; exit 3; }}\nsleep 0.01\ndone'
        )


def drawn_bit(listed: bytes, seed: int) -> tuple[str, int, int] | None:
    """(file, byte, bit), drawn from files as "SIZE NAME", each ended by a zero; None if there is no file.

    Raises EnvironmentFailure for a size that is none.
    """
    files: list[tuple[str, int]] = []
    for size, _, name in (entry.partition(b" ") for entry in listed.split(b"\0") if entry):
        if not size.isdigit() or len(size) > 15:
            raise EnvironmentFailure(f"a machine lists a file of {size!r:.40} bytes; see what its find is")
        files.append((name.decode(errors="surrogateescape"), int(size)))
    rng = draw(seed)
    at = int(rng.random() * sum(size for _, size in files))
    bit = int(rng.random() * 8)
    for path, length in sorted(files):
        if at < length:
            return path, at, bit
        at -= length
    return None


def exit_named(status: str) -> str:
    """An exit status as a shell has it, for people; empty if it is none.

    >>> exit_named("3"), exit_named("139"), exit_named("")
    ('exit status 3', 'exit status 139, as after SIGSEGV', '')
    """
    if not (status.isascii() and status.isdigit() and len(status) <= 3):
        return ""
    number = int(status) - 128
    after = f", as after {signal.Signals(number).name}" if number in signal.valid_signals() else ""
    return f"exit status {int(status)}{after}"
