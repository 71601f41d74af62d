"""What a run does to a host that is not its own: taken, noted, leased, and in the end undone. Runs on a node, as root.

1. One run at a time has a host. Its marker folder appears as a whole, in one step, and says whose it is and what of the
   run's is where. Whoever finds it can undo the run.
2. A watchdog stands beside the marker from the first moment. If the lease is not renewed in time, it heals the host by
   itself: the run's chains and queues go, paused processes go on, clocks and disks are right again, agents end. The
   system goes on, and what it has stored stays.
3. Every process that the run starts carries the run in its environment; agents carry one mark more.
4. Before a file is written, the one in its place is kept; in the end it is put back, and a folder that was not there is
   gone. A data folder that holds something before the run is refused.
5. What can't be undone is reported, and does not keep the rest from being undone.

It is sent over as text, so it imports nothing of splitbrain. Usage: caretaker.py COMMAND, with one JSON object on
standard input; it answers with one. See the functions of `COMMANDS`.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/splitbrain-run")
MARKER, LEASE, HEALED, KEPT = FOLDER / "marker.json", FOLDER / "lease", FOLDER / "healed", FOLDER / "kept"
NOTES, WATCHDOG = FOLDER / "notes.json", FOLDER / "watchdog"
LOOK_S = 0.5
AGAIN_S = 10.0
"""From one healing to the next."""
GONE_S = 5.0
"""How long processes may take to go after a SIGKILL."""
WAIT = ("-w", "5")
TOOLS = ("iptables", "ip6tables")
CLOCK = struct.Struct("<QqqdQ")
DISK = struct.Struct("<QQQ")


def take(asked: "dict[str, Any]") -> "dict[str, Any]":
    """Take the host for a run, with a watchdog. asked: the marker to be.

    Answers {"held": None}, or what `look` does; "stray" is a program's process that no run has noted.
    """
    if not FOLDER.exists() and (pid := leader(asked)):
        return {"held": {"stray": pid}}
    new = Path(tempfile.mkdtemp(prefix=f"{FOLDER.name}-", dir=FOLDER.parent))
    marker = {**asked, "boot": boot()}
    (new / MARKER.name).write_text(json.dumps(marker))
    (new / LEASE.name).write_text("0\n")
    (new / NOTES.name).write_text(json.dumps({"data": [], "files": {}, "made": []}))
    # Before the marker is there: whoever finds one without a watchdog takes the run for dead.
    start_watchdog(marker, new)
    try:
        new.rename(FOLDER)
    except OSError:
        shutil.rmtree(new)
        return look({})
    scrap(asked)
    return {"held": None}


def look(asked: "dict[str, Any]") -> "dict[str, Any]":
    """Who has the host. Answers {"held": None}, or of the run that has it the marker and how it stands."""
    try:
        marker = json.loads(MARKER.read_text())
    except FileNotFoundError:
        return {"held": None}
    watched = marker["boot"] == boot() and alive(number_in(WATCHDOG))
    return {"held": {**marker, "leased": watched and not HEALED.exists(), "kept": KEPT.exists()}}


def note(asked: "dict[str, Any]") -> "dict[str, Any]":
    """Note what a program is about to write. asked: "data", a folder or None, and "files". Answers {"refused": why}."""
    notes = json.loads(NOTES.read_text())
    data = asked["data"]
    if data is not None and data not in notes["data"]:
        folder = Path(data)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            return {"refused": f"{data} is not empty"}
        notes["data"].append(data)
        notes["made"] += missing(folder)
    for name in asked["files"]:
        path = Path(name)
        if name not in notes["files"]:
            kept = f"kept-{len(notes['files'])}" if os.path.lexists(path) else ""
            if kept:
                subprocess.run(["cp", "-a", name, str(FOLDER / kept)], check=True)
            notes["files"][name] = kept
            notes["made"] += missing(path.parent)
    rewrite(NOTES, json.dumps(notes))
    return {"refused": ""}


def keep(asked: "dict[str, Any]") -> "dict[str, Any]":
    """End the run, and leave its system running. asked: "run". Answers {}."""
    with holding(asked["run"]) as marker:
        if marker is not None:
            end_watchdog()
            heal(marker)
            KEPT.touch()
    return {}


def undo(asked: "dict[str, Any]") -> "dict[str, Any]":
    """End the run, and remove all of it. asked: "run", and "grace_s", how long the system may take to end by itself.

    Answers {"removed": [...], "failed": [...]}, in words. What is another run's is left alone.
    """
    with holding(asked["run"]) as marker:
        return {"removed": [], "failed": []} if marker is None else undone(marker, asked["grace_s"])


@contextlib.contextmanager
def holding(run: str) -> "Iterator[dict[str, Any] | None]":
    """The marker, if the host is this run's; while it lasts, nobody else ends that run.

    Of two that undo a dead run, the second must not go on once the first has taken the host for another.
    """
    try:
        folder = os.open(FOLDER, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        held = look({})["held"]
        yield held if held is not None and held["run"] == run else None
    finally:
        os.close(folder)


def undone(marker: "dict[str, Any]", grace_s: float) -> "dict[str, Any]":
    """What `undo` answers, once it is done."""
    end_watchdog()
    removed = heal(marker)
    failed = []
    ended, left = end_processes(marker, grace_s)
    removed += [f"{ended} process{'' if ended == 1 else 'es'}"] if ended else []
    failed += [f"process {pid} is still there after kill -9" for pid in left[:10]]
    try:
        unchain("splitbrain-try")
        removed += ["files and data"] if put_back() else []
        scrap(marker)
    except (OSError, subprocess.SubprocessError) as problem:
        failed.append(str(problem)[:500])
    if not failed:
        shutil.rmtree(FOLDER)
    return {"removed": removed, "failed": failed}


def heal(marker: "dict[str, Any]") -> "list[str]":
    """Take every fault back, and end the agents. Returns what was removed, in words."""
    healed = unchain(f"splitbrain-{marker['run']}")
    for pid in marked(marker["run"], agents=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in marked(marker["run"], agents=False):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    set_right(Path(marker["pages"]))
    return healed


def unchain(chain: str) -> "list[str]":
    """Remove a chain and the jumps to it. Returns what there was, in words."""
    found = []
    for tool in TOOLS:
        try:
            listed = subprocess.run([tool, *WAIT, "-S"], capture_output=True, text=True).stdout.splitlines()
        except FileNotFoundError:
            continue
        if f"-N {chain}" not in listed:
            continue
        found.append(f"the chain {chain} of {tool}")
        jumps = [line.split()[1:] for line in listed if line.startswith("-A ") and line.endswith(f" -j {chain}")]
        for words in (*(["-D", *jump] for jump in jumps), ["-F", chain], ["-X", chain]):
            subprocess.run([tool, *WAIT, *words], capture_output=True)
    return found


def set_right(pages: Path) -> None:
    """Clock and disk of the shims, if there are some: no program is harmed any more."""
    with contextlib.suppress(FileNotFoundError), (pages / "clock").open("r+b") as clock:
        number = int.from_bytes(clock.read(8), "little") + 1
        clock.seek(0)
        clock.write(CLOCK.pack(number, 0, time.time_ns(), 0.0, number))
    with contextlib.suppress(FileNotFoundError), (pages / "page").open("r+b") as disk:
        disk.write(DISK.pack(0, 0, 0))


def end_processes(marker: "dict[str, Any]", grace_s: float) -> "tuple[int, list[int]]":
    """SIGTERM to all that the run has started, SIGKILL to what is left. Returns how many there were, and who stays."""
    run, group = marker["run"], leader(marker)
    found = set(marked(run, agents=False))
    for number in (signal.SIGTERM, signal.SIGCONT):
        send(run, group, number)
    until = time.monotonic() + grace_s
    while (left := standing(run, group)) and time.monotonic() < until:
        time.sleep(0.05)
    until = time.monotonic() + GONE_S
    while (left := standing(run, group)) and time.monotonic() < until:
        send(run, group, signal.SIGKILL)
        time.sleep(0.05)
    return len(found), left


def send(run: str, group: int, number: int) -> None:
    """A signal to the processes of a run, and to the group that its program leads (0 for none)."""
    for pid in marked(run, agents=False):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if group:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def standing(run: str, group: int) -> "list[int]":
    """Processes of a run, and of its program's group, that have not ended."""
    grouped = [pid for pid, fields in processes() if group and fields[2] == str(group)]
    return sorted({*marked(run, agents=False), *grouped})


