"""The final phase: clients watch the replicas converge, then read everything one last time.

1. A round asks for keys, each through every node, once. It ends when all of its operations were answered or given up.
2. A key has converged after a round in which every operation on it was answered and its home replicas showed the same
   versions. No node may keep a hint for it: the hint's owner may be the only home replica.
3. The first round of polls asks for every key. Those that follow ask only for keys that had not converged, at intervals
   that grow up to `LONGEST_S`: what hinted handoff did not bring at once waits for anti-entropy. Once all have
   converged a last round asks for every key once more, unless the round before did. So none can diverge unseen.
4. A final read that did not succeed is asked again, in the next round.
5. Each part notes its stage in the history when it begins. A workload's own final phase that does not note
   "final-reads" is given that stage before its first operation that is no replica poll: without it, no checker would
   trust its reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.harness.generators import (
    PENDING,
    Context,
    Generator,
    Once,
    Pending,
    Source,
    Step,
    Test,
    cycle,
    lift,
    seconds,
    sequence,
    stage,
    time_limit,
)
from splitbrain.harness.operation import Invocation
from splitbrain.harness.workload import Plan

Item = tuple[str | None, str]
"""A key, None where the operation has none, and the node that is asked."""
FINAL_READS = "final-reads"
READ_ROUNDS = 5
READ_PAUSE_S = 1.0
"""From one round of final reads to the next: a failure detector may need as long to trust a node again."""
ASK_ROUNDS = 9
"""Of what has nothing to converge, at intervals that grow up to `LONGEST_S`: 27 s in all. A system that serves one key
again may still elect who leads another one."""
LONGEST_S = 4.0
"""From one round of polls to the next at most: anti-entropy's interval is the system's own, and not known here."""


def poll_replicas(
    keys: Sequence[str], nodes: Sequence[str], interval_s: float = 0.5, limit_s: float = 100.0
) -> Generator:
    """Rounds of `replica` operations until the replicas have converged, or the time is over.

    interval_s: from the start of the first round to that of the next, in seconds; it doubles up to `LONGEST_S`.
    limit_s: nothing starts later than this, in seconds.
    """
    items = _items(keys, nodes)

    def again(asked: Sequence[Item], answers: Mapping[Item, Any]) -> Sequence[Item]:
        left = {key for key in dict.fromkeys(key for key, _ in asked) if not converged(key, nodes, answers)}
        if left:
            return [item for item in asked if item[0] in left]
        return () if len(asked) == len(items) else items

    longest_ns = max(seconds(interval_s), seconds(LONGEST_S))
    rounds = Rounds(Invocation("replica"), items, again, seconds(interval_s), longest_ns)
    return sequence(stage("convergence"), time_limit(limit_s, rounds))


def final_reads(keys: Sequence[str], nodes: Sequence[str]) -> Generator:
    """A `read` of every key through every node, each tried up to `READ_ROUNDS` times."""
    pause_ns = seconds(READ_PAUSE_S)
    items = _items(keys, nodes)
    reads = Rounds(Invocation("read"), items, _unanswered, pause_ns, pause_ns, rounds_left=READ_ROUNDS - 1)
    return sequence(stage(FINAL_READS), reads)


def converge_then_read(plan: Plan, keys: Sequence[str]) -> Generator:
    """The end of every workload on a versioned store: the replicas converge, then every key is read."""
    return sequence(poll_replicas(keys, plan.nodes), final_reads(keys, plan.nodes))


def ask_every_node(plan: Plan, *invocations: Invocation) -> Generator:
    """The end of a workload that has nothing to converge: each of these through every node, until it is answered `ok`.

    Each is tried up to `ASK_ROUNDS` times.
    """
    pause_ns, longest_ns = seconds(READ_PAUSE_S), seconds(LONGEST_S)
    asked = (
        Rounds(each, [(each.key, node) for node in plan.nodes], _unanswered, pause_ns, longest_ns, ASK_ROUNDS - 1)
        for each in invocations
    )
    return sequence(stage(FINAL_READS), *asked)


def replica_polls(plan: Plan, keys: Sequence[str]) -> Generator:
    """During the load: ask every node for what it holds of every key, again and again."""
    return cycle(sequence(*(Invocation("replica", key=key, node=node) for key in keys for node in plan.nodes)))


def with_final_stage(source: Source) -> Generator:
    """A workload's final phase, with the stage "final-reads" where the workload does not note it (rule 4)."""
    return FinalStage(lift(source))


