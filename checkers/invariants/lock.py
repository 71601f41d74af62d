"""Lock: nobody holds a lock that somebody else holds, and fencing tokens only grow.

Operations: `acquire` of {"lease_ms"}, whose `ok` value has the fencing "token" too; `release`, of null or of {"token"}.
Keys are locks. Either field may be missing or null: a lock without a lease is held until it is released.

1. An `acquire` that is `ok` was granted. Its client certainly holds the lock from the completion on, until its lease is
   over or it begins to release it, whichever comes first. One that failed was not granted. One that crashed may have
   been, but its client never knew and does nothing under it.
2. The lease counts from the invocation: a client can't know that it began any later. So a grant whose answer was on its
   way for longer than the lease was never held.
3. A release, whatever its outcome, ends what its process holds of that lock, and what was granted under its token.
4. Overlap: two processes certainly held one lock at one time. Times are those of the history, which are of one clock. A
   process is in nobody's way but others'.
5. Fencing tokens of a lock are all different, and a grant that began after another one was over has the larger token.
   Reused: it had been given out before. Receding: it is smaller than that of a grant that was over.
6. Invalid if there is an overlap or a token that is reused or recedes. Unknown if no lock was granted twice. Otherwise
   valid.
7. Refused is a value of another shape, a lease of zero or less, a token that is no integer, and an operation of another
   name.

Gray and Cheriton, Leases (SOSP 1989). Kleppmann, How to do distributed locking (2016), for the tokens. Jepsen 0.3
judges locks as `linearizable` with a mutex, which knows no leases; so does our model of that name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import NS_PER_MS, at, count, key_name
from splitbrain.checkers.histories.values import is_integer, operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100


@dataclass(slots=True)
class Grant:
    """A lock that was given to a process. start, end: when it was certainly held, by the history's clock."""

    acquire: Operation
    token: int | None
    start: int
    end: float
    release: Operation | None = None

    @property
    def granted(self) -> Event:
        assert self.acquire.completion is not None
        return self.acquire.completion

    def end_by(self, release: Operation) -> None:
        """Its client begins to release it."""
        if release.invocation.time < self.end:
            self.end, self.release = release.invocation.time, release


@dataclass(slots=True)
class LockUse:
    """The grants of one lock, in the order of their completions."""

    grants: list[Grant] = field(default_factory=list)


Wrong = tuple[str, Grant, Grant]
"""overlap, reused or receding; the grant before, and the one that should not have been given like that."""


@needs_real_time
def check(history: History) -> Verdict:
    """Judge every grant of every lock.

    Evidence: `acquires`, `granted`, `released`, `locks`; `contended`, locks that were granted twice or more;
    `overlaps`, grants of a lock that another process held; `reused`, `receding` tokens; and in `anomalies` the first
    100 [{kind, key, token, index, other}], the indices of the acquires.
    Raises HistoryError by rule 7. O(n log n), and for each grant O(grants held at that moment).
    """
    operations = operations_of(history, "a lock", ("acquire", "release"))
    locks = _gather(operations)
    wrong = [each for lock in locks.values() for each in (*_overlaps(lock.grants), *_tokens(lock.grants))]
    wrong.sort(key=lambda each: each[2].granted.index)
    evidence: dict[str, Any] = {
        "acquires": sum(operation.f == "acquire" for operation in operations),
        "granted": sum(len(lock.grants) for lock in locks.values()),
        "released": sum(operation.f == "release" and operation.outcome == "ok" for operation in operations),
        "locks": len(locks),
        "contended": sum(len(lock.grants) > 1 for lock in locks.values()),
        "overlaps": sum(kind == "overlap" for kind, _, _ in wrong),
        "reused": sum(kind == "reused" for kind, _, _ in wrong),
        "receding": sum(kind == "receding" for kind, _, _ in wrong),
        "anomalies": [_as_data(*each) for each in wrong[:_LISTED]],
    }
    if wrong:
        return Verdict.invalid("; ".join(_complaints(evidence)), _witness(*wrong[0]), **evidence)
    if not evidence["contended"]:
        return Verdict.unknown("no lock was granted twice, so nobody could be in another's way", **evidence)
    return Verdict.valid(
        f"{count(evidence['granted'], 'grant')} of {count(len(locks), 'lock')}, none while another one held", **evidence
    )


def _gather(operations: Sequence[Operation]) -> dict[Key, LockUse]:
    """The grants of each lock, ended by their releases. Raises HistoryError by rule 7."""
    locks: dict[Key, LockUse] = {}
    releases: dict[Key, list[tuple[Operation, int | None]]] = {}
    for operation in operations:
        lock = locks.setdefault(operation.key, LockUse())
        asked = _fields(operation.invocation)
        if operation.f == "release":
            answered = {} if operation.completion is None else _fields(operation.completion)
            token = asked.get("token", answered.get("token"))
            releases.setdefault(operation.key, []).append((operation, token))
        elif operation.outcome == "ok" and operation.completion is not None:
            lease_ms = asked.get("lease_ms")
            end = inf if lease_ms is None else operation.invocation.time + lease_ms * NS_PER_MS
            granted = _fields(operation.completion)
            lock.grants.append(Grant(operation, granted.get("token"), operation.completion.time, end))
    for key, lock in locks.items():
        lock.grants.sort(key=lambda grant: grant.granted.index)
        _release(lock.grants, releases.get(key, []))
    return locks


