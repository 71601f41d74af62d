"""Evidence: was this test meaningful at all?

1. A test that reached the stage "not-recovered" is invalid: the system did not serve again after the last
   heal.
2. Otherwise it is unknown, and each reason is named, if
   a. fewer than `min_operations` client operations were `ok` (replica polls are none);
   b. an action of the nemesis had no effect: it failed, or what was seen afterwards says so;
   c. a fault that was asked for (`faults`) was never started, or nothing shows that it took effect;
   d. a fault that was asked for struck no client operation (`checkers.faults`) at any time that it took
      effect;
   e. the history has stages, and a node that occurs in it has no final read (`checkers.final_reads`) through
      it;
   f. the history's last line was cut off.
3. Otherwise valid. As part of several verdicts it works as any other: unknown here makes the whole unknown,
   unless something is invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from checkers.faults import Span, actions, stages
from checkers.faults import faults as all_faults
from checkers.final_reads import FinalReads
from checkers.history import History
from checkers.prose import count, listing, seconds
from checkers.replicas import client_operations
from checkers.verdict import Verdict, Witness


def check(
    history: History,
    *,
    faults: tuple[str, ...] = (),
    min_operations: Annotated[int, Meta(ge=1)] = 10,
) -> Verdict:
    """Judge whether the history can tell anything.

    faults: families that the test was to have, such as "partition". min_operations: so many must be ok at
    least.
    Evidence: `operations`, `ok`, `fail`, `info`, `keys`; `nodes`, `nodes_read_at_the_end`; `recovered` (None
    without stages); `faults` {family: {started, effective, struck}}; `ineffective` [action and what was
    seen]. O(n * faults).
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
    keys = len({operation.key for operation in operations})
    evidence: dict[str, Any] = {
        "operations": len(operations),
        "ok": outcomes["ok"],
        "fail": outcomes["fail"],
        "info": outcomes["info"],
        "keys": keys,
        "nodes": nodes,
        "nodes_read_at_the_end": read,
        "recovered": ("not-recovered" not in reached and "recovered" in reached) if reached else None,
        "faults": seen,
        "ineffective": ineffective,
    }
    if "not-recovered" in reached:
        return Verdict.invalid("the system did not recover after the last heal", _no_recovery(history), **evidence)
    doubts = []
    if outcomes["ok"] < min_operations:
        doubts.append(f"only {count(outcomes['ok'], 'operation')} were ok, and {min_operations:,} are needed")
    if ineffective:
        doubts.append(f"a fault had no effect: {listing(ineffective, limit=2)}")
    doubts += [doubt for family in faults if (doubt := _doubt(family, seen.get(family)))]
    unread = sorted(set(nodes) - set(read))
    if reached and not read:
        doubts.append(f"no node was read at the end: {FinalReads.of(history).missing}")
    elif reached and unread:
        doubts.append(f"{listing(unread)} had no final read")
    if history.truncated:
        doubts.append("the history's last line is cut off: the run was killed")
    if doubts:
        return Verdict.unknown("; ".join(doubts), **evidence)
    told = [f"{count(len(operations), 'operation')} on {count(keys, 'key')}"]
    for family, figures in seen.items():
        times = "once" if figures["effective"] == 1 else f"{figures['effective']:,} times"
        told.append(f"{family} took effect {times} and overlapped {count(figures['struck'], 'operation')}")
    if reached:
        told.append(f"{len(read)} of {count(len(nodes), 'node')} read at the end")
    return Verdict.valid("; ".join(told), **evidence)


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
