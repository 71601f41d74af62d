"""Long fork: all must see writes happen in one order.

Operations: `txn`, or `write` and `read`, whose value lists micro-operations. A write transaction is one write, [["w",
key, value]]. A read transaction reads a group of keys, [["r", key, null], ...], and is completed with what it saw, null
for a key that was not written yet. The history's own keys are judged separately.

1. A key is written once. So a read sees each key either written or not yet, and what the reads of one group saw can
   only grow.
2. A long fork is two reads of the same group of keys, each of which saw a write that the other did not. The first read
   has these two writes in one order, the second in the other: parallel snapshot isolation allows that, and snapshot
   isolation does not.
3. A group forks if any two of its reads are a long fork. That is so exactly if there is no order of its writes in which
   every read saw the first few of them.
4. Unexpected: a read saw a value that nobody had begun to write to that key by its end. Phantom: the write of what it
   saw had failed.
5. Invalid if a group forks, or if anything is unexpected or phantom. Unknown if no group was read twice of which the
   reads, taken together, saw two keys written: with fewer there are no two writes to see in different orders. Otherwise
   valid. Reads of different groups are not compared, though they may share keys.
6. Refused is a second write to a key, unless the one before failed; a value of another shape; a write of null; and an
   operation of another name. Refused is a read that has a key twice, that was completed with other keys than it was
   asked for, or that has more or fewer than `group_size` keys.

Sources: jepsen.tests.long-fork (Jepsen 0.3). It answers "unknown" where a key is written twice, throws where two reads
show different values of a key, and compares every two reads of a group. The anomaly: Sovran and others, Transactional
storage for geo-replicated systems (SOSP 2011).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, listing, literal
from splitbrain.checkers.histories.values import identity, is_name, operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_RULE = 'a transaction needs either one write ["w", key, value], or reads ["r", key, null] of different keys'
Name = int | str
Group = frozenset[Name]


@dataclass(frozen=True, slots=True)
class GroupRead:
    """A read of a group of keys: what it saw by key, null for a key that was not written yet."""

    read: Operation
    saw: Mapping[Name, Any]

    @property
    def written(self) -> Group:
        """The keys that it saw written."""
        return frozenset(key for key, value in self.saw.items() if value is not None)


@dataclass(frozen=True, slots=True)
class ImpossibleValue:
    """A read that saw a value which was not there to be seen."""

    kind: str
    read: Operation
    key: Name
    value: Any


@dataclass(slots=True)
class Database:
    """What concerns one key of the history, or all of a history without keys."""

    writes: dict[Name, Operation] = field(default_factory=dict)
    failed: dict[tuple[Name, Hashable], Operation] = field(default_factory=dict)
    groups: dict[Group, list[GroupRead]] = field(default_factory=dict)
    asked: int = 0  # Writes, the failed ones included.

    def write(self, operation: Operation, key: Name, value: Any) -> None:
        """Take in a write. Raises HistoryError if it is the second to that key."""
        self.asked += 1
        if operation.outcome == "fail":
            self.failed.setdefault((key, identity(value)), operation)
            return
        if key in self.writes:
            earlier = self.writes[key].invocation.index + 1
            problem = f"a key is written once, and {literal(key)} was by line {earlier}; {operation.f!r} of process "
            problem += f"{operation.process} has {literal(operation.invocation.value)}"
            raise HistoryError(operation.invocation.index + 1, problem)
        self.writes[key] = operation

    def impossible(self) -> Iterator[ImpossibleValue]:
        """What its reads could not have seen (rule 4)."""
        for each in (each for reads in self.groups.values() for each in reads):
            for key, value in each.saw.items():
                if value is not None and not self._may_see(each.read, key, value):
                    failed = (key, identity(value)) in self.failed
                    yield ImpossibleValue("phantom" if failed else "unexpected", each.read, key, value)

    def _may_see(self, read: Operation, key: Name, value: Any) -> bool:
        write = self.writes.get(key)
        if write is None or identity(write.invocation.value[0][2]) != identity(value):
            return False
        assert read.completion is not None
        return write.invocation.index < read.completion.index


@needs_real_time
def check(history: History, *, group_size: Annotated[int, Meta(ge=1)] | None = None) -> Verdict:
    """Look for reads that saw writes in different orders.

    group_size: how many keys each read must have; None lets the reads say.
    Evidence: `writes`, `reads`, `groups`; `compared`, groups of two keys or more that were read twice; `at_stake`,
    those of them of which two keys were seen written; `forked`, how many groups fork, and `forks`, a pair of reads of
    each of the first 100 [{key, group, reads, first_saw, second_saw}], as event indices and keys; `unexpected`,
    `phantom`.
    Raises HistoryError by rule 6. O(r log r * g) for r reads of groups of g keys.
    """
    databases = _gather(history, group_size)
    impossible = [each for database in databases.values() for each in database.impossible()]
    impossible.sort(key=lambda each: each.read.invocation.index)
    groups = [reads for database in databases.values() for reads in database.groups.values()]
    forks = [fork for reads in groups if (fork := _fork(reads)) is not None]
    forks.sort(key=lambda fork: max(each.read.invocation.index for each in fork))
    evidence: dict[str, Any] = {
        "writes": sum(database.asked for database in databases.values()),
        **_figures(groups),
        "forked": len(forks),
        "forks": [_as_data(*fork) for fork in forks[:_LISTED]],
        "unexpected": sum(each.kind == "unexpected" for each in impossible),
        "phantom": sum(each.kind == "phantom" for each in impossible),
    }
    complaints = _complaints(evidence)
    if forks:
        database = databases[forks[0][0].read.key]
        return Verdict.invalid("; ".join(complaints), _fork_witness(database, *forks[0]), **evidence)
    if impossible:
        return Verdict.invalid("; ".join(complaints), _impossible_witness(impossible[0]), **evidence)
    doubt = _doubt(evidence)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    return Verdict.valid(f"{count(evidence['at_stake'], 'group')} of keys, the reads of each in one order", **evidence)


def _gather(history: History, group_size: int | None) -> dict[Key, Database]:
    """The writes, and the reads by group, of each of the history's keys. Raises HistoryError by rule 6."""
    databases: dict[Key, Database] = {}
    for operation in operations_of(history, "a long-fork history", ("txn", "read", "write")):
        database = databases.setdefault(operation.key, Database())
        asked = _parsed(operation.invocation, operation.f)
        if isinstance(asked, tuple):
            end = operation.completion
            if end is not None and end.type == "ok" and end.value is not None:
                _agree(asked, end, operation.f)
            database.write(operation, *asked)
            continue
        if group_size is not None and len(asked) != group_size:
            rule = f"a read needs a group of {count(group_size, 'key')}, and not of {len(asked):,}"
            raise refusal(operation.invocation, rule)
        if operation.outcome == "ok" and operation.completion is not None:
            saw = _parsed(operation.completion, operation.f)
            if isinstance(saw, tuple) or saw.keys() != asked.keys():
                raise refusal(operation.completion, "a completed read needs the keys that it was asked for")
            database.groups.setdefault(frozenset(saw), []).append(GroupRead(operation, saw))
    return databases


