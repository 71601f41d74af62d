"""Read repair: what a get learnt brings stale replicas up to date.

1. It pushes the *merged* state, never one version of it: one version would destroy its siblings.
2. Only primary replicas are repaired. What a fallback holds goes to its owner by hinted handoff.
3. One get pushes one state to a replica at most once.
4. Unless the client waits for it (`blocking`), a repair is background work. If too much of that waits already, the
   repair is left to the next get, or to anti-entropy.

Dynamo (SOSP 2007), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from splitbrain.store.defects import ONE_WINNER_REPAIR
from splitbrain.store.parts import Core
from splitbrain.store.storage.replica import DATA
from splitbrain.store.versions.dotted import EMPTY, VersionSet, latest
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Write, Written


class ReadRepair:
    """The repairs of one get."""

    def __init__(self, core: Core, key: bytes) -> None:
        self._core = core
        self._key = key
        self._pushed: dict[str, VersionSet] = {}

    def push(
        self, primaries: Iterable[str], states: Mapping[str, VersionSet | None], on_held: Callable[[set[str]], None]
    ) -> None:
        """Bring the primary replicas that answered up to date.

        states: what each node answered. on_held: called, whenever the set grows, with the nodes that hold the merged
        state.
        """
        state = self._core.replica.combine(states.values())
        holders = {node for node, known in states.items() if (known or EMPTY) == state}
        if self._core.config.defect == ONE_WINNER_REPAIR:
            state = latest(state)

        def held(node: str) -> None:
            holders.add(node)
            on_held(holders)

        for primary in primaries:
            if primary in states and primary not in holders and self._pushed.get(primary) != state:
                self._pushed[primary] = state
                if self._core.config.read_repair == "blocking":
                    self._write(primary, state, held)
                elif not self._core.background.spare(partial(self._write, primary, state, held)):
                    self._core.counters["read_repairs_left"] += 1
        on_held(holders)

    def _write(self, primary: str, state: VersionSet, held: Callable[[str], None]) -> None:
        core = self._core
        core.counters["read_repairs"] += 1
        if primary == core.name:
            core.replica.merge(DATA, self._key, state, lambda: held(primary))
            return

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Written):
                held(primary)

        core.ask(primary, Write(self._key, state), core.now + core.config.request_timeout_s, answered)
