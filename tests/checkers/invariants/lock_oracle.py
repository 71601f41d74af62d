"""What `lock` must say: every pair of grants."""

from __future__ import annotations

from typing import Any, NamedTuple

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import verdict_of

MS = 1_000_000


class Held(NamedTuple):
    grant: Operation
    start: int
    end: float
    token: Any


def lock(history: History) -> dict[str, Any]:
    overlaps = reused = receding = contended = 0
    for key in dict.fromkeys(o.key for o in history.operations):
        held = [
            _held(history, o) for o in history.operations if o.key == key and o.f == "acquire" and o.outcome == "ok"
        ]
        contended += len(held) > 1
        for one in held:
            others = [other for other in held if other is not one]
            overlaps += any(_overlap(other, one) and _first(other, one) for other in others)
            fenced = [other for other in others if one.token is not None and other.token is not None]
            reused += any(other.token == one.token and _end(other) < _end(one) for other in fenced)
            begun = one.grant.invocation.index
            receding += any(other.token > one.token and _end(other) < begun for other in fenced)
    return {
        "verdict": verdict_of(bool(overlaps or reused or receding), bool(contended)),
        "overlaps": overlaps,
        "reused": reused,
        "receding": receding,
        "contended": contended,
    }


def _held(history: History, grant: Operation) -> Held:
    assert grant.completion
    token = (grant.completion.value or {}).get("token")
    lease_ms = (grant.invocation.value or {}).get("lease_ms")
    ends = [float("inf") if lease_ms is None else grant.invocation.time + lease_ms * MS]
    for release in history.operations:
        if release.f != "release" or release.key != grant.key or release.invocation.index < grant.completion.index:
            continue
        asked = (release.invocation.value or {}).get("token")
        told = (release.completion.value or {}).get("token") if release.completion else None
        named = asked if asked is not None else told
        if release.process == grant.process or (named is not None and named == token):
            ends.append(release.invocation.time)
    return Held(grant, grant.completion.time, min(ends), token)


def _overlap(one: Held, other: Held) -> bool:
    both = one.start < one.end and other.start < other.end
    return both and one.grant.process != other.grant.process and one.start < other.end and other.start < one.end


def _first(one: Held, other: Held) -> bool:
    return (one.start, _end(one)) < (other.start, _end(other))


def _end(held: Held) -> int:
    assert held.grant.completion
    return held.grant.completion.index