def _figures(groups: Sequence[Sequence[GroupRead]]) -> dict[str, int]:
    """How much the reads of the groups can show."""
    return {
        "reads": sum(map(len, groups)),
        "groups": len(groups),
        "compared": sum(len(reads) > 1 and len(reads[0].saw) > 1 for reads in groups),
        "at_stake": sum(_is_at_stake(reads) for reads in groups),
    }


def _complaints(evidence: Mapping[str, Any]) -> list[str]:
    parts = []
    if evidence["forked"]:
        parts.append(f"{evidence['forked']:,} of {count(evidence['compared'], 'group')} saw writes in two orders")
    if evidence["unexpected"]:
        parts.append(f"{count(evidence['unexpected'], 'value')} read that nobody had written")
    if evidence["phantom"]:
        parts.append(f"{count(evidence['phantom'], 'value')} read whose write had failed")
    return parts


def _doubt(evidence: Mapping[str, Any]) -> str | None:
    """Why reads that do not fork prove nothing (rule 5), or None."""
    if not evidence["compared"]:
        return "no group of two keys or more was read twice, so nobody could see a fork"
    if not evidence["at_stake"]:
        return "no group's reads saw two keys written, so nobody could see a fork"
    return None


def _parsed(event: Event, f: str) -> tuple[Name, Any] | dict[Name, Any]:
    """A write's key and value, or what was read by key."""
    micro = _micro_operations(event)
    kinds = {kind for kind, _, _ in micro}
    if (f == "read" and "w" in kinds) or (f == "write" and "r" in kinds):
        raise refusal(event, f"a {f} does nothing else")
    found = {key: value for _, key, value in micro}
    if "w" not in kinds:
        if len(found) < len(micro):
            raise refusal(event, _RULE)
        return found
    _, key, value = micro[0]
    if len(micro) > 1 or value is None:
        raise refusal(event, _RULE)
    return key, value


