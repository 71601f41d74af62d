"""Ambushes: strikes that wait until a node does something, and hit within milliseconds of it.

1. What is waited for is a mark: the system's own name for a thing that its nodes do (`system.Marking`). Which marks,
   whom to hit, how late and for how long is drawn before the run, as of any strike. The run decides when they come.
2. The first blow takes one node down at once, until a mark comes or `FIRST_S` is over: what others do for it meanwhile,
   and what it does once it is back, makes marks. Each further blow follows a
   mark, up to `BLOWS` of them while the strike stands. It hits the node that made the mark, all others, or all. After
   one mark of several, the others are waited for: what comes often must not take all blows.
3. Nodes that were hit are started again after a few milliseconds to seconds. Marks of others are heard meanwhile.
4. A program that could not be started between two blows, or ended by itself, has died (`died`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed, processes_of
from splitbrain.harness.nemesis.nodes.processes import answering, died_by_themselves, each, start_again
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, log_uniform, split
from splitbrain.harness.system import System

BLOWS = 10
AFTER_S = (0.000_1, 0.01)
"""How long after a mark a blow comes: less than a sync takes, to a few round trips."""
FIRST_S = 2.5
"""How long the first node waits for a mark: long enough for others to do without it."""
DOWN_S = (0.005, 1.0)
WHOM = ("it", "others", "all")
SHAPES = ("kill", "power-cut")


def _aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    if not targets.marks:
        raise ValueError("ambush needs a system that says what its nodes do (`marks`); leave that fault out")
    rng = draw(split(seed, turn))
    return {
        "shape": in_turn(SHAPES, seed, turn),
        "first": choose(rng, targets.nodes),
        "marks": list(targets.marks[turn_of(len(targets.marks), split(seed, "marks"), turn)]),
        "whom": [choose(rng, WHOM) for _ in range(BLOWS)],
        "nodes": sorted(targets.nodes),
        "after_s": [round(log_uniform(rng, *AFTER_S), 5) for _ in range(BLOWS)],
        "down_s": [round(log_uniform(rng, *DOWN_S), 3) for _ in range(BLOWS)],
    }


def turn_of(number: int, seed: int, turn: int) -> int:
    """The place whose turn it is, of so many."""
    return int(in_turn([str(place) for place in range(number)], seed, turn))


@dataclass
class _Ambush:
    """A strike that stands.

    over: it is to end. marked: the first mark came. blows: how many fell after marks. died: nodes that ended by
    themselves meanwhile.
    """

    over: asyncio.Event = field(default_factory=asyncio.Event)
    blows: int = 0
    marked: asyncio.Event = field(default_factory=asyncio.Event)
    died: set[str] = field(default_factory=set)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Ambusher:
    """Waits for marks, and takes nodes down."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._standing: dict[int, _Ambush] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "stop":
            return await self._end(invocation)
        ambush = self._standing[how["strike"]] = _Ambush()
        first = [node for node in (how["first"], *how["nodes"]) if node in self._environment.members][:1]
        left = await self._down(ambush, first, cuts=how["shape"] == "power-cut")
        ambush.tasks = [
            asyncio.create_task(self._first_up(ambush, first, how["down_s"][-1])),
            asyncio.create_task(self._go_on(ambush, how)),
        ]
        return observed(invocation, not left, f"process {'still there' if left else 'gone'} on {', '.join(first)}")

    async def _end(self, invocation: Invocation) -> Mapping[str, Any]:
        how, machines = invocation.value, self._environment.machines
        numbers = [how["strike"]] if "strike" in how else list(self._standing)
        ended = [self._standing.pop(number) for number in numbers if number in self._standing]
        for ambush in ended:
            ambush.over.set()
            ambush.marked.set()
            while ambush.tasks:
                await ambush.tasks.pop()
        nodes = [node for node in how.get("nodes", self._environment.members) if node in self._environment.members]
        gone = [node for node in nodes if not await machines[node].running()]
        died = {node for ambush in ended for node in ambush.died}
        died.update(await died_by_themselves(self._environment, gone))
        seen: dict[str, Any] = {"died": sorted(died)} if died else {}
        if "strike" in how:
            seen["blows"] = 1 + sum(ambush.blows for ambush in ended)
        await start_again(self._environment, self._system, gone)
        return await answering(self._environment, self._system, invocation, nodes, **seen)

    async def _go_on(self, ambush: _Ambush, how: Mapping[str, Any]) -> None:
        """The blows that follow marks."""
        last = ""
        for after_s, down_s, whom in zip(how["after_s"], how["down_s"], how["whom"], strict=True):
            marks = [mark for mark in how["marks"] if mark != last] or how["marks"]
            found = await self._marked(ambush, how["nodes"], marks)
            if found is None:
                return
            who, last = found
            ambush.marked.set()
            await asyncio.sleep(after_s)
            others = [node for node in how["nodes"] if node != who and node in self._environment.members]
            victims = {"it": [who], "others": others, "all": sorted([who, *others])}[whom]
            ambush.blows += 1
            await self._down(ambush, victims, cuts=how["shape"] == "power-cut")
            ambush.tasks.append(asyncio.create_task(self._up(ambush, victims, down_s)))

    async def _marked(self, ambush: _Ambush, nodes: Collection[str], marks: Sequence[str]) -> tuple[str, str] | None:
        """The first node that makes a mark, and which; None if the strike is over before."""
        machines, members = self._environment.machines, self._environment.members
        asked = {asyncio.create_task(machines[node].marked(marks)): node for node in nodes if node in members}
        over = asyncio.create_task(ambush.over.wait())
        try:
            done, _ = await asyncio.wait([*asked, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*asked, over):
                task.cancel()
        return None if over in done else next((node, task.result()) for task, node in asked.items() if task in done)

    async def _down(self, ambush: _Ambush, nodes: Collection[str], *, cuts: bool) -> list[str]:
        """A blow. Returns the nodes on which the process is still there."""
        machines = self._environment.machines
        gone = [node for node in nodes if not await machines[node].running()]
        ambush.died.update(await died_by_themselves(self._environment, gone))
        await each(machines[node].power_cut() if cuts else machines[node].kill() for node in nodes)
        return [node for node in nodes if await machines[node].running()]

    async def _first_up(self, ambush: _Ambush, nodes: Collection[str], down_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await ambush.marked.wait()
        await self._up(ambush, nodes, down_s)

    async def _up(self, ambush: _Ambush, nodes: Collection[str], down_s: float) -> None:
        """Start those that are down, after that time or when the strike is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(down_s):
                await ambush.over.wait()
        await each(self._start(ambush, node) for node in nodes)

    async def _start(self, ambush: _Ambush, node: str) -> None:
        machine = self._environment.machines[node]
        if await machine.running():
            return
        with suppress(EnvironmentFailure):
            await self._system.start(self._environment, machine)
            return
        if not await machine.running() and not machine.taken_down:
            ambush.died.add(node)


FAMILIES = (
    FaultFamily(
        name="ambush",
        summary="wait until a node does something, such as keep a hint, and take nodes down within milliseconds",
        requires=frozenset({"marks", "kill", "power-cut"}),
        aim=_aim,
        holds=processes_of,
        healed=3,
        nemesis=Ambusher,
        stop="end-ambush",
        shortest_s=4.0,
        longest_s=5.0,
    ),
)
