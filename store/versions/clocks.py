"""Clocks: which of a key's versions a cluster keeps, by its configuration.

1. `clocks=dotted`: a write replaces what its context covers and nothing else (`versions`).
2. `clocks=server-id`, the paper's vector clocks: a version's clock has one counter a server, and a version replaces
   those whose clock its own dominates. A counter without gaps cannot say "not what I did just before": of two puts
   with one context through one coordinator, the second silently replaces the first. A server's id is its actor of
   the key (`Replica.actor`): the same for as long as the node holds the key, and another once it may have
   forgotten its counter.
3. `conflicts=lww` keeps only the newest version, by stamp. `lww_clock=hybrid`: stamps of a hybrid logical clock
   (`hlc`), after all that the write has seen. `lww_clock=wall`, the paper's: the coordinator's wall clock as it is,
   so that a write through a coordinator whose clock lags is acknowledged and lost.
4. `clock_limit` bounds the entries of a clock (`truncation`).
5. Dots are given away with forwarded puts (`dots`) only where nothing forbids gaps: not with server ids, nor with a
   limit, under which an actor that was cut off could never close its gap. There every coordinator makes its own, and
   a put that two of them take on may come back as a sibling of its own successors.

Dynamo (SOSP 2007), section 4.4.
"""

from __future__ import annotations

from collections import Counter

from splitbrain.store.config import Config
from splitbrain.store.versions import dotted
from splitbrain.store.versions.dotted import (
    WALL_NS_MAX,
    Dot,
    Seen,
    VersionSet,
    add,
    dominates,
    merge_latest,
    newest_stamp,
)
from splitbrain.store.versions.hlc import DRIFT_MAX_NS, HybridClock
from splitbrain.store.versions.truncation import merged_ages, truncate, written_ages


def gives_dots(config: Config) -> bool:
    """Whether a node that forwards a put gives it its dot."""
    return config.clocks == "dotted" and not config.clock_limit


class Clocks:
    """One node's way with versions.

    merge(left, right): two states in one, all that both know, under the cluster's rule for conflicts.
    counters: of the node; `stamps_far_ahead` counts the stamps that its hybrid clock did not follow.
    """

    def __init__(self, config: Config, counters: Counter[str]) -> None:
        self._server_id = config.clocks == "server-id"
        self._latest_only = config.conflicts == "lww"
        self._limit = config.clock_limit
        self._hybrid = HybridClock() if config.lww_clock == "hybrid" else None
        self._counters = counters
        self._plain = merge_latest if self._latest_only else dotted.merge
        # An attribute and no method: without a limit nothing stands between a caller and the merge itself.
        self.merge = self._merge_truncated if self._limit else self._plain

    def write(
        self,
        state: VersionSet,
        context: Seen,
        newest: int,
        *,
        dot: Dot,
        value: bytes | None,
        request_id: int,
        coordinator: str,
        wall_ns: int,
    ) -> tuple[VersionSet, Seen]:
        """`versions.write` under the cluster's rules. newest: the newest stamp that the context covers."""
        clock = None
        if self._server_id:
            clock = _vector_clock(context, dot)
            for version in state.versions:
                if version.clock is not None and dominates(clock, version.clock):
                    context = add(context, version.dot)
        wall_ns = min(max(wall_ns, 0), WALL_NS_MAX)
        stamp = self._stamp(wall_ns, max(newest, newest_stamp(state)))
        after, covered = dotted.write(
            state,
            context,
            dot=dot,
            value=value,
            request_id=request_id,
            coordinator=coordinator,
            wall_ns=wall_ns,
            ahead_ns=stamp - wall_ns,
            clock=clock,
        )
        if self._latest_only:
            # By date alone, as every other replica will: one that lets the write win because it has seen what it
            # replaces would stay different from them.
            after = merge_latest(state, after)
        if self._limit:
            after = truncate(after, written_ages(state, after, dot, stamp), self._limit)
        return after, covered

    def _stamp(self, wall_ns: int, seen: int) -> int:
        if self._hybrid is None:
            return wall_ns
        if seen > wall_ns + DRIFT_MAX_NS:
            self._counters["stamps_far_ahead"] += 1
        return self._hybrid.stamp(wall_ns, seen)

    def _merge_truncated(self, left: VersionSet, right: VersionSet) -> VersionSet:
        if left == right:
            return left
        return truncate(self._plain(left, right), merged_ages(left, right), self._limit)


def _vector_clock(context: Seen, dot: Dot) -> dict[int, int]:
    """The clock of the context, with the coordinator's counter moved on."""
    clock = dict(context.clock)
    for actor, counter in (*context.cloud, dot):
        clock[actor] = max(counter, clock.get(actor, 0))
    return dict(sorted(clock.items()))