def _agree(asked: tuple[Name, Any], completion: Event, f: str) -> None:
    """Raise HistoryError unless the completion of a write says what was asked."""
    said = _parsed(completion, f)
    if not isinstance(said, tuple) or identity(list(said)) != identity(list(asked)):
        raise refusal(completion, f"the completion of a write repeats it, and {literal(list(asked))} was asked")


def _micro_operations(event: Event) -> Sequence[tuple[str, Name, Any]]:
    """The event's value, if it lists micro-operations."""
    value = event.value
    if not isinstance(value, list | tuple) or not value:
        raise refusal(event, _RULE)
    for each in value:
        if not isinstance(each, list | tuple) or len(each) != 3 or each[0] not in ("r", "w") or not is_name(each[1]):
            raise refusal(event, _RULE)
    return value


def _fork(reads: Sequence[GroupRead]) -> tuple[GroupRead, GroupRead] | None:
    """Two reads of a group of which neither saw all that the other did; None if there are none such.

    By how much they saw, any two that follow one another are in order if and only if all are.
    """
    by_size = sorted(((each.written, each) for each in reads), key=lambda pair: len(pair[0]))
    for (less, first), (more, second) in pairwise(by_size):
        if not less <= more:
            in_order = first.read.invocation.index < second.read.invocation.index
            return (first, second) if in_order else (second, first)
    return None


def _is_at_stake(reads: Sequence[GroupRead]) -> bool:
    """Whether a group was read twice, and its reads, taken together, saw two keys written."""
    return len(reads) > 1 and len(frozenset[Name]().union(*(each.written for each in reads))) > 1


def _ordered(keys: Group) -> list[Name]:
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def _as_data(first: GroupRead, second: GroupRead) -> dict[str, Any]:
    assert first.read.completion is not None
    return {
        "key": first.read.key,
        "group": _ordered(frozenset(each[1] for each in first.read.completion.value)),
        "reads": [first.read.invocation.index, second.read.invocation.index],
        "first_saw": _ordered(first.written - second.written),
        "second_saw": _ordered(second.written - first.written),
    }


def _fork_witness(database: Database, first: GroupRead, second: GroupRead) -> Witness:
    clauses = []
    for one, other in ((first, second), (second, first)):
        assert one.read.completion is not None
        here, there = (
            listing(map(literal, _ordered(keys))) for keys in (one.written - other.written, other.written - one.written)
        )
        clauses.append(
            f"process {one.read.process} at {at(one.read.completion)} saw {here} written and {there} not yet"
        )
    differing = _ordered(first.written ^ second.written)
    operations = [first.read, second.read, *(database.writes[key] for key in differing if key in database.writes)]
    text = f"{clauses[0]}; {clauses[1]}: they saw these writes happen in different orders"
    return Witness(text, _events(operations), {"kind": "long fork", **_as_data(first, second)})


def _impossible_witness(found: ImpossibleValue) -> Witness:
    read = found.read
    assert read.completion is not None
    why = "which nobody had begun to write there" if found.kind == "unexpected" else "though the write of it had failed"
    read_what = f"{literal(found.value)} from {literal(found.key)}"
    text = f"process {read.process} read {read_what} at {at(read.completion)}, {why}"
    return Witness(text, _events([read]), {"kind": found.kind, "key": found.key, "value": found.value})


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