def _release(grants: Sequence[Grant], releases: Sequence[tuple[Operation, int | None]]) -> None:
    """End what each release gives back (rule 3). Both in the order in which they were granted and invoked."""
    standing: dict[int, list[Grant]] = {}
    under: dict[int, list[Grant]] = {}
    left = iter(grants)
    grant = next(left, None)
    for release, token in releases:
        while grant is not None and grant.granted.index < release.invocation.index:
            standing.setdefault(grant.acquire.process, []).append(grant)
            if grant.token is not None:
                under.setdefault(grant.token, []).append(grant)
            grant = next(left, None)
        back = standing.pop(release.process, []) + ([] if token is None else under.pop(token, []))
        for each in back:
            each.end_by(release)


def _fields(event: Event) -> dict[str, Any]:
    """The event's lease and token, those that it has."""
    value = {} if event.value is None else event.value
    if not isinstance(value, dict) or not value.keys() <= {"lease_ms", "token"}:
        raise refusal(event, 'a lock needs {"lease_ms", "token"}, or null')
    lease_ms, token = value.get("lease_ms"), value.get("token")
    if lease_ms is not None and (type(lease_ms) not in (int, float) or not 0 < lease_ms < inf):
        raise refusal(event, "a lease needs a number of milliseconds above 0")
    if token is not None and not is_integer(token):
        raise refusal(event, "a fencing token needs an integer")
    return {name: field for name, field in value.items() if field is not None}


def _overlaps(grants: Sequence[Grant]) -> Iterator[Wrong]:
    """Each grant of a lock that another process certainly held (rule 4), with one that held it."""
    held: list[Grant] = []
    for grant in sorted(grants, key=lambda grant: (grant.start, grant.granted.index)):
        if grant.end <= grant.start:
            continue
        held = [each for each in held if each.end > grant.start]
        other = next((each for each in held if each.acquire.process != grant.acquire.process), None)
        if other is not None:
            yield "overlap", other, grant
        held.append(grant)


def _tokens(grants: Sequence[Grant]) -> Iterator[Wrong]:
    """Each grant with a token that breaks rule 5, and one that shows it."""
    fenced = [grant for grant in grants if grant.token is not None]
    first: dict[int | None, Grant] = {}
    for grant in fenced:
        if grant.token in first:
            yield "reused", first[grant.token], grant
        first.setdefault(grant.token, grant)
    ends = [grant.granted.index for grant in fenced]
    largest = list(accumulate(fenced, _larger))
    for grant in fenced:
        over = bisect_left(ends, grant.acquire.invocation.index)
        if over and _token(largest[over - 1]) > _token(grant):
            yield "receding", largest[over - 1], grant


def _larger(one: Grant, other: Grant) -> Grant:
    return other if _token(other) > _token(one) else one


def _token(grant: Grant) -> int:
    assert grant.token is not None
    return grant.token


def _complaints(evidence: dict[str, Any]) -> list[str]:
    parts = []
    granted = count(evidence["granted"], "grant")
    if evidence["overlaps"]:
        parts.append(f"{evidence['overlaps']:,} of {granted} while another process held the lock")
    if evidence["reused"]:
        parts.append(f"{count(evidence['reused'], 'fencing token')} given out again")
    if evidence["receding"]:
        parts.append(f"{count(evidence['receding'], 'fencing token')} smaller than one before")
    return parts


def _as_data(kind: str, other: Grant, grant: Grant) -> dict[str, Any]:
    return {
        "kind": kind,
        "key": grant.acquire.key,
        "token": grant.token,
        "index": grant.acquire.invocation.index,
        "other": other.acquire.invocation.index,
    }


def _witness(kind: str, other: Grant, grant: Grant) -> Witness:
    name = key_name(grant.acquire.key)
    if kind == "overlap":
        asked = other.acquire.invocation
        lease_ms = _fields(asked).get("lease_ms")
        lease = "without a lease" if lease_ms is None else f"for {lease_ms:,} ms from {at(asked)} on"
        released = "and had not released it"
        if other.release is not None:
            released = f"and began to release it only at {at(other.release.invocation)}"
        text = (
            f"process {other.acquire.process} was given {name} at {at(other.granted)}, {lease}, {released}; "
            f"process {grant.acquire.process} was given it at {at(grant.granted)}"
        )
    else:
        text = (
            f"process {grant.acquire.process} was given {name} at {at(grant.granted)} under token {grant.token}, after "
            f"process {other.acquire.process} had been given it at {at(other.granted)} under token {other.token}"
        )
    operations = [other.acquire, grant.acquire, *([other.release] if other.release is not None else [])]
    return Witness(text, _events(operations), _as_data(kind, other, grant))


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
