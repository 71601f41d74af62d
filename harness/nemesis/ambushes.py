"""Ambushes: strikes that wait until a node does something, and hit within milliseconds of it.

1. What is waited for is a mark: a word of the system's own for a thing that its nodes do (`system.Marking`). Which mark,
   whom to hit, how late and for how long is drawn before the run, as of any strike. When the mark comes, the run decides.
2. A blow hits the node that made the mark, or all others, or all. It takes them down; they are started again after a few
   milliseconds to a second. Then the next mark is waited for, up to `BLOWS` of them, as long as the strike stands.
3. The first blow is the strike's start. If no mark comes within `PATIENCE_S`, it hits all the same, and the evidence says
   so: what a run never does is no reason for it to see no fault.
4. A blow with a wipe hits only nodes that the system can do without, and only after marks of their own.
5. A program that could not be started between two blows, or ended by itself, has died (`died`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed, processes_of
from splitbrain.harness.nemesis.processes import answering, died_by_themselves, each
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, log_uniform, split
from splitbrain.harness.system import System

BLOWS = 8
PATIENCE_S = 1.0
AFTER_S = (0.000_1, 0.02)
"""How long after a mark a blow comes: less than a sync takes, to a few round trips."""
DOWN_S = (0.005, 1.0)
WHOM = ("it", "others", "all")
HOW = ("kill", "power-cut", "wipe")


def _aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    if not targets.marks:
        raise ValueError("ambush needs a system that says what its nodes do (`marks`); leave that fault out")
    rng = draw(split(seed, turn))
    shape = in_turn(HOW if targets.expendable else HOW[:-1], seed, turn)
    wipes = shape == "wipe"
    return {
        "shape": shape,
        "mark": in_turn(targets.marks, split(seed, "marks"), turn),
        "whom": "it" if wipes else choose(rng, WHOM),
        "nodes": sorted(targets.expendable if wipes else targets.nodes),
        "after_s": [round(log_uniform(rng, *AFTER_S), 4) for _ in range(BLOWS)],
        "down_s": [round(log_uniform(rng, *DOWN_S), 3) for _ in range(BLOWS)],
    }


@dataclass
class _Waiting:
    """A strike that stands. struck: how many blows fell, and after how many marks. died: nodes that ended by themselves
    meanwhile. first: done with the first blow's evidence."""

    how: Mapping[str, Any]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    blows: int = 0
    marks: int = 0
    died: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class Ambusher:
    """Waits for marks, and takes nodes down."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._standing: dict[int, _Waiting] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "stop":
            return await self._end(invocation)
        waiting = self._standing[how["strike"]] = _Waiting(how)
        who = await self._mark(waiting, PATIENCE_S)
        victims = self._victims(how, who or how["nodes"][0])
        began = f"{how['mark']} on {who}" if who else f"no node made the mark {how['mark']} within {PATIENCE_S:g} s"
        left = await self._down(waiting, victims, 0)
        waiting.task = asyncio.create_task(self._go_on(waiting, victims))
        gone = f"process still there on {', '.join(left)}" if left else f"process gone on {', '.join(victims)}"
        return observed(invocation, not left, f"{began}; {gone}", marked=who is not None)

    async def _end(self, invocation: Invocation) -> Mapping[str, Any]:
        """Let the blow that is under way end, and bring back whoever is down."""
        how, machines = invocation.value, self._environment.machines
        numbers = [how["strike"]] if "strike" in how else list(self._standing)
        ended = [self._standing.pop(number) for number in numbers if number in self._standing]
        for waiting in ended:
            waiting.over.set()
            if waiting.task is not None:
                await waiting.task
        nodes = [node for node in how.get("nodes", self._environment.members) if node in self._environment.members]
        gone = [node for node in nodes if not await machines[node].running()]
        died = {node for waiting in ended for node in waiting.died}
        died.update(await died_by_themselves(self._environment, gone))
        seen: dict[str, Any] = {"died": sorted(died)} if died else {}
        if "strike" in how:
            seen |= {"blows": sum(each.blows for each in ended), "marks": sum(each.marks for each in ended)}
        await each(self._system.start(self._environment, machines[node]) for node in gone)
        return await answering(self._environment, self._system, invocation, nodes, **seen)

    async def _go_on(self, waiting: _Waiting, victims: Sequence[str]) -> None:
        """The rest of the first blow, then the others."""
        for number, down_s in enumerate(waiting.how["down_s"]):
            if number:
                who = await self._mark(waiting, None)
                if who is None:
                    return
                victims = self._victims(waiting.how, who)
                await self._down(waiting, victims, number)
            await asyncio.sleep(down_s)
            await each(self._start(waiting, node) for node in victims)

    async def _mark(self, waiting: _Waiting, patience_s: float | None) -> str | None:
        """The first node that makes the mark; None if none did in time, or the strike is over before."""
        names = [node for node in waiting.how["nodes"] if node in self._environment.members]
        asked = {
            asyncio.create_task(self._environment.machines[node].marked([waiting.how["mark"]])): node for node in names
        }
        over = asyncio.create_task(waiting.over.wait())
        try:
            done, _ = await asyncio.wait([*asked, over], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*asked, over):
                task.cancel()
        made = [node for task, node in asked.items() if task in done]
        return made[0] if made and over not in done else None

    def _victims(self, how: Mapping[str, Any], who: str) -> list[str]:
        others = [node for node in how["nodes"] if node != who and node in self._environment.members]
        return {"it": [who], "others": others, "all": sorted([who, *others])}[how["whom"]]

    async def _down(self, waiting: _Waiting, nodes: Collection[str], number: int) -> list[str]:
        """A blow. Returns the nodes on which the process is still there."""
        how, machines = waiting.how, self._environment.machines
        await asyncio.sleep(how["after_s"][number])
        waiting.blows += 1
        gone = [node for node in nodes if not await machines[node].running()]
        waiting.died.update(await died_by_themselves(self._environment, gone))
        if how["shape"] == "power-cut":
            await each(machines[node].power_cut() for node in nodes)
        else:
            await each(machines[node].kill() for node in nodes)
        if how["shape"] == "wipe":
            await each(machines[node].wipe() for node in nodes)
        return [node for node in nodes if await machines[node].running()]

    async def _start(self, waiting: _Waiting, node: str) -> None:
        machine = self._environment.machines[node]
        if await machine.running():
            return
        with suppress(EnvironmentFailure):
            await self._system.start(self._environment, machine)
        if not await machine.running():
            waiting.died.add(node)


FAMILIES = (
    FaultFamily(
        name="ambush",
        summary="wait until a node does something, such as keep a hint, and take nodes down within milliseconds",
        requires=frozenset({"marks", "kill", "power-cut", "wipe"}),
        aim=_aim,
        holds=processes_of,
        healed=3,
        nemesis=Ambusher,
        stop="end-ambush",
        shortest_s=1.0,
        silence_s=PATIENCE_S,
        destroys=lambda how: how["nodes"] if how["shape"] == "wipe" else (),
    ),
)
