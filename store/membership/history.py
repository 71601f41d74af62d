"""The history of a cluster's membership: how changes fold into a ring.

1. The result is a function of the set of changes. In what order they were learnt, and how often, makes no difference.
   They are folded in the order of their Lamport stamps.
2. An impossible change is skipped when the fold comes to it: a name or an address that is taken, or a leave that would
   leave fewer than N members. So a ring of fewer than N never exists.

Dynamo (SOSP 2007), section 4.8.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from operator import itemgetter

import msgspec

from splitbrain.store.actions import Address, host_port
from splitbrain.store.config import Config, Member
from splitbrain.store.ring.ring import Ring
from splitbrain.store.wire.changes import Change, Kind


class Standing(StrEnum):
    """The standing of a node in the history. LEAVING: no member any more, but still handing over data."""

    MEMBER = "member"
    LEAVING = "leaving"
    GONE = "gone"


Nodes = dict[str, tuple[Member, Standing]]
OnPass = Callable[[Change, str], None]
"""Called with a change that is skipped, and the reason."""


def fold(
    changes: Iterable[Change], config: Config, on_pass: OnPass = lambda change, reason: None
) -> tuple[Ring, Nodes]:
    """Fold a history into the ring, and every node that it names with its standing. O(changes * partitions).

    The result is a function of the set: in what order the changes are given, and how often, makes no difference.
    """
    ordered = sorted(changes, key=order)
    nodes: Nodes = {}
    taken: dict[Address, str] = {}
    first = [(change.member, change) for change in ordered if change.kind is Kind.START]
    for member, change in sorted(first, key=itemgetter(0)):
        objection = objection_to(member, nodes, taken)
        if objection is None:
            nodes[member.name] = (member, Standing.MEMBER)
            taken[member.address] = member.name
        else:
            on_pass(change, objection)
    if len(nodes) < config.n:
        return Ring((), config), nodes
    ring = Ring((member for member, _ in nodes.values()), config)
    return resume(ordered, ring, nodes, on_pass)


def order(change: Change) -> tuple[object, ...]:
    """The sort key of changes."""
    # The stamp first, then all else: two changes with one stamp (a node that lost its disk) need an order, too.
    return msgspec.structs.astuple(change)


def resume(ordered: Iterable[Change], ring: Ring, nodes: Nodes, on_pass: OnPass) -> tuple[Ring, Nodes]:
    """Fold further changes, given in order, on top of a result; the beginning's are in it already."""
    nodes, taken = dict(nodes), listening(nodes)
    for change in ordered:
        if change.kind is Kind.START:
            continue
        member, standing = nodes.get(change.name, (change.member, Standing.GONE))
        match change.kind:
            case Kind.JOIN if (objection := objection_to(change.member, nodes, taken)) is not None:
                if change.member != member:
                    on_pass(change, objection)
            case Kind.JOIN:
                ring = ring.joined(change.member)
                nodes[change.name] = (change.member, Standing.MEMBER)
                taken[change.address] = change.name
            case Kind.LEAVE | Kind.GONE if standing is Standing.MEMBER and change.name in ring.members:
                if len(ring.members) > ring.n:
                    ring = ring.left(change.name)
                    nodes[change.name] = (member, Standing.LEAVING if change.kind is Kind.LEAVE else Standing.GONE)
                    if change.kind is Kind.GONE:
                        del taken[member.address]
                else:
                    on_pass(change, f"fewer than n={ring.n} members would be left to hold every key")
            case Kind.GONE if standing is Standing.LEAVING:
                nodes[change.name] = (member, Standing.GONE)
                del taken[member.address]
            case _:
                pass
    return ring, nodes


def listening(nodes: Nodes) -> dict[Address, str]:
    """The addresses in use, and the nodes that use them."""
    return {member.address: name for name, (member, standing) in nodes.items() if standing is not Standing.GONE}


def objection_to(member: Member, nodes: Nodes, taken: Mapping[Address, str]) -> str | None:
    """Why the member can't join; None if it can. A leaving node may join again at the same address."""
    known, standing = nodes.get(member.name, (member, Standing.GONE))
    if standing is Standing.MEMBER:
        return f"the name {member.name!r} is taken by the node at {host_port(known.address)}; choose another"
    if standing is Standing.LEAVING and known.address != member.address:
        return f"{member.name!r} is still leaving from {host_port(known.address)}; wait until it is gone"
    other = taken.get(member.address, member.name)
    if other != member.name:
        return f"{host_port(member.address)} is the address of {other!r}; give each node its own"
    return None
