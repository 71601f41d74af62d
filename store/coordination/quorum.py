"""Quorums: how many of a key's N replicas must have answered before a request is done.

1. A quorum that exists is possible; one that is not is refused with the range it must be in.
2. R and W count any replica that serves the key, PR and PW those among its primaries only, DW those that hold the write
   durably rather than in their write buffer (`write_buffer`). All that are asked for must be met.
3. The cluster's configuration says what a request leaves open.

Dynamo (SOSP 2007), section 4.5; PR, PW and DW are Riak's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from splitbrain.store.config import Config
from splitbrain.store.errors import StoreError
from splitbrain.store.wire.client_messages import Get, Put


@dataclass(frozen=True, slots=True)
class Quorum:
    """What a get or a put asks for.

    letter: "r" for a get, "w" for a put. n: replicas of a key. replicas: R or W. primaries: PR or PW. durable: DW.
    sloppy: the first N healthy nodes serve the key; otherwise only its primaries do.
    Raises StoreError `bad_request` for numbers that can't be met.
    """

    letter: str
    n: int
    replicas: int
    primaries: int = 0
    durable: int = 0
    sloppy: bool = True

    def __post_init__(self) -> None:
        for prefix, value, least in (("", self.replicas, 1), ("p", self.primaries, 0), ("d", self.durable, 0)):
            if not least <= value <= self.n:
                name = prefix + self.letter
                raise StoreError("bad_request", f"{name}={value} with n={self.n}: give {least} to {self.n}")

    def met(self, replicas: int, primaries: int, durable: int = 0) -> bool:
        """Whether so many are enough."""
        return replicas >= self.replicas and primaries >= self.primaries and durable >= self.durable

    def missed(self, replicas: int, primaries: int, durable: int = 0) -> str:
        """How far so many are from it, as the subject of a sentence: "1 of 2 replicas and 0 of 1 primaries"."""
        counts = [(replicas, self.replicas, "replicas"), (primaries, self.primaries, "primaries")]
        # Without a write buffer every replica is durable, and to name it twice would only puzzle.
        if durable < min(self.durable, replicas):
            counts.append((durable, self.durable, "durable replicas"))
        return " and ".join(f"{have} of {want} {what}" for have, want, what in counts if want)


def quorum(request: Get | Put, config: Config) -> Quorum:
    """What the request asks for. Raises StoreError `bad_request` if it can't be met."""
    sloppy = config.sloppy if request.sloppy is None else request.sloppy
    match request:
        case Get():
            return _made("r", config.n, _or(request.r, config.r), _or(request.pr, config.pr), 0, sloppy)
        case Put():
            w, pw, dw = _or(request.w, config.w), _or(request.pw, config.pw), _or(request.dw, config.dw)
            return _made("w", config.n, w, pw, dw, sloppy)


_made = lru_cache(maxsize=256)(Quorum)  # Nearly all requests ask for the same.


def _or(asked: int | None, default: int) -> int:
    return default if asked is None else asked
