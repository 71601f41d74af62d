"""Stand-ins: reads through nodes that are no home replica of the key.

1. Such a node has nothing of the key. It asks the home replicas, or answers for them while it suspects them all: right
   after a cut has healed that is wrong, and the first read through it shows whether it knows.
2. Which nodes are homes of a key is learnt from replica polls, on the way. Every other read of a home is sent to a node
   that is none, where there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.harness.generators import Context, Generator, Step, Test
from splitbrain.harness.operation import Invocation


@dataclass(frozen=True, slots=True)
class ThroughStandIns:
    """A source of which some reads go to stand-ins (rule 2).

    keys: whose reads. nodes: all of them. polled: by key, what a poll said of each node: whether it is a home. reads:
    how many reads of a home there were.
    """

    inner: Generator
    keys: Collection[str]
    nodes: tuple[str, ...]
    polled: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    reads: int = 0

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        reads = self.reads
        if isinstance(offered, Invocation) and offered.f == "read" and offered.key in self.keys:
            polled = self.polled.get(offered.key, {})
            others = [node for node in self.nodes if polled.get(node) is False]
            if others and polled.get(offered.node or "") is True:
                reads += 1
                if reads % 2:
                    offered = replace(offered, node=others[reads // 2 % len(others)])
        return offered, replace(self, inner=after, reads=reads)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        if event.f == POLL and event.type == "ok" and event.key in self.keys and event.node:
            known = self.polled.get(event.key, {})
            if known.get(event.node) != event.value["home"]:
                polled = {**self.polled, event.key: {**known, event.node: event.value["home"]}}
                return replace(self, inner=inner, polled=polled)
        return self if inner is self.inner else replace(self, inner=inner)
