"""Admission: joins and leaves that an operator asks of any member.

1. Nothing changes before it is known to be possible. A node that is to join must be running. It has answered at its
   address, under its name, and is configured as the cluster is. Otherwise a mistyped address would take over keys.
2. The operator gets an answer once the change is durable here. The change spreads by gossip, first to the node that it
   is about.
3. To ask again for what is the case already does nothing.

Dynamo (SOSP 2007), section 4.8.1.
"""

from __future__ import annotations

from functools import partial

from splitbrain.store.actions import host_port
from splitbrain.store.config import ConfigError, Member
from splitbrain.store.errors import StoreError
from splitbrain.store.gossip.gossip import Gossip
from splitbrain.store.parts import Core
from splitbrain.store.wire.client_messages import Changed, Failed, Join, Leave
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Told
from splitbrain.store.wire.taken import Incoming

ANSWER_S = 1.5
"""How long a joining node may take to answer: less than a client waits before it asks another member
(`client_core.FAILOVER_S`).
"""


class Admission:
    """A member's handling of joins and leaves."""

    def __init__(self, core: Core, gossip: Gossip) -> None:
        self._core = core
        self._gossip = gossip

    def take(self, incoming: Incoming, request: Join | Leave) -> None:
        """Answer a request with Changed, or with Failed and the reason."""
        refusal = self._core.membership.refusal
        if refusal is not None:
            self._core.rpc.answer(incoming, Failed("not_member", refusal))
            return
        try:
            match request:
                case Join():
                    self._look_at(incoming, Member(request.name, request.address, request.zone, request.capacity))
                case Leave():
                    wall_ns = self._core.present.now.wall_ns
                    done = partial(self._done, incoming, None if request.gone else request.name)
                    self._core.membership.leave(request.name, wall_ns, done, gone=request.gone)
        except (StoreError, ConfigError) as refusal_:
            self._core.rpc.answer(incoming, _failed(refusal_))

    def _look_at(self, incoming: Incoming, member: Member) -> None:
        """Have the member join, if it answers."""
        core = self._core
        if core.membership.has(member):
            self._done(incoming, None)
            return
        node = f"{member.name} at {host_port(member.address)}"

        def answered(reply: Reply | None) -> None:
            match reply:
                case Told() if reply.name == member.name:
                    try:
                        done = partial(self._done, incoming, member.name)
                        core.membership.join(member, core.present.now.wall_ns, done)
                    except StoreError as refusal:
                        core.rpc.answer(incoming, _failed(refusal))
                    return
                case Told():
                    text = f"the node there is {reply.name!r}; give that name, or another address"
                case Failed():
                    text = f"it refuses: {reply.message}"
                case _:
                    says = core.rpc.says(member.address)
                    text = f"it does not answer; {says or 'start it first, with the address of a member as --seed'}"
            core.rpc.answer(incoming, Failed("bad_request", f"{node} can't join: {text}"))

        self._gossip.greet(member.address, core.now + ANSWER_S, answered)

    def _done(self, incoming: Incoming, concerned: str | None) -> None:
        core = self._core
        core.rpc.answer(incoming, Changed(core.membership.view))
        if concerned is not None and concerned != core.name:
            self._gossip.tell(concerned)


def _failed(problem: StoreError | ConfigError) -> Failed:
    return Failed(problem.code if isinstance(problem, StoreError) else "bad_request", str(problem))
