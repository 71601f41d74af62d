"""Divergence: when the replicas of a key disagreed for longer than a write takes to reach them.

1. Replicas are asked one after the other, in *rounds*. A key that is being written changes during a round, so two lists
   that differ in one round are no news: they are *in motion*.
2. Replicas *diverged* in a round if one of them held a version that another one lacked, and both still did in the round
   before or after it. Of a key at rest, to which no write was under way since the round before, one round tells.
3. A round counts home replicas only. Fewer than two of them say nothing, and a silence within ends a round.
4. Between two rounds nobody looked. What is drawn reaches from the begin of a round to its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import POLL, polls

KEYS_DRAWN = 40
SPANS_DRAWN = 400
SILENCE_NS = 1_000_000_000
"""A round that is not over by then is not one look."""
USUAL = 1.5
"""A silence at most this many times as long as the median one is no gap, if it is not longer than LONGEST_S."""
LONGEST_S = 5.0
READS = frozenset({"read", "get", POLL})
State = Literal["agreed", "in motion", "diverged"]
STATES: tuple[State, ...] = ("agreed", "in motion", "diverged")
Version = str | int


@dataclass
class Round:
    """One look at a key on its replicas. lists: node -> its versions, home replicas only."""

    began_ns: int
    ended_ns: int
    lists: dict[str, tuple[Version, ...]]
    state: State = "agreed"

    @property
    def distinct(self) -> int:
        """How many different lists there were."""
        return len(set(self.lists.values()))


@dataclass(frozen=True, slots=True)
class Span:
    """One round, or as many as a slice of time holds. from_ns, to_ns: from the begin of the first to the end of the
    last.
    """

    from_ns: int
    to_ns: int
    state: State
    distinct: int
    answered: int
    rounds: int


def rounds(history: History) -> dict[str, list[Round]]:
    """The rounds by key, in order of time. O(n log n)."""
    try:
        found = polls(history)
    except HistoryError:
        # A checker says what is wrong with it; the report goes on without.
        return {}
    by_key: dict[str, list[Round]] = defaultdict(list)
    for poll in found:
        done = poll.operation.completion
        if poll.versions is None or done is None:
            continue
        asked_ns = poll.operation.invocation.time
        of_key = by_key[str(done.key)]
        if not of_key or poll.node in of_key[-1].lists or asked_ns - of_key[-1].ended_ns > SILENCE_NS:
            of_key.append(Round(asked_ns, done.time, {}))
        look = of_key[-1]
        look.lists[poll.node] = poll.versions
        look.began_ns, look.ended_ns = min(look.began_ns, asked_ns), max(look.ended_ns, done.time)
    kept = {key: [look for look in looks if len(look.lists) > 1] for key, looks in by_key.items()}
    written = _writes(history, kept)
    for key, looks in kept.items():
        _judge(looks, written.get(key, ()))
    return kept


def _writes(history: History, wanted: Mapping[str, object]) -> dict[str, list[tuple[int, int | None]]]:
    """When each wanted key was written: invocation, and completion if there was one."""
    found: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for operation in history.operations:
        key = str(operation.key)
        if operation.f not in READS and operation.outcome != "fail" and key in wanted:
            done = operation.completion
            # After `info` a write may still take effect at any time.
            over = done.time if done is not None and done.type == "ok" else None
            found[key].append((operation.invocation.time, over))
    return found


def _judge(looks: Sequence[Round], written: Sequence[tuple[int, int | None]]) -> None:
    """Rule 2."""
    stayed = [False] * len(looks)
    for at, (before, after) in enumerate(pairwise(looks)):
        if before.distinct > 1 and after.distinct > 1 and _stayed(before, after):
            stayed[at] = stayed[at + 1] = True
    for at, look in enumerate(looks):
        if look.distinct > 1:
            since = looks[at - 1].began_ns if at else look.began_ns - SILENCE_NS
            resting = not any(
                begun <= look.ended_ns and ((over is None and begun >= since) or (over is not None and over >= since))
                for begun, over in written
            )
            look.state = "diverged" if stayed[at] or resting else "in motion"


def _stayed(before: Round, after: Round) -> bool:
    both = before.lists.keys() & after.lists.keys()
    held = {node: set(before.lists[node]) & set(after.lists[node]) for node in both}
    seen = {node: set(before.lists[node]) | set(after.lists[node]) for node in both}
    return any(held[one] - seen[other] for one in both for other in both)


def spans(looks: Sequence[Round]) -> list[Span]:
    """Each round; of more than SPANS_DRAWN, slices of time, each with the worst that was seen in it. O(n)."""
    found = [
        Span(look.began_ns, look.ended_ns, look.state, look.distinct, len(look.lists), 1)
        for look in sorted(looks, key=lambda look: look.began_ns)
    ]
    return found if len(found) <= SPANS_DRAWN else _cells(found)


def _cells(found: Sequence[Span]) -> list[Span]:
    first = found[0].from_ns
    width = (found[-1].to_ns - first) // SPANS_DRAWN + 1
    cells: dict[int, list[Span]] = defaultdict(list)
    for span in found:
        cells[(span.from_ns - first) // width].append(span)
    return [
        Span(
            members[0].from_ns,
            members[-1].to_ns,
            max((span.state for span in members), key=STATES.index),
            max(span.distinct for span in members),
            min(span.answered for span in members),
            sum(span.rounds for span in members),
        )
        for _, members in sorted(cells.items())
    ]


def usual_silence_s(by_key: Iterable[Sequence[Round]]) -> float:
    """The longest time between two rounds of a key that is no gap."""
    silences = sorted(max(b.began_ns - a.ended_ns, 0) for looks in by_key for a, b in pairwise(looks))
    return min(USUAL * silences[len(silences) // 2] / 1e9, LONGEST_S) if silences else 0.0


def divergence(by_key: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    """{"keys": [...], "spans": [[[from s, to s, state, distinct, answered, rounds], ...] a key], "usual": the longest
    silence that is no gap, in s, "left_out": keys not drawn}. state: an index into STATES.

    The keys that disagree last, then longest, come first.
    """
    looks = {key: found for key, found in by_key.items() if found}

    def trouble(key: str) -> tuple[bool, int, str]:
        return (looks[key][-1].state != "diverged", -sum(look.state == "diverged" for look in looks[key]), key)

    ranked = sorted(looks, key=trouble)
    drawn = ranked[:KEYS_DRAWN]
    return {
        "keys": drawn,
        "spans": [
            [
                [
                    round(s.from_ns / 1e9, 4),
                    round(s.to_ns / 1e9, 4),
                    STATES.index(s.state),
                    s.distinct,
                    s.answered,
                    s.rounds,
                ]
                for s in spans(looks[key])
            ]
            for key in drawn
        ],
        "usual": usual_silence_s(looks.values()),
        "left_out": len(ranked) - len(drawn),
    }
