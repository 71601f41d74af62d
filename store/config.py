"""A cluster's configuration: the same on every node, checked once when it is built.

1. A `Config` that exists is possible: nobody downstream checks it again.
2. N, R and W are the paper's (section 4.5); PR and PW count primary replicas only, as in Riak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from splitbrain.store.actions import Address
from splitbrain.store.defects import DEFECTS, Defect

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20
NAME_BYTES_MAX = 64
PARTITIONS_MAX = 4096
CAPACITY_MAX = 16


COMMON = ("n", "strategy", "partitions", "tokens", "clocks", "clock_limit", "conflicts", "lww_clock")
"""The keys that decide where data lies and what versions mean: all nodes of a cluster agree on them (`gossip`)."""


class ConfigError(ValueError):
    """A configuration that can't be: names the key, the cause and the remedy."""


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A node of the cluster: its name, and where it listens.

    zone: the part of the world that may fail with it (a rack, a data centre); "" where zones are not distinguished.
    capacity: how many shares of the ring it takes, against the others' (section 4.2: heterogeneity).
    """

    name: str
    address: Address
    zone: str = ""
    capacity: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.capacity <= CAPACITY_MAX:
            raise ConfigError(f"capacity {self.capacity} of {self.name!r}: give 1 to {CAPACITY_MAX}")
        if len(self.zone.encode("utf-8", "replace")) > NAME_BYTES_MAX or not (self.zone.isprintable()):
            raise ConfigError(f"{self.zone[:80]!r} can't be a zone: give at most {NAME_BYTES_MAX} printable bytes")
        # It goes into every datagram and into the keys of hints, which end it with a zero byte.
        if not (self.name.isprintable() and 1 <= len(self.name.encode("utf-8", "replace")) <= NAME_BYTES_MAX):
            raise ConfigError(f"{self.name[:80]!r} can't be a node's name: give 1 to {NAME_BYTES_MAX} printable bytes")
        host, port = self.address
        if not (1 <= port <= 65535 and host.isprintable() and 1 <= len(host.encode("utf-8", "replace")) <= 255):
            raise ConfigError(f"{host[:80]!r}, port {port}, can't be the address of {self.name!r}: give host and port")


CHOICES: dict[str, tuple[object, ...]] = {
    "strategy": (1, 2, 3),
    "clocks": ("dotted", "server-id"),
    "conflicts": ("siblings", "lww"),
    "lww_clock": ("hybrid", "wall"),
    "read_repair": ("off", "async", "blocking"),
}
RANGES = {
    "partitions": (1, PARTITIONS_MAX),
    "tokens": (1, 1024),
    "clock_limit": (0, 255),
    "anti_entropy_s": (0, 86_400),
    "gossip_s": (0.05, 60),
    "write_buffer": (0, 100_000),
    "flush_s": (0.01, 60),
    "tombstone_grace_s": (0, 10 * 365 * 86_400),
    "background_p99_ms": (1, 60_000),
    "request_timeout_s": (0.05, 60),
}


@dataclass(frozen=True, slots=True)
class Config:
    """How the cluster behaves.

    n, r, w: replicas of a key; how many must answer a get; how many must hold a put durably.
    pr, pw: how many of those must be among the key's N primaries (0: any).
    dw: of the W, how many must hold a put durably; the others may hold it in their write buffer.
    sloppy: the first N *healthy* nodes serve a key (section 4.6); otherwise only its primaries do.
    strategy: how the ring is cut and dealt out (section 6.2): 3 equal partitions, Q/S a node; 2 equal partitions,
        random tokens; 1 random tokens, which cut it as well.
    partitions: Q, the number of equal ranges of the hash space (strategies 2 and 3).
    tokens: T, the random tokens of a node of capacity 1 (strategies 1 and 2).
    clocks: "dotted" version vectors, or the paper's "server-id" vector clocks, which cannot distinguish two
        concurrent puts through one coordinator.
    clock_limit: entries a version's clock may have, the oldest dropped first (section 4.4; the paper: 10); 0: any.
    conflicts: "siblings" keeps concurrent versions for the client to reconcile; "lww" keeps the newest by clock.
    lww_clock: what "newest" goes by: a "hybrid" logical clock, or the coordinator's "wall" clock (the paper).
    read_repair: "off", "async" (after the answer) or "blocking" (before it).
    anti_entropy_s: how often a node compares a partition's Merkle tree with another replica's; 0: never.
    gossip_s: how often a node gossips with a random peer.
    write_buffer: objects a node may hold in memory before they are flushed (section 6.1; the paper: 1,000); 0: none.
    flush_s: how often the write buffer is flushed.
    tombstone_grace_s: after how long a tombstone that all N primaries hold is reaped; 0: never.
    background_p99_ms: the foreground latency, at the 99th percentile over a minute, at which background work
        holds back (section 6.5).
    request_timeout_s: how long a coordinator tries to reach a quorum.
    defect: one well-known mistake turned on, to show a checker catching it (`defects`); refused without `unsafe`.
    unsafe: the cluster's data may be lost; nothing by itself.
    """

    n: int = 3
    r: int = 2
    w: int = 2
    pr: int = 0
    pw: int = 0
    dw: int = 1
    sloppy: bool = True
    strategy: int = 3
    partitions: int = 64
    tokens: int = 16
    clocks: str = "dotted"
    clock_limit: int = 0
    conflicts: str = "siblings"
    lww_clock: str = "hybrid"
    read_repair: str = "async"
    anti_entropy_s: float = 15.0
    gossip_s: float = 1.0
    write_buffer: int = 0
    flush_s: float = 1.0
    tombstone_grace_s: float = 0.0
    background_p99_ms: float = 50.0
    request_timeout_s: float = 1.0
    defect: str = ""
    unsafe: bool = False

    def __post_init__(self) -> None:
        if self.defect:
            for name, value in _admitted(self.defect, self.unsafe).forces.items():
                object.__setattr__(self, name, value)
        if self.n < 1:
            raise ConfigError(f"n={self.n}: a key needs at least one replica; give n of 1 or more")
        for name, least in (("r", 1), ("w", 1), ("pr", 0), ("pw", 0), ("dw", 0)):
            value = getattr(self, name)
            if not least <= value <= self.n:
                raise ConfigError(f"{name}={value} with n={self.n}: give {name} between {least} and {self.n}")
        for name, (lower, upper) in RANGES.items():
            value = getattr(self, name)
            if not lower <= value <= upper:
                raise ConfigError(f"{name}={value}: give {lower:g} to {upper:g}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)}: give one of {', '.join(map(str, choices))}")

    def fits(self, members: int) -> Config:
        """This configuration, if that many members can carry it; else raises ConfigError."""
        if self.n > members:
            raise ConfigError(f"n={self.n} with {members} members: add nodes, or lower n")
        return self

    def changed(self, settings: Mapping[str, str]) -> Config:
        """With `key=value` settings applied, as a command line gives them. Raises ConfigError."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        changes: dict[str, Any] = {}
        for name, text in settings.items():
            if name not in known:
                raise ConfigError(f"unknown configuration key {name!r}; known: {', '.join(sorted(known))}")
            changes[name] = _parse(name, text, known[name])
        return replace(self, **changes)

    @property
    def common(self) -> list[str]:
        """The values of `COMMON`, in that order."""
        return [_show(getattr(self, name)) for name in COMMON]

    def settings(self) -> dict[str, str]:
        """Every key with its value, as `changed` would read it."""
        return {item.name: _show(getattr(self, item.name)) for item in fields(self)}


def _admitted(defect: str, unsafe: bool) -> Defect:
    if defect not in DEFECTS:
        raise ConfigError(f"defect={defect}: there is no such defect; give one of {', '.join(DEFECTS)}")
    if not unsafe:
        mistake = f"defect={defect} is a mistake on purpose ({DEFECTS[defect].family})"
        raise ConfigError(f"{mistake}: give unsafe=true too, on a cluster whose data may be lost, or leave it out")
    return DEFECTS[defect]


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise ConfigError(f"{name}={text}: give true or false")
        return text == "true"
    if isinstance(default, str):
        return text
    try:
        return int(text) if isinstance(default, int) else float(text)
    except ValueError:
        raise ConfigError(f"{name}={text}: not a number") from None