def put_back() -> bool:
    """Files as they were before the run, data gone, and folders that were not there. Returns whether there was any."""
    notes = json.loads(NOTES.read_text())
    for name in notes["data"]:
        folder = Path(name).resolve()
        for each in (folder, Path(f"{folder}.undo")):
            for entry in list(each.iterdir()) if each.is_dir() else []:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        with contextlib.suppress(FileNotFoundError):
            Path(f"{folder}.undo").rmdir()
    for name, kept in notes["files"].items():
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        if kept:
            subprocess.run(["cp", "-a", str(FOLDER / kept), name], check=True)
    for name in sorted(set(notes["made"]), key=len, reverse=True):
        # Somebody else may have put something there meanwhile.
        with contextlib.suppress(OSError):
            Path(name).rmdir()
    return bool(notes["data"] or notes["files"])


def scrap(marker: "dict[str, Any]") -> None:
    """Remove what is the harness's alone: logs, process ids, pages of the shims, the shims."""
    for name in ("logs", "pages", "libraries"):
        shutil.rmtree(marker[name], ignore_errors=True)
    for name in ("process", "ended"):
        with contextlib.suppress(FileNotFoundError):
            Path(marker[name]).unlink()


def start_watchdog(marker: "dict[str, Any]", folder: Path) -> None:
    """In a session of its own, which outlives the login. It has written its id into the folder when this returns."""
    written = folder / WATCHDOG.name
    if os.fork():
        os.wait()
        until = time.monotonic() + GONE_S
        while not written.exists() and time.monotonic() < until:
            time.sleep(0.01)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir("/")
    rewrite(written, f"{os.getpid()}\n")
    try:
        watch(marker, folder)
    finally:
        os._exit(0)


