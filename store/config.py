"""A cluster's configuration: the same on every node, checked once when it is built.

1. A `Config` that exists is possible: nobody downstream checks it again.
2. N, R and W are the paper's (section 4.5); PR and PW count primary replicas only, as in Riak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from store.actions import Address

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20
NAME_BYTES_MAX = 64
PARTITIONS_MAX = 4096


class ConfigError(ValueError):
    """A configuration that can't be: names the key, the cause and the remedy."""


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A node of the cluster: its name, and where it listens."""

    name: str
    address: Address

    def __post_init__(self) -> None:
        # It goes into every datagram and into the keys of hints, which end it with a zero byte.
        if not (self.name.isprintable() and 1 <= len(self.name.encode("utf-8", "replace")) <= NAME_BYTES_MAX):
            raise ConfigError(f"{self.name[:80]!r} can't be a node's name: give 1 to {NAME_BYTES_MAX} printable bytes")


CHOICES = {"conflicts": ("siblings", "lww"), "read_repair": ("off", "async", "blocking")}


@dataclass(frozen=True, slots=True)
class Config:
    """How the cluster behaves.

    n, r, w: replicas of a key; how many must answer a get; how many must hold a put durably.
    pr, pw: how many of those must be among the key's N primaries (0: any).
    sloppy: the first N *healthy* nodes serve a key (section 4.6); otherwise only its primaries do.
    partitions: Q, the number of equal ranges of the hash space (section 6.2, strategy 3).
    conflicts: "siblings" keeps concurrent versions for the client to reconcile; "lww" keeps the newest by clock.
    read_repair: "off", "async" (after the answer) or "blocking" (before it).
    request_timeout_s: how long a coordinator tries to reach a quorum.
    """

    n: int = 3
    r: int = 2
    w: int = 2
    pr: int = 0
    pw: int = 0
    sloppy: bool = True
    partitions: int = 64
    conflicts: str = "siblings"
    read_repair: str = "async"
    request_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n={self.n}: a key needs at least one replica; give n of 1 or more")
        for name, least in (("r", 1), ("w", 1), ("pr", 0), ("pw", 0)):
            value = getattr(self, name)
            if not least <= value <= self.n:
                raise ConfigError(f"{name}={value} with n={self.n}: give {name} between {least} and {self.n}")
        if not 1 <= self.partitions <= PARTITIONS_MAX:
            raise ConfigError(f"partitions={self.partitions}: give 1 to {PARTITIONS_MAX} (the default is 64)")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)}: give one of {', '.join(choices)}")
        if not 0.05 <= self.request_timeout_s <= 60:
            raise ConfigError(f"request_timeout_s={self.request_timeout_s}: give seconds between 0.05 and 60")

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

    def settings(self) -> dict[str, str]:
        """Every key with its value, as `changed` would read it."""
        return {item.name: _show(getattr(self, item.name)) for item in fields(self)}


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
