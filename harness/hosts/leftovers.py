"""What killed runs have left in the Docker engine: found by label, removed if its owner is dead.

1. Everything a run makes carries the run's id and its owner, a process identified so that no other can be mistaken for
   it.
2. What a living owner has made is not touched. Nor is what an unknown owner has made (on another machine that uses this
   engine).
3. If one thing can't be removed, the others still are.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from splitbrain.harness.doors import guard
from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.engine import connect, refusals

RUN_LABEL = "splitbrain.run"
OWNER_LABEL = "splitbrain.owner"

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A process on some machine. born: in clock ticks since the boot. place: machine/boot/namespace."""

    pid: int
    born: str
    place: str

    @staticmethod
    def this() -> Owner:
        """This process, or the one that users see in its place (`guard`)."""
        pid = guard.responsible()
        return Owner(pid, _born(pid), _place())

    @staticmethod
    def parse(label: str) -> Owner | None:
        """Read what `str` has written; None if something else has."""
        pid, _, rest = label.partition(" ")
        born, _, place = rest.partition(" ")
        return Owner(int(pid), born, place) if pid.isdecimal() and born and place else None

    def __str__(self) -> str:
        return f"{self.pid} {self.born} {self.place}"

    def life(self) -> Life:
        """Whether the process still exists. Unknown if it can't be seen from here."""
        machine, boot, _ = here = _place().split("/")
        if self.place == "/".join(here):
            return "alive" if _born(self.pid) == self.born else "dead"
        then = self.place.split("/")
        # The same machine booted since then: no process of before is left. Others can't be seen from here.
        return "dead" if machine and boot and then[0] == machine and then[1] != boot else "unknown"


@dataclass(frozen=True, slots=True)
class Leftover:
    """Everything there is of one run. counts: as "5 containers, 1 network, 5 volumes"."""

    run: str
    owner: Owner | None
    life: Life
    counts: str


def labels(run: str) -> dict[str, str]:
    """What everything that this process makes for a run is labelled with."""
    return {RUN_LABEL: run, OWNER_LABEL: str(Owner.this())}


def find(client: DockerClient) -> list[Leftover]:
    """All runs of which the engine holds something, also those still alive, in the order of their ids."""
    runs: dict[str, list[tuple[str, str]]] = {}
    with refusals("list what runs have left"):
        for kind, things in _things(client, RUN_LABEL):
            for thing in things:
                marks = _labels_of(thing)
                runs.setdefault(marks[RUN_LABEL], []).append((kind, marks.get(OWNER_LABEL, "")))
    return [_leftover(run, things) for run, things in sorted(runs.items())]


def remove(client: DockerClient, run: str) -> tuple[list[str], list[str]]:
    """Remove all of one run: containers, then networks and volumes.

    Returns what was removed, as "volume splitbrain-...", and what could not be, with the cause.
    """
    removed: list[str] = []
    failed: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        for kind, things in _things(client, f"{RUN_LABEL}={run}"):
            for thing, why in zip(things, pool.map(_remove, things), strict=True):
                named = f"{kind} {_name(thing)}"
                removed += [] if why else [named]
                failed += [f"{named} ({why})"] if why else []
    return removed, failed


def remove_leftovers(progress: Progress = lambda line: None, *, client: DockerClient | None = None) -> list[str]:
    """Remove what runs of dead owners have left; returns each thing removed, as "container splitbrain-...".

    Raises EnvironmentFailure if the engine does not answer, or, after the rest was removed, if something could
    not be.
    """
    client = client or connect()
    removed: list[str] = []
    failed: list[str] = []
    for left in find(client):
        match left.life:
            case "dead":
                progress(f"removing what run {left.run} has left: {left.counts}")
                gone, stayed = remove(client, left.run)
                removed += gone
                failed += stayed
            case "unknown":
                progress(
                    f"left alone: run {left.run} ({left.counts}), whose owner can't be seen from here; clean up where "
                    f"it was started (`docker ps -a --filter label={RUN_LABEL}={left.run}` shows it)"
                )
    if failed:
        raise EnvironmentFailure(f"not removed: {'; '.join(failed)}; see `docker ps -a`, then `splitbrain clean` again")
    return removed


def remove_own(progress: Progress) -> None:
    """Remove what this process has made, or the one in whose place it is. Raises EnvironmentFailure."""
    client, owner = connect(), Owner.this()
    failed: list[str] = []
    for left in find(client):
        if left.owner == owner:
            progress(f"removing what run {left.run} has left: {left.counts}")
            failed += remove(client, left.run)[1]
    if failed:
        raise EnvironmentFailure(f"not removed: {'; '.join(failed)}; see `docker ps -a`, then `splitbrain clean` again")


def _leftover(run: str, things: list[tuple[str, str]]) -> Leftover:
    kinds = [kind for kind, _ in things]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    owner = Owner.parse(things[0][1])
    said = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    return Leftover(run, owner, owner.life() if owner else "unknown", said)


def _things(client: DockerClient, label: str) -> Iterable[tuple[str, list[Any]]]:
    """Everything with the label, by kind. Containers come first: the others can't be removed before them."""
    by_label: dict[str, str | list[str] | bool] = {"label": label}
    # sparse: one that another process removes meanwhile is not asked for, and does not fail the list.
    kinds: dict[str, Callable[[], list[Any]]] = {
        "container": lambda: client.containers.list(all=True, filters=by_label, sparse=True),
        "network": lambda: client.networks.list(filters=by_label),
        "volume": lambda: client.volumes.list(filters=by_label),
    }
    for kind, listed in kinds.items():
        yield kind, listed()


def _labels_of(thing: Any) -> dict[str, str]:
    return dict(thing.attrs.get("Labels") or {})


def _name(thing: Any) -> str:
    return str(thing.attrs.get("Name") or thing.attrs["Names"][0].lstrip("/"))


def _remove(thing: Any) -> str | None:
    """None, or why it is still there."""
    try:
        if isinstance(thing, Container):
            thing.remove(force=True, v=True)
        else:
            thing.remove()
    except NotFound:
        return None
    except Exception as error:  # whatever it was, the others must still be removed
        return " ".join(str(error).split())
    return None


def _born(pid: int) -> str:
    """When the process started, in clock ticks since the boot; "" if there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _place() -> str:
    """This machine, its boot, and the namespace in which its process ids hold; slashes between."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{machine}/{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()}//"
