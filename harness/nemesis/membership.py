"""Membership: nodes join, leave, and replace dead ones, while clients go on.

1. One change is under way at a time. There are never fewer members than at the start, but for a dead one until its
   successor is in.
2. A node joins on an empty disk. One that has left is stopped, and its disk is wiped: it may join again later.
3. A node that is replaced dies for good, with its disk: only one that the system can do without.
4. A change took effect if every member sees the same members, and they are those there should be.
5. `Environment.members` follows each change, so that clients, other faults and final reads keep to members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from splitbrain.harness.environment import ClockSetting, Environment
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed
from splitbrain.harness.nemesis.nodes.processes import each
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.system import Elastic, System

VIEWS_PATIENCE_S = 20.0
"""How long the members may take to see the same members: some rounds of gossip."""


def aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    """The change of that turn, after those of all turns before it. O(turn * nodes)."""
    members, outside = list(targets.nodes), list(targets.spares)
    how: Mapping[str, Any] = {}
    for number in range(turn + 1):
        rng = draw(split(seed, number))
        dead = [node for node in members if node in targets.expendable]
        shapes = ["join"] * bool(outside)
        shapes += ["replace"] * bool(outside and dead)
        # A leave is the change that can lose something, so it is drawn twice as often.
        shapes += ["leave"] * 2 * (len(members) > len(targets.nodes))
        shape = choose(rng, shapes)
        joins = [choose(rng, outside)] if shape != "leave" else []
        leaves = [choose(rng, dead if shape == "replace" else members)] if shape != "join" else []
        how = {"shape": shape, "nodes": sorted(joins + leaves), "joins": joins, "leaves": leaves}
        members = [node for node in members if node not in leaves] + joins
        outside = [node for node in outside if node not in joins] + leaves
    return how


def holds(how: Mapping[str, Any]) -> list[Hold]:
    """The right to change the members, and the processes of those that come or go."""
    return [("membership",), *(("process", node) for node in how["nodes"])]


class Registrar:
    """Has nodes join and leave."""

    def __init__(self, environment: Environment, system: System) -> None:
        if not isinstance(system, Elastic):
            raise TypeError(f"{system.name} has no join, leave and members")
        self._environment = environment
        self._system = system

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        if invocation.value["phase"] == "start":
            leaves, joins = invocation.value["leaves"], invocation.value["joins"]
            gone = invocation.value["shape"] == "replace"
            for node in leaves if gone else ():
                await self._die(node)
            # The successor comes first: so few may be left that the system could not do with one less.
            for node in joins:
                await self._join(node)
            for node in leaves:
                await self._leave(node, gone=gone)
        return await self._seen(invocation)

    async def _join(self, node: str) -> None:
        environment = self._environment
        if "clock" in environment.abilities:
            await environment.machines[node].set_clock(ClockSetting())  # It may have left while its clock was wrong.
        await self._system.join(environment, environment.machines[node], tuple(environment.members))
        environment.members.append(node)

    async def _die(self, node: str) -> None:
        machine = self._environment.machines[node]
        await machine.kill()
        await machine.wipe()
        self._environment.members.remove(node)

    async def _leave(self, node: str, *, gone: bool) -> None:
        machine, members = self._environment.machines[node], self._environment.members
        await self._system.leave(self._environment, node, tuple(other for other in members if other != node), gone=gone)
        if not gone:
            members.remove(node)
            await machine.kill()
            await machine.wipe()

    async def _seen(self, invocation: Invocation) -> Mapping[str, Any]:
        """Rule 4."""
        environment = self._environment
        deadline = asyncio.get_running_loop().time() + VIEWS_PATIENCE_S
        while True:
            wanted = frozenset(environment.members)
            asked = [node for node in environment.members if await environment.machines[node].running()]
            views = await each(self._system.members(environment, node) for node in asked)
            differing = [node for node, view in zip(asked, views, strict=True) if view != wanted]
            if not differing or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.2)
        shown = {node: sorted(view) for node, view in zip(asked, views, strict=True)}
        detail = f"{len(asked)} nodes see {_named(wanted)}"
        if differing:
            detail = f"{', '.join(differing)} see other members than {_named(wanted)}"
        more = {"members": sorted(wanted), "views": shown}
        return observed(invocation, not differing, detail, **more)


def _named(members: Collection[str]) -> str:
    return ", ".join(sorted(members))


FAMILIES = (
    FaultFamily(
        name="membership",
        summary="nodes join, leave, and replace dead ones, under load",
        requires=frozenset({"spares", "kill", "wipe"}),
        aim=aim,
        holds=holds,
        healed=3,
        nemesis=Registrar,
        longest_s=3.0,
        silence_s=4.0,
        destroys=lambda how: how["leaves"] if how["shape"] == "replace" else (),
        changes_members=True,
    ),
)
