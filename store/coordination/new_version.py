"""The new version: what a put makes of the key's state on its coordinator.

1. A coordinator that knows the write already, by its identity or its request id, makes no second version of it.
2. A version's dot is new: the next of this node's actor for the key.
3. A fallback forgets its hints, and the dots in them, once they are handed off. It counts on in memory
   (`Replica.dots`), so that the clock does not grow with every put, or takes a fresh actor each time where gaps would
   do harm (`clocks`).

Dynamo (SOSP 2007), section 4.4; dotted version vectors (Preguica et al., 2010).
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from splitbrain.store.config import VALUE_BYTES_MAX
from splitbrain.store.coordination.request import Admitted
from splitbrain.store.defects import BLIND_PUT_REPLACES, DELETE_TAKES_SIBLINGS, PUT_COVERS_ALL
from splitbrain.store.parts import Core
from splitbrain.store.storage.replica import ABSENT, Entry
from splitbrain.store.versions.clocks import gaps_do_no_harm
from splitbrain.store.versions.dotted import COUNTER_MAX, NOTHING, Seen, add, knows, next_dot
from splitbrain.store.wire.client_messages import Put

STATE_BYTES_MAX = 16 * VALUE_BYTES_MAX
"""All siblings of a key together: half of what reassembly takes."""
VERSION_BYTES = 128
"""What a version costs beside its value, at most: a million empty siblings are no small state."""


class NewVersion(NamedTuple):
    """entry: what to store. covered, writes: the dots and identities that the put's context covers, and its own."""

    entry: Entry
    covered: Seen
    writes: Seen

    @property
    def refusal(self) -> str | None:
        """Why it can't be stored: its siblings are too large together. None: it can."""
        if sum(VERSION_BYTES + len(v.value or b"") for v in self.entry.state.versions) <= STATE_BYTES_MAX:
            return None
        return f"the siblings of this key exceed {STATE_BYTES_MAX} bytes; merge them"


def new_version(core: Core, before: Entry, admitted: Admitted, *, stands_in: bool) -> NewVersion:
    """The state after the put. before: what this node holds of the key. stands_in: it is a fallback."""
    put, context = admitted.message, admitted.context
    assert isinstance(put, Put)
    key, value, identity, request_id = put.key, put.value, put.identity, admitted.request_id
    state, covered = before.state, context.seen
    writes = context.writes if identity is None else add(context.writes, identity)
    known = next((v for v in state.versions if v.request_id == request_id or v.identity == identity is not None), None)
    if known is not None:
        return NewVersion(before, add(covered, known.dot), writes)
    if knows(state, identity):
        return NewVersion(before, covered, writes)
    if core.config.defect == BLIND_PUT_REPLACES and covered == NOTHING:
        covered, context = state.seen, replace(context, writes=state.writes)
    if core.config.defect == DELETE_TAKES_SIBLINGS and value is None:
        covered, context = state.seen, replace(context, writes=state.writes)
    counts_on = stands_in and gaps_do_no_harm(core.config)
    if counts_on:
        actor, dot = before.actor, core.replica.dots.give(key)
    else:
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
        identity=identity,
        writes=context.writes,
    )
    if core.config.defect == PUT_COVERS_ALL:
        covered, writes = after.seen, after.writes
    made = NewVersion(Entry(actor, after), covered, writes)
    if counts_on and made.refusal is not None:
        core.replica.dots.failed(key, dot)
    return made