@dataclass(frozen=True, slots=True)
class FinalStage:
    """See `with_final_stage`."""

    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        if isinstance(offered, Pending) or offered.f in (POLL, "log"):
            return offered, FinalStage(after)
        if offered.f == "stage":
            return offered, after if offered.value == FINAL_READS else FinalStage(after)
        # Not taken yet: it is asked for again, once the stage is noted.
        return replace(stage(FINAL_READS), time_ns=context.time_ns), self.inner

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return FinalStage(self.inner.update(test, context, event))


def converged(key: str | None, nodes: Sequence[str], answers: Mapping[Item, Any]) -> bool:
    """Whether the replicas of a key have converged (rule 2).

    answers: the values of `replica` operations, with `home`, `versions` and `hinted`.
    """
    held = [answers[key, node] for node in nodes if (key, node) in answers]
    if len(held) < len(nodes) or any(answer["hinted"] for answer in held):
        return False
    versions = [answer["versions"] for answer in held if answer["home"]]
    return bool(versions) and all(one == versions[0] for one in versions)


def _unanswered(asked: Sequence[Item], answers: Mapping[Item, Any]) -> Sequence[Item]:
    return [item for item in asked if item not in answers]


def _items(keys: Sequence[str], nodes: Sequence[str]) -> tuple[Item, ...]:
    return tuple((key, node) for key in keys for node in nodes)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of one operation on items.

    asking: the operation, but for its key and node. items: of this round. again: (items, the values of those
    answered ok) -> those of the next round; none ends it. interval_ns: from the start of this round to that of the
    next; it doubles with each, up to longest_ns. rounds_left: how many may follow this one; None for any number.
    began_ns: when this round did. asked: how many of its items were asked so far. opened: those not answered yet.
    """

    asking: Invocation
    items: Sequence[Item]
    again: Callable[[Sequence[Item], Mapping[Item, Any]], Sequence[Item]]
    interval_ns: int
    longest_ns: int
    rounds_left: int | None = None
    began_ns: int | None = None
    asked: int = 0
    opened: frozenset[Item] = frozenset()
    answers: Mapping[Item, Any] = field(default_factory=dict)

    def op(self, test: Test, context: Context) -> Step:
        if self.asked < len(self.items):
            return self._ask(test, context)
        if self.opened:
            return PENDING, self
        items = self.again(self.items, self.answers)
        if not items or self.rounds_left == 0:
            return None
        next_ns = (self.began_ns or 0) + self.interval_ns
        if context.time_ns < next_ns:
            return Pending(next_ns), self
        left = None if self.rounds_left is None else self.rounds_left - 1
        longer_ns = min(2 * self.interval_ns, self.longest_ns)
        return Rounds(self.asking, items, self.again, longer_ns, self.longest_ns, left).op(test, context)

    def _ask(self, test: Test, context: Context) -> Step:
        key, node = item = self.items[self.asked]
        step = Once(replace(self.asking, key=key, node=node)).op(test, context)
        if step is None or isinstance(step[0], Pending):
            return PENDING, self
        began_ns = context.time_ns if self.began_ns is None else self.began_ns
        return step[0], replace(self, began_ns=began_ns, asked=self.asked + 1, opened=self.opened | {item})

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        item = (None if event.key is None else str(event.key), event.node or "")
        if event.f != self.asking.f or event.type == "invoke" or item not in self.opened:
            return self
        answers = {**self.answers, item: event.value} if event.type == "ok" else self.answers
        return replace(self, opened=self.opened - {item}, answers=answers)
