"""The new version: what a put makes of the key's state on its coordinator.

1. A coordinator that has a version by the same request id makes no second one, and spends the dot that it was given.
2. A version's dot is new: the one that the forwarding node gave, or the next of this node's actor for the key.
3. A fallback takes a fresh actor each time. It forgets its hints, and the dots in them, once they are handed off.

Dynamo (SOSP 2007), section 4.4; dotted version vectors (Preguica et al., 2010).
"""

from __future__ import annotations

from typing import NamedTuple

from splitbrain.store.config import VALUE_BYTES_MAX
from splitbrain.store.defects import BLIND_PUT_REPLACES, DELETE_TAKES_SIBLINGS, PUT_COVERS_ALL
from splitbrain.store.parts import Core
from splitbrain.store.storage.replica import ABSENT, Entry
from splitbrain.store.versions.context import Context
from splitbrain.store.versions.dotted import COUNTER_MAX, NOTHING, Dot, Seen, VersionSet, add, next_dot

STATE_BYTES_MAX = 16 * VALUE_BYTES_MAX
"""All siblings of a key together: half of what reassembly takes."""
VERSION_BYTES = 128
"""What a version costs beside its value, at most: a million empty siblings are no small state."""


class NewVersion(NamedTuple):
    """entry: what to store. covered: what the put's context covers afterwards, the new version included."""

    entry: Entry
    covered: Seen

    @property
    def refusal(self) -> str | None:
        """Why it can't be stored: its siblings are too large together. None: it can."""
        if sum(VERSION_BYTES + len(v.value or b"") for v in self.entry.state.versions) <= STATE_BYTES_MAX:
            return None
        return f"the siblings of this key exceed {STATE_BYTES_MAX} bytes; merge them"


def new_version(
    core: Core, before: Entry, context: Context, value: bytes | None, request_id: int, dot: Dot | None
) -> NewVersion:
    """The state after the put.

    before: what this node holds of the key. value: None deletes. dot: from the node that forwarded the put, if one did.
    """
    state, covered, actor = before.state, context.seen, before.actor
    known = next((version for version in state.versions if version.request_id == request_id), None)
    if known is not None:
        # Left unused, the dot would be a gap in its actor's dots, and no later dot could be summed up.
        spent = state if dot is None else VersionSet(add(state.seen, dot), state.versions)
        return NewVersion(Entry(actor, spent), add(covered, known.dot))
    if core.config.defect == BLIND_PUT_REPLACES and covered == NOTHING:
        covered = state.seen
    if core.config.defect == DELETE_TAKES_SIBLINGS and value is None:
        covered = state.seen
    if dot is None:
        actor = core.replica.actor(before)
        dot = next_dot(state, covered, actor)
        if dot[1] > COUNTER_MAX:  # Some peer made up a dot of ours. What comes after it could not be read again.
            actor = core.replica.actor(ABSENT)
            dot = next_dot(state, covered, actor)
    after, covered = core.replica.clocks.write(
        state,
        covered,
        context.newest_ns,
        dot=dot,
        value=value,
        request_id=request_id,
        coordinator=core.name,
        wall_ns=core.present.now.wall_ns,
    )
    if core.config.defect == PUT_COVERS_ALL:
        covered = after.seen
    return NewVersion(Entry(actor, after), covered)
