"""Evidence: was this test meaningful at all?

1. A test is invalid if
   a. it reached the stage "not-recovered": the system did not serve again after the last heal;
   b. a process died by itself, as the nemesis found when it ended a fault;
   c. no write was `ok` any more once the first fault had ended, though some had been before, and at least
      10 were tried and answered between the last heal and the stage "recovery". (Not if a fault still stood,
      the last heal had no effect or the environment was lost; then, and if fewer were tried, that is a doubt as
      below.)
2. Otherwise it is unknown, and each reason is named, if
   a. fewer than `min_operations` of the client operations invoked before the stage "recovery" were `ok`
      (replica polls are none; without that stage all count), or writes were tried then and none was `ok`;
   b. an action of the nemesis had no effect: it failed, or what was seen afterwards says so; or a fault was
      found gone before it was ended;
   c. a fault that was asked for (`faults`) was never started, or nothing shows that it took effect;
   d. a fault that was asked for struck no client operation (`faults`) at any time that it took
      effect;
   e. the history has stages, and a key that was read after "final-reads" has no final read
      (`final_reads`) through one of the nodes that occur in the history;
   f. the history's last line was cut off;
   g. the environment was lost (the stage "environment-lost").
3. Otherwise valid. As part of several verdicts it works as any other: unknown here makes the whole unknown,
   unless something is invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.histories.faults import LOST, Action, Span, actions, stages
from splitbrain.checkers.histories.faults import faults as all_faults
from splitbrain.checkers.histories.final_reads import WRITES, FinalReads, Key, node_of
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import count, key_name, listing, seconds
from splitbrain.checkers.histories.replica_polls import client_operations
from splitbrain.checkers.service.stall import Stall
from splitbrain.checkers.verdict import Verdict, Witness


def check(
    history: History,
    *,
    faults: tuple[str, ...] = (),
    min_operations: Annotated[int, Meta(ge=1)] = 10,
) -> Verdict:
    """Judge whether the history can tell anything.

    faults: families that the test was to have, such as "partition". min_operations: so many must be ok at
    least before the recovery.
    Evidence: `operations`, `ok`, `fail`, `info`, `keys`; `ok_before_recovery`; `nodes`,
    `nodes_read_at_the_end`; `recovered` (None without stages); `faults` {family: {started, effective, struck}};
    `ineffective` [action and what was seen]; `gone` [fault that was gone before its end]; `died` [node].
    O(n * faults + keys * nodes).
    """
    operations = client_operations(history)
    outcomes = Counter(operation.outcome for operation in operations)
    reached = stages(history)
    nodes, read = _nodes(history)
    ineffective = [
        f"{action.invocation.f} at {seconds(action.invocation.time)}: {action.detail}"
        for action in actions(history)
        if action.effective is False
    ]
    seen = _faults_seen(history)
    gone = [
        f"{fault.label} started at {seconds(fault.start.invocation.time)} was gone before it was healed"
        for fault in all_faults(history)
        if fault.stop is not None and fault.stop.gone_before
    ]
    deaths = [action for action in actions(history) if action.phase == "stop" and action.died]
    died = sorted(frozenset[str]().union(*(action.died for action in deaths)))
    load = _before_recovery(history, operations)
    enough = sum(operation.outcome == "ok" for operation in load)
    keys = len({operation.key for operation in operations})
    evidence: dict[str, Any] = {
        "operations": len(operations),
        "ok": outcomes["ok"],
        "fail": outcomes["fail"],
        "info": outcomes["info"],
        "keys": keys,
        "ok_before_recovery": enough,
        "nodes": nodes,
        "nodes_read_at_the_end": read,
        "recovered": ("not-recovered" not in reached and "recovered" in reached) if reached else None,
        "faults": seen,
        "ineffective": ineffective,
        "gone": gone,
        "died": died,
    }
    stalled = Stall.of(history, load)
    complaints: dict[str, Witness] = {}
    if "not-recovered" in reached:
        complaints["the system did not recover after the last heal"] = _no_recovery(history)
    if died:
        told = "itself; see its log" if len(died) == 1 else "themselves; see their logs"
        complaints[f"{listing(died)} died by {told}"] = _death(deaths)
    if stalled is not None and stalled.certain:
        complaints["no write succeeded any more after the first fault"] = stalled.witness()
    if complaints:
        return Verdict.invalid("; ".join(complaints), next(iter(complaints.values())), **evidence)
    doubts = []
    if enough < min_operations:
        were = "was" if enough == 1 else "were"
        doubts.append(f"only {count(enough, 'operation')} {were} ok, and {min_operations:,} are needed")
    writes = [operation for operation in load if operation.f in WRITES]
    if writes and all(write.outcome != "ok" for write in writes):
        doubts.append(f"none of {count(len(writes), 'write')} was ok")
    if stalled is not None:
        doubts.append(
            f"no write succeeded any more after the first fault; {len(stalled.late):,} were tried after the last heal"
        )
    if ineffective:
        doubts.append(f"a fault had no effect: {listing(ineffective, limit=2)}")
    doubts += gone
    doubts += [doubt for family in faults if (doubt := _doubt(family, seen.get(family)))]
    unread = sorted(set(nodes) - set(read))
    if reached and not read:
        doubts.append(f"no node was read at the end: {FinalReads.of(history).missing}")
    elif reached and unread:
        doubts.append(f"{listing(unread)} had no final read")
    if reached and read and (apart := _keys_unread(history, read)):
        key, node = apart[0]
        others = f", nor {len(apart) - 1:,} more pairs of key and node" if len(apart) > 1 else ""
        doubts.append(f"{key_name(key)} had no final read through {node}{others}")
    if LOST in reached:
        doubts.append("the environment was lost before the run was over")
    if history.truncated:
        doubts.append("the history's last line is cut off: the run was killed")
    if doubts:
        return Verdict.unknown("; ".join(doubts), **evidence)
    summary = [f"{count(len(operations), 'operation')} on {count(keys, 'key')}"]
    for family, figures in seen.items():
        times = "once" if figures["effective"] == 1 else f"{figures['effective']:,} times"
        summary.append(f"{family} took effect {times} and overlapped {count(figures['struck'], 'operation')}")
    if reached:
        summary.append(f"{len(read)} of {count(len(nodes), 'node')} read at the end")
    return Verdict.valid("; ".join(summary), **evidence)


def _before_recovery(history: History, operations: Sequence[Operation]) -> list[Operation]:
    recovery = stages(history).get("recovery")
    last = recovery.index if recovery else len(history.events)
    return [operation for operation in operations if operation.invocation.index < last]


def _keys_unread(history: History, nodes: Sequence[str]) -> list[tuple[Key, str]]:
    """Keys asked for in the end, and those of the nodes through which there was no final read of them."""
    begun = stages(history).get("final-reads")
    if begun is None:
        return []
    asked = [o.key for o in history.operations if o.f == "read" and o.invocation.index > begun.index]
    final = FinalReads.of(history).by_key
    through = {(key, node_of(read)) for key, reads in final.items() for read in reads}
    return [(key, node) for key in dict.fromkeys(asked) for node in nodes if (key, node) not in through]


def _death(deaths: Sequence[Action]) -> Witness:
    told = [
        f"{listing(sorted(action.died))} was found dead at {seconds(action.invocation.time)}, and nobody had killed it"
        for action in deaths
    ]
    events = {event.index for a in deaths for event in (a.invocation, a.completion) if event}
    data = {"kind": "died", "nodes": sorted(frozenset[str]().union(*(action.died for action in deaths)))}
    return Witness("; ".join(told), tuple(sorted(events)), data)


def _nodes(history: History) -> tuple[list[str], list[str]]:
    """Nodes that clients used or polled or faults named, and those through which there was a final read."""
    nodes = {event.node for event in history.events if event.node is not None}
    for action in actions(history):
        nodes |= action.nodes
    final = FinalReads.of(history).by_key
    read = {
        event.node
        for reads in final.values()
        for operation in reads
        for event in (operation.invocation, operation.completion)
        if event is not None and event.node is not None
    }
    return sorted(nodes), sorted(read)


def _faults_seen(history: History) -> dict[str, dict[str, int]]:
    """By family: how often started, how often with effect, and how many operations were struck while it had
    one.
    """
    found = all_faults(history)
    span = Span.of(client_operations(history))
    families = sorted({fault.family for fault in found})
    return {
        family: {
            "started": sum(fault.family == family for fault in found),
            "effective": sum(fault.family == family and fault.start.effective is True for fault in found),
            "struck": int(
                span.struck_by_any(
                    fault for fault in found if fault.family == family and fault.start.effective is True
                ).sum()
            ),
        }
        for family in families
    }


def _doubt(family: str, figures: Mapping[str, int] | None) -> str | None:
    match figures:
        case None:
            return f"{family} was asked for and never started"
        case {"effective": 0}:
            return f"nothing shows that {family} took effect"
        case {"struck": 0}:
            return f"{family} overlapped no operation"
        case _:
            return None


def _no_recovery(history: History) -> Witness:
    reached = stages(history)
    given_up = reached["not-recovered"]
    heal = reached.get("recovery")
    since = f"healed by {seconds(heal.time)}, " if heal else ""
    text = f"all faults were {since}and at {seconds(given_up.time)} the system still did not answer"
    events = tuple(sorted(event.index for event in (heal, given_up) if event))
    return Witness(text, events, {"kind": "no recovery"})
