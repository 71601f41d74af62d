"""Weak models of isolation, each by what a transaction is held to have seen.

1. A history satisfies such a model if its committed transactions have one order, the *commit order*. What a transaction
   read from, and, if sessions count, what its process ran before it, come earlier in that order. So does, of two
   writers of a key, the one whose version is known to be earlier.
2. If a transaction saw one that wrote a key, and read the key from another, then the one it saw comes before the other:
   it would have read the newer. What it saw is
   - `nothing`: read committed. Only rule 1 is left.
   - `earlier reads`: monotonic atomic view. A read saw whom the transaction had read from before that read.
   - `transactions`: read atomic. It saw whom it read from at all, and its session so far, if sessions count.
   - `past`: transactional causal consistency. It saw them, whom they saw, and so on.
3. The order to look for is not part of what was seen. So what must come before what is known in polynomial time, and a
   model is satisfied if and only if that is not circular.
4. A read of what its transaction had overwritten itself (`own-write-unseen`) is none of a version that was committed.
   Models from monotonic atomic view on forbid it.

Biswas and Enea, On the Complexity of Checking Transactional Consistency (OOPSLA 2019), section 2: their axioms. What
they call read committed is monotonic atomic view here, as Bailis and others (Highly Available Transactions, VLDB 2014)
have it: Adya's read committed, which is ours and Elle's, lets a transaction see half of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Seen = Literal["nothing", "earlier reads", "transactions", "past"]


@dataclass(frozen=True)
class Promise:
    """seen: what a transaction is held to have seen. sessions: whether the order of a process counts."""

    seen: Seen
    sessions: bool

    @property
    def anomaly(self) -> str:
        """What breaks it."""
        return BROKEN[self.seen] + ("-process" if self.sessions else "")


BROKEN: Mapping[Seen, str] = {
    "nothing": "G1c",
    "earlier reads": "OTV",
    "transactions": "fractured-reads",
    "past": "causality-violation",
}

PROMISES: Mapping[str, Promise] = {
    "read-committed": Promise("nothing", sessions=False),
    "monotonic-atomic-view": Promise("earlier reads", sessions=False),
    "read-atomic": Promise("transactions", sessions=False),
    "causal-cerone": Promise("past", sessions=False),
    "strong-session-read-committed": Promise("nothing", sessions=True),
    "strong-session-monotonic-atomic-view": Promise("earlier reads", sessions=True),
    "strong-session-read-atomic": Promise("transactions", sessions=True),
    "causal": Promise("past", sessions=True),
}
"""The models that are decided, weakest first."""


def weaker(promise: Promise) -> list[Promise]:
    """The promises that it includes, itself last, those without sessions first."""
    steps = list(BROKEN)
    upto = steps[: steps.index(promise.seen) + 1]
    return [Promise(seen, sessions) for sessions in sorted({False, promise.sessions}) for seen in upto]
