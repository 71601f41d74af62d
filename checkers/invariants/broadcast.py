"""Broadcast: every message that was acknowledged comes to every node.

Operations: `broadcast` of a message; `read`, whose `ok` value lists the messages that the node it went through has
learned of. Keys are judged separately: each is a channel of its own.

1. A broadcast that is `ok` was acknowledged. A crashed one may come to any nodes or none, a failed one to none.
2. The nodes are those that operations went through. What a node ended up with is in its concluding reads
   (`final_reads`), all taken together.
3. Missing: an acknowledged message that a node's concluding reads lack, if one of these was invoked after the
   acknowledgement. Lost: it is missing from every node that was read at the end.
4. A message that only some nodes lack may still be on its way. That counts as missing where nodes were given time (the
   stage "convergence"), and otherwise the verdict is unknown.
5. Unexpected: a read shows what nobody had begun to broadcast by its end. Phantom: its broadcast had failed.
   Duplicated: one read shows it twice.
6. Invalid if anything is lost, missing, unexpected, phantom or duplicated. Otherwise unknown if nothing was
   acknowledged, or if a node has no concluding read after the last acknowledgement. Otherwise valid.
7. A message is stable once every read shows it. Its stable latency is the time from its acknowledgement to the
   beginning of the last read that lacked it, or zero.
8. Refused is a broadcast of null, a second broadcast of a message unless the one before failed, an `ok` read without a
   list, and an operation of another name.

Source: the broadcast workload of Maelstrom, which judges by jepsen.checker/set-full (Jepsen 0.3).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads, disagreement, node_of
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, listing, literal
from splitbrain.checkers.histories.values import identity, operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
Node = str | None


@dataclass(slots=True)
class Channel:
    """What concerns one key.

    sent: broadcasts by message, but for failed ones. reads: those that were ok. ends: by node, its concluding reads.
    """

    sent: dict[Hashable, Operation] = field(default_factory=dict)
    failed: set[Hashable] = field(default_factory=set)
    reads: list[Operation] = field(default_factory=list)
    ends: dict[Node, list[Operation]] = field(default_factory=dict)

    @property
    def acknowledged(self) -> list[Operation]:
        return [each for each in self.sent.values() if each.outcome == "ok"]


@dataclass(frozen=True, slots=True)
class Missing:
    """An acknowledged message, and the nodes that lack it. everywhere: all that were read after it do."""

    broadcast: Operation
    nodes: Sequence[Node]
    everywhere: bool


@dataclass(frozen=True, slots=True)
class Surplus:
    """A message that a read should not show, or not like that: unexpected, phantom or duplicated."""

    kind: str
    read: Operation
    message: Any


@needs_real_time
def check(history: History) -> Verdict:
    """Judge what every node ended up with.

    Evidence: `attempted`, `acknowledged`, `failed` broadcasts; `reads`, `nodes`; `lost`, messages that no node has;
    `missing`, messages that some node lacks, the lost ones included, and `missing_from` of the first 100 [{key,
    message, nodes}]; `unexpected`, `phantom`, `duplicated`; `stable_latency_ms`, quantiles.
    Raises HistoryError by rule 8. O(reads * messages).
    """
    operations = operations_of(history, "a broadcast", ("broadcast", "read"), "broadcast")
    channels = _gather(operations)
    final = FinalReads.of(history)
    nodes = {node_of(operation) for operation in operations}
    for key, reads in final.by_key.items():
        for read in concluding_reads(reads):
            channels[key].ends.setdefault(node_of(read), []).append(read)
    missing = [each for channel in channels.values() for each in _missing(channel)]
    missing.sort(key=lambda each: (not each.everywhere, each.broadcast.invocation.index))
    surplus = [each for channel in channels.values() for each in _surplus(channel)]
    surplus.sort(key=lambda each: each.read.invocation.index)
    outcomes = [operation.outcome for operation in operations if operation.f == "broadcast"]
    evidence: dict[str, Any] = {
        "attempted": len(outcomes),
        "acknowledged": outcomes.count("ok"),
        "failed": outcomes.count("fail"),
        "reads": sum(len(channel.reads) for channel in channels.values()),
        "nodes": sorted(node for node in nodes if node is not None),
        "lost": sum(each.everywhere for each in missing),
        "missing": len(missing),
        "missing_from": [_as_data(each) for each in missing[:_LISTED]],
        **{kind: sum(each.kind == kind for each in surplus) for kind in ("unexpected", "phantom", "duplicated")},
        "stable_latency_ms": quantiles_ms([wait for channel in channels.values() for wait in _waits(channel)]),
    }
    lagging = evidence["missing"] - evidence["lost"]
    certain, disagreed = disagreement(history, lagging, "message")
    complaints = _complaints(evidence, lagging if certain else 0)
    if complaints:
        witness = _missing_witness(missing[0]) if missing and (certain or evidence["lost"]) else _witness(surplus[0])
        return Verdict.invalid("; ".join(complaints), witness, **evidence)
    doubt = disagreed if lagging else _doubt(channels, nodes, final.missing, evidence)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    heard = f"{count(evidence['acknowledged'], 'acknowledged message')} came to {count(len(nodes), 'node')}"
    return Verdict.valid(heard, **evidence)


def _gather(operations: Sequence[Operation]) -> dict[Key, Channel]:
    channels: dict[Key, Channel] = {}
    for operation in operations:
        channel = channels.setdefault(operation.key, Channel())
        if operation.f == "read":
            if operation.outcome == "ok" and operation.completion is not None:
                if not isinstance(operation.completion.value, list):
                    raise refusal(operation.completion, "an ok read needs a list of messages")
                channel.reads.append(operation)
            continue
        if operation.invocation.value is None:
            raise refusal(operation.invocation, "a broadcast needs a message")
        message = identity(operation.invocation.value)
        if operation.outcome == "fail":
            channel.failed.add(message)
        elif message in channel.sent:
            earlier = channel.sent[message].invocation.index + 1
            raise refusal(operation.invocation, f"a message is broadcast once, and this one was by line {earlier}")
        else:
            channel.sent[message] = operation
    return channels


def _shown(read: Operation) -> set[Hashable]:
    assert read.completion is not None
    return {identity(message) for message in read.completion.value}


def _end(operation: Operation) -> int:
    assert operation.completion is not None
    return operation.completion.index


def _missing(channel: Channel) -> list[Missing]:
    """What nodes lack at the end (rule 3)."""
    ends = [(node, max(read.invocation.index for read in reads), reads) for node, reads in channel.ends.items()]
    known = {node: set[Hashable]().union(*map(_shown, reads)) for node, _, reads in ends}
    found = []
    for broadcast in channel.acknowledged:
        message = identity(broadcast.invocation.value)
        asked = [node for node, last, _ in ends if last > _end(broadcast)]
        lacking = [node for node in asked if message not in known[node]]
        if lacking:
            found.append(Missing(broadcast, lacking, len(lacking) == len(asked)))
    return found


def _surplus(channel: Channel) -> list[Surplus]:
    """What reads should not show (rule 5)."""
    found = []
    for read in channel.reads:
        assert read.completion is not None
        once: set[Hashable] = set()
        for message in read.completion.value:
            name = identity(message)
            sent = channel.sent.get(name)
            if name in once:
                found.append(Surplus("duplicated", read, message))
            elif sent is None or sent.invocation.index > read.completion.index:
                found.append(Surplus("phantom" if name in channel.failed else "unexpected", read, message))
            once.add(name)
    return found


def _waits(channel: Channel) -> list[int]:
    """The stable latency of each acknowledged message (rule 7), in nanoseconds."""
    lacking: dict[Hashable, int] = {}
    acknowledged = {identity(each.invocation.value): each for each in channel.acknowledged}
    for read in channel.reads:
        for message in acknowledged.keys() - _shown(read):
            broadcast = acknowledged[message]
            if read.invocation.index > _end(broadcast) and broadcast.completion is not None:
                wait = read.invocation.time - broadcast.completion.time
                lacking[message] = max(lacking.get(message, 0), wait)
    return [lacking.get(message, 0) for message in acknowledged]


def _complaints(evidence: Mapping[str, Any], lagging: int) -> list[str]:
    parts = []
    acknowledged = count(evidence["acknowledged"], "acknowledged message")
    if evidence["lost"]:
        parts.append(f"{evidence['lost']:,} of {acknowledged} lost")
    if lagging:
        parts.append(f"{lagging:,} of {acknowledged} missing from some nodes")
    if evidence["unexpected"]:
        parts.append(f"{count(evidence['unexpected'], 'message')} read that nobody had broadcast")
    if evidence["phantom"]:
        parts.append(f"{count(evidence['phantom'], 'message')} read whose broadcast had failed")
    if evidence["duplicated"]:
        parts.append(f"{count(evidence['duplicated'], 'message')} shown twice by one read")
    return parts


def _doubt(channels: Mapping[Key, Channel], nodes: set[Node], why: str, evidence: Mapping[str, Any]) -> str | None:
    """Why nothing wrong proves nothing (rule 6), or None."""
    if not evidence["acknowledged"]:
        return "no message was acknowledged, so none can be lost"
    for key, channel in channels.items():
        last = max((_end(each) for each in channel.acknowledged), default=-1)
        read = {node for node, reads in channel.ends.items() if any(each.invocation.index > last for each in reads)}
        if last >= 0 and (unread := nodes - read):
            if read:
                names = listing(sorted(str(node) for node in unread))
                return f"{names} had no read of {key_name(key)} after the last acknowledged message"
            return f"no node was read at the end: {why}"
    return None


def _as_data(each: Missing) -> dict[str, Any]:
    return {
        "key": each.broadcast.key,
        "message": each.broadcast.invocation.value,
        "nodes": sorted(str(node) for node in each.nodes),
    }


def _missing_witness(each: Missing) -> Witness:
    assert each.broadcast.completion is not None
    nodes = listing(sorted(str(node) for node in each.nodes))
    where = "any node that was read at the end" if each.everywhere else nodes
    text = (
        f"process {each.broadcast.process} was told at {at(each.broadcast.completion)} that "
        f"{literal(each.broadcast.invocation.value)} was broadcast; at the end it was not to be read from {where}"
    )
    kind = "lost" if each.everywhere else "missing"
    return Witness(text, _events([each.broadcast]), {"kind": kind, **_as_data(each)})


def _witness(each: Surplus) -> Witness:
    assert each.read.completion is not None
    why = {
        "unexpected": "which nobody had begun to broadcast",
        "phantom": "though the broadcast of it had failed",
        "duplicated": "twice",
    }[each.kind]
    text = f"process {each.read.process} read {literal(each.message)} at {at(each.read.completion)}, {why}"
    return Witness(text, _events([each.read]), {"kind": each.kind, "key": each.read.key, "message": each.message})


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
