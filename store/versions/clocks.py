"""Clocks: which of a key's versions a cluster keeps, by its configuration.

1. `clocks=dotted`: a write replaces what its context covers and nothing else (`dotted`).
2. `clocks=server-id`, the paper's vector clocks: a version's clock has one counter a server. A version replaces those
   whose clock its own dominates. A counter without gaps can't say "all but what I did just before". So of two puts with
   one context through one coordinator, the second silently replaces the first.
3. A server's id is its actor of the key (`Replica.actor`). It stays the same for as long as the node holds the key, and
   changes once the node may have forgotten its counter.
4. `conflicts=lww` keeps only the newest version, by stamp. With `lww_clock=hybrid` stamps come from a hybrid logical
   clock (`hlc`), after all that the write has seen. With `lww_clock=wall`, the paper's way, they are the coordinator's
   wall clock, so a write through a coordinator whose clock lags is acknowledged and lost.
5. `clock_limit` bounds the entries of a clock (`truncation`).
6. A put that two coordinators take is one write in every mode (`identities`); with a limit only while it stands.

Dynamo (SOSP 2007), section 4.4.
"""

from __future__ import annotations

from collections import Counter

from splitbrain.store.config import Config
from splitbrain.store.versions import dotted
from splitbrain.store.versions.dotted import (
    NOTHING,
    WALL_NS_MAX,
    Dot,
    Seen,
    VersionSet,
    add,
    dominates,
    latest,
    merge_latest,
    newest_stamp,
)
from splitbrain.store.versions.hlc import DRIFT_MAX_NS, HybridClock
from splitbrain.store.versions.truncation import merged_ages, truncate, written_ages


def gaps_do_no_harm(config: Config) -> bool:
    """Whether a node that holds nothing of a key may count on under an actor that it has used before.

    Not with server ids, where a higher counter replaces. Not with a limit: an actor whose entry was dropped could never
    close its gap.
    """
    return config.clocks == "dotted" and not config.clock_limit


class Clocks:
    """One node's versions, under the cluster's configuration.

    merge(left, right): all that both states know, in one state, under the cluster's rule for conflicts. counters: the
    node's; `stamps_far_ahead` counts stamps that its hybrid clock did not follow.
    """

    def __init__(self, config: Config, counters: Counter[str]) -> None:
        self._server_id = config.clocks == "server-id"
        self._latest_only = config.conflicts == "lww"
        self._limit = config.clock_limit
        self._hybrid = HybridClock() if config.lww_clock == "hybrid" else None
        self._counters = counters
        self._plain = merge_latest if self._latest_only else dotted.merge
        # An attribute and no method: without a limit callers get the plain merge, without one more call.
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
        identity: Dot | None = None,
        writes: Seen = NOTHING,
    ) -> tuple[VersionSet, Seen]:
        """`dotted.write` under the cluster's rules. newest: the newest stamp that the context covers."""
        clock = None
        if self._server_id:
            clock = _vector_clock(context, dot)
            for version in state.versions:
                if version.clock is not None and dominates(clock, version.clock):
                    context = add(context, version.dot)
        if self._latest_only and self._hybrid is None:
            # `merge_latest` takes an identity that is seen and gone for a write that lost by its stamp. By the wall
            # clock, what a context covers may have the later stamp.
            writes = NOTHING
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
            identity=identity,
            writes=writes,
        )
        if self._latest_only:
            # By stamp alone, as on every other replica. One that let the write win because it has seen what it
            # replaces would stay different from the others.
            after = latest(VersionSet(after.seen, (*state.versions, *after.versions), None, after.writes))
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
