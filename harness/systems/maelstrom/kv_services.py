"""Services that keep something: what nodes may ask of `lin-kv`, `seq-kv`, `lww-kv` and `lin-tso`, without I/O.

1. `LinearKv` does each request at the moment it arrives, on the one state there is.
2. `SequentialKv` keeps past states. A request that changes nothing there may be done in any past state that its client
   has not left behind; one that changes something is done in the newest. So all requests have one order, each client's
   are in it in its own, and what a client reads may be long replaced.
3. `LastWriteKv` has `REPLICAS` replicas, and each request goes to one of them, which is drawn. Writes carry the time of
   the replica's own clock. Replicas learn from each other now and then, and keep what is newest by these times: an
   acknowledged write may be gone.
4. `Timestamps` gives each request a larger number than any before.
5. Draws come from the seed, and time is an argument.

Source: Maelstrom's services document (doc/services.md) has the promises.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from splitbrain.harness.seeds import draw, split
from splitbrain.harness.systems.maelstrom.error_codes import (
    KEY_DOES_NOT_EXIST,
    MALFORMED_REQUEST,
    NOT_SUPPORTED,
    PRECONDITION_FAILED,
)

Body = Mapping[str, Any]
Key = bytes
"""A key as JSON, for it may be any JSON: 1 and "1" are two keys."""
PAST = 32
"""How many changes ago the oldest state is that `SequentialKv` still shows."""
REPLICAS = 5
SKEW_S = 0.05
"""By how much the clock of a replica is ahead at most."""
MISSING = object()
"""The value of a key that was never written."""


class Service(Protocol):
    """Something that answers requests."""

    def handle(self, client: str, body: Body, now: float) -> dict[str, Any]:
        """The answer's body, without `in_reply_to`. now: seconds, which never go back."""


class LinearKv:
    """Rule 1."""

    def __init__(self) -> None:
        self._values: dict[Key, Any] = {}

    def handle(self, client: str, body: Body, now: float) -> dict[str, Any]:
        answer, change = performed(body, lambda key: self._values.get(key, MISSING))
        self._values.update(change)
        return answer


class SequentialKv:
    """Rule 2. A state is named by how many changes came before it."""

    def __init__(self, *, seed: int) -> None:
        self._random = draw(seed).random
        self._newest = 0
        self._changes: dict[Key, tuple[list[int], list[Any]]] = {}
        self._reached: dict[str, int] = {}

    def handle(self, client: str, body: Body, now: float) -> dict[str, Any]:
        oldest = max(self._reached.get(client, 0), self._newest - PAST)
        state = oldest + int(self._random() * (self._newest - oldest + 1))
        answer, change = performed(body, lambda key: self._value(key, state))
        if change:
            state = self._newest
            answer, change = performed(body, lambda key: self._value(key, state))
        if change:
            state = self._newest = self._newest + 1
            for key, value in change.items():
                self._keep(key, value)
        self._reached[client] = state
        return answer

    def _value(self, key: Key, state: int) -> Any:
        states, values = self._changes.get(key, ([], []))
        at = bisect_right(states, state)
        return values[at - 1] if at else MISSING

    def _keep(self, key: Key, value: Any) -> None:
        states, values = self._changes.setdefault(key, ([], []))
        states.append(self._newest)
        values.append(value)
        # Of what is older than any state that is still shown, the last one is still what it shows.
        gone = bisect_right(states, self._newest - PAST) - 1
        if gone > 0:
            del states[:gone], values[:gone]


class LastWriteKv:
    """Rule 3."""

    def __init__(self, *, seed: int) -> None:
        self._random = draw(seed).random
        self._replicas: list[dict[Key, tuple[float, int, Any]]] = [{} for _ in range(REPLICAS)]
        self._ahead_s = [self._random() * SKEW_S for _ in range(REPLICAS)]

    def handle(self, client: str, body: Body, now: float) -> dict[str, Any]:
        self._learn(self._replicas[self._drawn()], self._replicas[self._drawn()])
        number = self._drawn()
        replica = self._replicas[number]
        answer, change = performed(body, lambda key: replica[key][2] if key in replica else MISSING)
        self._learn(replica, {key: (now + self._ahead_s[number], number, value) for key, value in change.items()})
        return answer

    def _drawn(self) -> int:
        return int(self._random() * REPLICAS)

    def _learn(self, replica: dict[Key, tuple[float, int, Any]], told: Mapping[Key, tuple[float, int, Any]]) -> None:
        for key, written in told.items():
            if key not in replica or replica[key][:2] < written[:2]:
                replica[key] = written


class Timestamps:
    """Rule 4."""

    def __init__(self) -> None:
        self._next = 0

    def handle(self, client: str, body: Body, now: float) -> dict[str, Any]:
        if body.get("type") != "ts":
            return _refused(NOT_SUPPORTED, f"this service has no {body.get('type')}; ask for ts")
        self._next += 1
        return {"type": "ts_ok", "ts": self._next - 1}


def services(seed: int) -> dict[str, Service]:
    """Each service by the name that nodes send to."""
    return {
        "lin-kv": LinearKv(),
        "seq-kv": SequentialKv(seed=split(seed, "seq-kv")),
        "lww-kv": LastWriteKv(seed=split(seed, "lww-kv")),
        "lin-tso": Timestamps(),
    }


def performed(body: Body, value: Callable[[Key], Any]) -> tuple[dict[str, Any], dict[Key, Any]]:
    """A request on a key-value store. value: what a key holds, or `MISSING`.

    Returns the answer, and what is changed by it: nothing where the key holds that value already.
    """
    kind = body.get("type")
    needed = {"read": ("key",), "write": ("key", "value"), "cas": ("key", "from", "to")}.get(str(kind))
    if needed is None:
        return _refused(NOT_SUPPORTED, f"this service has no {kind}; it has read, write and cas"), {}
    if missing := [name for name in needed if name not in body]:
        return _refused(MALFORMED_REQUEST, f"{kind} lacks {', '.join(missing)}"), {}
    key = msgspec.json.encode(body["key"], order="deterministic")
    held = value(key)
    match kind:
        case "read":
            return ({"type": "read_ok", "value": held} if held is not MISSING else _no_such_key(body)), {}
        case "write":
            return {"type": "write_ok"}, {} if _same(held, body["value"]) else {key: body["value"]}
        case _:
            if held is MISSING and not body.get("create_if_not_exists"):
                return _no_such_key(body), {}
            if held is not MISSING and not _same(held, body["from"]):
                return _refused(PRECONDITION_FAILED, f"the key holds {held!r}, not {body['from']!r}"), {}
            return {"type": "cas_ok"}, {} if _same(held, body["to"]) else {key: body["to"]}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; `1 == True` in Python."""
    return one == other and type(one) is type(other)


def _no_such_key(body: Body) -> dict[str, Any]:
    return _refused(KEY_DOES_NOT_EXIST, f"the key {body['key']!r} does not exist")


def _refused(code: int, text: str) -> dict[str, Any]:
    return {"type": "error", "code": code, "text": text}
