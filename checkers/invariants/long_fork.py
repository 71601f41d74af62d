"""Long fork: all must see writes happen in one order.

Operations: `txn`, or `write` and `read`, whose value lists micro-operations: a write transaction is one write, [["w",
key, value]], and a read transaction reads a group of keys, [["r", key, null], ...], and is completed with what it saw,
null for a key that was not written yet. The history's own keys are judged apart.

1. A key is written once. So a read sees each key either written or not yet, and what the reads of one group saw can
   only grow.
2. A long fork: two reads of the same group of keys, each of which saw a write that the other did not. The two writes
   happened in one order for one and in the other for the other: parallel snapshot isolation allows that, and snapshot
   isolation does not.
3. A group forks if any two of its reads are a long fork. That is so exactly if there is no order of its writes in which
   every read saw the first few of them.
4. Unexpected: a read saw a value that nobody had begun to write to that key by its end. Phantom: the write of what it
   saw had failed.
5. Invalid if a group forks, or if anything is unexpected or phantom. Unknown if no group was read twice of which the
   reads, taken together, saw two keys written: with fewer there are no two writes to see in different orders. Otherwise
   valid. Reads of different groups are not compared, though they may share keys.
6. Refused: a second write to a key, unless the one before failed; a value of another shape; null written; a key twice
   in one read; a completed read without the keys that were asked for; a group of other than `group_size` keys; an
   operation of another name.

Sources: jepsen.tests.long-fork (Jepsen 0.3), which answers "unknown" where a key is written twice, throws where two
reads show different values of a key, and compares every two reads of a group. The anomaly: Sovran and others,
Transactional storage for geo-replicated systems (SOSP 2011).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, listing, literal
from splitbrain.checkers.histories.values import identity, is_name, operations_of, refusal
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_RULE = 'a transaction needs either one write ["w", key, value], or reads ["r", key, null] of different keys'
Name = int | str
Group = frozenset[Name]


@dataclass(frozen=True, slots=True)
class Sight:
    """A read of a group, and the keys of it that it saw written."""

    read: Operation
    seen: Group


@dataclass(frozen=True, slots=True)
class Stranger:
    """A read that saw a value which was not there to be seen."""

    kind: str
    read: Operation
    key: Name
    value: Any


@dataclass(slots=True)
class _Database:
    """What concerns one key of the history, or all of a history without keys."""

    writes: dict[Name, Operation] = field(default_factory=dict)
    failed: dict[tuple[Name, Hashable], Operation] = field(default_factory=dict)
    groups: dict[Group, list[tuple[Operation, dict[Name, Any]]]] = field(default_factory=dict)


def check(history: History, *, group_size: Annotated[int, Meta(ge=1)] | None = None) -> Verdict:
    """Look for reads that saw writes in different orders.

    group_size: how many keys each read must have; None lets the reads say.
    Evidence: `writes`, `reads`, `groups`; `compared`, groups of two keys or more that were read twice; `at_stake`,
    those of them of which two keys were seen written; `forked`, how many groups fork, and `forks`, a pair of reads of
    each of the first 100 [{key, group, reads, first_saw, second_saw}], as event indices and keys; `unexpected`,
    `phantom`.
    Raises HistoryError by rule 6. O(r log r * g) for r reads of groups of g keys.
    """
    databases: dict[Key, _Database] = {}
    writes = 0
    for operation in operations_of(history, "a long-fork history", ("txn", "read", "write")):
        database = databases.setdefault(operation.key, _Database())
        asked = _parsed(operation.invocation, operation.f)
        if isinstance(asked, tuple):
            writes += 1
            _write(database, operation, *asked)
            continue
        if group_size is not None and len(asked) != group_size:
            rule = f"a read needs a group of {count(group_size, 'key')}, and not of {len(asked):,}"
            raise refusal(operation.invocation, rule)
        if operation.outcome == "ok" and operation.completion is not None:
            saw = _parsed(operation.completion, operation.f)
            if isinstance(saw, tuple) or saw.keys() != asked.keys():
                raise refusal(operation.completion, "a completed read needs the keys that it was asked for")
            database.groups.setdefault(frozenset(saw), []).append((operation, saw))
    strangers = [stranger for database in databases.values() for stranger in _strangers(database)]
    strangers.sort(key=lambda stranger: stranger.read.invocation.index)
    reads = [(database, group, some) for database in databases.values() for group, some in database.groups.items()]
    forks = [fork for _, _, some in reads if (fork := _fork(some)) is not None]
    forks.sort(key=lambda fork: max(sight.read.invocation.index for sight in fork))
    compared = sum(len(group) > 1 and len(some) > 1 for _, group, some in reads)
    at_stake = sum(len(some) > 1 and len(_seen(some)) > 1 for _, _, some in reads)
    evidence: dict[str, Any] = {
        "writes": writes,
        "reads": sum(len(some) for _, _, some in reads),
        "groups": len(reads),
        "compared": compared,
        "at_stake": at_stake,
        "forked": len(forks),
        "forks": [_as_data(*fork) for fork in forks[:_LISTED]],
        "unexpected": sum(stranger.kind == "unexpected" for stranger in strangers),
        "phantom": sum(stranger.kind == "phantom" for stranger in strangers),
    }
    complaints = []
    if forks:
        complaints.append(f"{len(forks):,} of {count(compared, 'group')} saw writes in two orders")
    if evidence["unexpected"]:
        complaints.append(f"{count(evidence['unexpected'], 'value')} read that nobody had written")
    if evidence["phantom"]:
        complaints.append(f"{count(evidence['phantom'], 'value')} read whose write had failed")
    if complaints:
        witness = (
            _fork_witness(databases[forks[0][0].read.key], *forks[0]) if forks else _stranger_witness(strangers[0])
        )
        return Verdict.invalid("; ".join(complaints), witness, **evidence)
    if not compared:
        return Verdict.unknown("no group of two keys or more was read twice, so nobody could see a fork", **evidence)
    if not at_stake:
        return Verdict.unknown("no group's reads saw two keys written, so nobody could see a fork", **evidence)
    return Verdict.valid(f"{count(at_stake, 'group')} of keys, the reads of each in one order", **evidence)


def _parsed(event: Event, f: str) -> tuple[Name, Any] | dict[Name, Any]:
    """A write's key and value, or what was read by key."""
    micro = event.value
    if not isinstance(micro, list | tuple) or not micro:
        raise refusal(event, _RULE)
    for each in micro:
        if not isinstance(each, list | tuple) or len(each) != 3 or each[0] not in ("r", "w") or not is_name(each[1]):
            raise refusal(event, _RULE)
    kinds = {each[0] for each in micro}
    if (f == "read" and "w" in kinds) or (f == "write" and "r" in kinds):
        raise refusal(event, f"a {f} does nothing else")
    if "w" in kinds:
        if len(micro) > 1 or micro[0][2] is None:
            raise refusal(event, _RULE)
        return micro[0][1], micro[0][2]
    found = {each[1]: each[2] for each in micro}
    if len(found) < len(micro):
        raise refusal(event, _RULE)
    return found