def watch(marker: "dict[str, Any]", new: Path) -> None:
    """Until the run is over: heal once its lease has run out, and again from time to time.

    new: the marker's folder until it is in its place.
    """
    until = time.monotonic() + 2 * GONE_S
    while new.exists():
        time.sleep(0.01)
        if time.monotonic() > until:  # Whoever was taking the host has ended amid that.
            shutil.rmtree(new, ignore_errors=True)
    renewed, ends = "", time.monotonic() + marker["lease_s"]
    while ours(marker) and time.monotonic() < ends:
        time.sleep(LOOK_S)
        with contextlib.suppress(FileNotFoundError):
            if (found := LEASE.read_text()) != renewed:
                renewed, ends = found, time.monotonic() + marker["lease_s"]
    while ours(marker):
        # First this: a harness that comes back must not take the healed host for one that it holds.
        HEALED.touch()
        heal(marker)
        # It may come back, do one thing more before it learns that the host is lost, and be gone for good.
        time.sleep(min(marker["lease_s"], AGAIN_S))


def ours(marker: "dict[str, Any]") -> bool:
    """Whether the host is still this run's."""
    try:
        return bool(json.loads(MARKER.read_text())["run"] == marker["run"])
    except (FileNotFoundError, ValueError):
        return False


def end_watchdog() -> None:
    """It must heal nothing any more."""
    pid = number_in(WATCHDOG)
    if alive(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether this is the watchdog: ids are used again."""
    try:
        return pid > 0 and f"{FOLDER.name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def number_in(path: Path) -> int:
    """The number that a file holds; 0 if it holds none."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def marked(run: str, *, agents: bool) -> "list[int]":
    """Processes that carry the run's mark, but for the caretakers: agents, or all others."""
    found = []
    for pid, _ in processes():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            caretaker = FOLDER.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        ours = f"SPLITBRAIN_RUN={run}".encode() in variables and not caretaker
        if ours and (b"SPLITBRAIN_AGENT=1" in variables) == agents:
            found.append(pid)
    return found


def processes() -> "list[tuple[int, list[str]]]":
    """Those that have not ended: id, and the fields of its `stat` after the name: state, parent, group and so on."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found.append((int(entry.name), fields))
    return found


def leader(marker: "dict[str, Any]") -> int:
    """The process group of the program that runs; 0 if none does."""
    try:
        pid, born = Path(marker["process"]).read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return int(pid) if fields[19] == born and fields[0] not in "ZX" else 0


def missing(folder: Path) -> "list[str]":
    """This folder and those above it that don't exist yet."""
    return [str(each) for each in (folder, *folder.parents) if not os.path.lexists(each)]


def boot() -> str:
    """This boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def rewrite(path: Path, text: str) -> None:
    """In one step: a reader finds the old text or the new one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.rename(path)


COMMANDS = {each.__name__: each for each in (take, look, note, keep, undo)}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](json.loads(sys.stdin.read() or "{}"))))
