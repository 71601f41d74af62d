"""Replica states: what the home replicas of each key show, poll by poll.

1. A home replica shows what its last poll returned (`replica_polls`). If that was not ok, it is silent and shows
   nothing. A node that answers as no home replica is left out.
2. A key differs at a moment if two home replicas then show different versions, or different values of one version.
3. A poll counts at its completion. One that was never completed leaves its node silent from the end of the run on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.replica_polls import Poll

_POINTS = 500  # Enough for any chart; a run may have a hundred thousand polls.


@dataclass
class KeyReplicas:
    """What the home replicas of one key show.

    shown: each node's last poll, if a home replica answered it. silent: nodes whose last poll was not ok.
    differed_ns: the last moment at which they were seen to differ. agreed_ns: the first after it at which they agreed.
    """

    shown: dict[str, Poll] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    differed_ns: int | None = None
    agreed_ns: int | None = None

    def observe(self, poll: Poll) -> None:
        """Take in the next poll."""
        self.shown.pop(poll.node, None)
        self.silent.discard(poll.node)
        completion = poll.operation.completion
        if completion is None or completion.type != "ok":
            self.silent.add(poll.node)
        elif poll.versions is not None:
            self.shown[poll.node] = poll
        if completion is None:
            return  # It was not answered in time: there is no moment at which anything was seen.
        if self.differs:
            self.differed_ns, self.agreed_ns = completion.time, None
        elif self.agreed_ns is None and len(self.shown) > 1:
            self.agreed_ns = completion.time

    @property
    def differs(self) -> bool:
        return len({poll.held for poll in self.shown.values()}) > 1

    @property
    def unclear(self) -> bool:
        """Whether fewer than two replicas show anything, or a node is silent."""
        return len(self.shown) < 2 or bool(self.silent)

    def converged_after_ns(self, start_ns: int) -> int:
        """The last moment at which they were seen to differ, counted from the clock's start."""
        return 0 if self.differed_ns is None else max(0, self.differed_ns - start_ns)


@dataclass
class ReplicaStates:
    """All keys.

    keys: by key, the states in the end. curve: time in ns and number of keys that differ, wherever that changes.
    """

    keys: dict[Key, KeyReplicas] = field(default_factory=dict)
    curve: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, polls: Iterable[Poll]) -> ReplicaStates:
        """Observe polls, in the order of their completions. O(n * replicas of a key)."""
        states = cls()
        differing: set[Key] = set()
        for poll in polls:
            key, completion = poll.operation.key, poll.operation.completion
            replicas = states.keys.setdefault(key, KeyReplicas())
            replicas.observe(poll)
            if completion is None:
                continue
            (differing.add if replicas.differs else differing.discard)(key)
            if not states.curve or states.curve[-1][1] != len(differing):
                states.curve.append((completion.time, len(differing)))
        return states

    def points(self) -> list[tuple[int, int]]:
        """The curve thinned for a chart, its last point included."""
        thinned = self.curve[:: len(self.curve) // _POINTS + 1]
        if self.curve and thinned[-1] != self.curve[-1]:
            thinned.append(self.curve[-1])
        return thinned