def _write(database: _Database, operation: Operation, key: Name, value: Any) -> None:
    if operation.outcome == "fail":
        database.failed.setdefault((key, identity(value)), operation)
        return
    if key in database.writes:
        earlier = database.writes[key].invocation.index + 1
        problem = f"a key is written once, and {literal(key)} was by line {earlier}; {operation.f!r} of process "
        problem += f"{operation.process} has {literal(operation.invocation.value)}"
        raise HistoryError(operation.invocation.index + 1, problem)
    database.writes[key] = operation


def _strangers(database: _Database) -> list[Stranger]:
    found = []
    for some in database.groups.values():
        for read, saw in some:
            for key, value in saw.items():
                if value is None or _may_see(database, read, key, value):
                    continue
                failed = (key, identity(value)) in database.failed
                found.append(Stranger("phantom" if failed else "unexpected", read, key, value))
    return found


def _may_see(database: _Database, read: Operation, key: Name, value: Any) -> bool:
    write = database.writes.get(key)
    if write is None or identity(write.invocation.value[0][2]) != identity(value):
        return False
    assert read.completion is not None
    return write.invocation.index < read.completion.index


def _fork(some: Sequence[tuple[Operation, dict[Name, Any]]]) -> tuple[Sight, Sight] | None:
    """Two reads of a group of which neither saw all that the other did; None if there are none such.

    By how much they saw, any two that follow one another are in order if and only if all are.
    """
    sights = [Sight(read, _seen([(read, saw)])) for read, saw in some]
    sights.sort(key=lambda sight: len(sight.seen))
    for less, more in pairwise(sights):
        if not less.seen <= more.seen:
            return (less, more) if less.read.invocation.index < more.read.invocation.index else (more, less)
    return None


def _seen(some: Sequence[tuple[Operation, dict[Name, Any]]]) -> Group:
    """The keys that any of these reads saw written."""
    return frozenset(key for _, saw in some for key, value in saw.items() if value is not None)


def _ordered(keys: Group) -> list[Name]:
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def _as_data(first: Sight, second: Sight) -> dict[str, Any]:
    assert first.read.completion is not None
    return {
        "key": first.read.key,
        "group": _ordered(frozenset(each[1] for each in first.read.completion.value)),
        "reads": [first.read.invocation.index, second.read.invocation.index],
        "first_saw": _ordered(first.seen - second.seen),
        "second_saw": _ordered(second.seen - first.seen),
    }


def _fork_witness(database: _Database, first: Sight, second: Sight) -> Witness:
    told = []
    for one, other in ((first, second), (second, first)):
        assert one.read.completion is not None
        here, there = (listing(map(literal, _ordered(keys))) for keys in (one.seen - other.seen, other.seen - one.seen))
        told.append(f"process {one.read.process} at {at(one.read.completion)} saw {here} written and {there} not yet")
    apart = _ordered(first.seen ^ second.seen)
    operations = [first.read, second.read, *(database.writes[key] for key in apart if key in database.writes)]
    text = f"{told[0]}; {told[1]}: they saw these writes happen in different orders"
    return Witness(text, _events(operations), {"kind": "long fork", **_as_data(first, second)})


def _stranger_witness(stranger: Stranger) -> Witness:
    read = stranger.read
    assert read.completion is not None
    why = (
        "which nobody had begun to write there"
        if stranger.kind == "unexpected"
        else "though the write of it had failed"
    )
    read_what = f"{literal(stranger.value)} from {literal(stranger.key)}"
    text = f"process {read.process} read {read_what} at {at(read.completion)}, {why}"
    return Witness(text, _events([read]), {"kind": stranger.kind, "key": stranger.key, "value": stranger.value})


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
