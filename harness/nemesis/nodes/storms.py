"""Storms, rolling restarts and absences: strikes of many blows.

1. A storm takes several nodes down at once, again and again. Between two blows they are up for a few milliseconds to
   half a second: they may not have answered yet when the next one comes. That finds what a start does wrong.
2. A rolling restart takes one node down after the other, and the next one only once the one before answers again, as
   people roll out a new version.
3. An absence takes one node down for as long as there is time. Meanwhile others lose their disks several times, at
   intervals that grow, and once more just before it comes back: as many as the system can do without. What they had
   kept for the node is gone then, and it has to get what it missed from those that are left.
4. The first blow is the strike's start, and took effect if the processes are gone. The others follow while the strike
   stands, and its stop waits for the last of them. It took effect if all of them were struck and all nodes answer.
5. A program that could not be started, or ended by itself between two blows, has died (`died`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed, processes_of
from splitbrain.harness.nemesis.nodes.processes import (
    Killer,
    Terminator,
    answering,
    died_by_themselves,
    each,
    start_again,
)
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, log_uniform, shuffled, split
from splitbrain.harness.system import System

BLOWS = 10
UP_S = (0.005, 0.5)
WIPED_AFTER_S = (3.0, 12.0)
"""When others lose their disks first. Each further time comes after `GROWTH` times as long."""
WIPES = 3
GROWTH = (1.5, 2.0)
STORM_KINDS = ("one", "minority", "majority", "all")
ROLLING = ("terminate", "kill")


def _aim_storm(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng, kind = draw(split(seed, turn)), in_turn(STORM_KINDS, seed, turn)
    nodes = targets.draw(kind, rng)
    ups_s = [round(log_uniform(rng, *UP_S), 3) for _ in range(BLOWS - 1)]
    return {"target": kind, "nodes": nodes, "power": rng.random() < 0.5, "ups_s": ups_s}


def _aim_rolling(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng = draw(split(seed, turn))
    return {"shape": in_turn(ROLLING, seed, turn), "nodes": shuffled(rng, targets.nodes)}


def _aim_absence(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    if not targets.expendable:
        raise ValueError("absence destroys what nodes hold, and the system tolerates that of none; leave it out")
    others = [node for node in targets.nodes if node not in targets.expendable]
    rng = draw(split(seed, turn))
    after_s = [log_uniform(rng, *WIPED_AFTER_S)]
    while len(after_s) < WIPES:
        after_s.append(after_s[-1] * log_uniform(rng, *GROWTH))
    moments = [round(each_s, 3) for each_s in after_s]
    return {"nodes": [choose(rng, others)], "wiped": list(targets.expendable), "after_s": moments}


def _held_by_absence(how: Mapping[str, Any]) -> list[Hold]:
    return [("process", node) for node in (*how["nodes"], *how["wiped"])]


class Storm:
    """Takes nodes down, again and again."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._blowing: dict[int, asyncio.Task[list[str]]] = {}
        self._died: set[str] = set()

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "stop":
            return await self._calm(invocation)
        left = await self._blow(how)
        self._blowing[how["strike"]] = asyncio.create_task(self._go_on(how))
        detail = f"process still there on {', '.join(left)}" if left else f"process gone on {', '.join(how['nodes'])}"
        return observed(invocation, not left, detail)

    async def _calm(self, invocation: Invocation) -> Mapping[str, Any]:
        how, machines = invocation.value, self._environment.machines
        numbers = [how["strike"]] if "strike" in how else list(self._blowing)
        missed = [node for number in numbers if number in self._blowing for node in await self._blowing.pop(number)]
        nodes = how.get("nodes", list(self._environment.members))
        gone = [node for node in self._environment.members if not await machines[node].running()]
        died = sorted({*self._died.intersection(nodes), *await died_by_themselves(self._environment, gone)})
        self._died.difference_update(nodes)
        seen: dict[str, Any] = {"died": died} if died else {}
        if "strike" in how:
            seen["stood"] = set(nodes).issubset(gone)
            seen["blows"] = 1 + len(how["ups_s"])
        started = [node for node in gone if node in nodes]
        await start_again(self._environment, self._system, started)
        answers = await answering(self._environment, self._system, invocation, started, **seen)
        if missed:
            return observed(invocation, False, f"a blow left the process on {', '.join(sorted(set(missed)))}", **seen)
        return answers

    async def _go_on(self, how: Mapping[str, Any]) -> list[str]:
        """The other blows; after the last one the nodes stay down. Returns the nodes that a blow missed."""
        missed: list[str] = []
        for up_s in how["ups_s"]:
            starts = [asyncio.create_task(self._start(node)) for node in how["nodes"]]
            await asyncio.sleep(up_s)
            for start in starts:
                start.cancel()
                with suppress(asyncio.CancelledError):
                    await start
            missed += await self._blow(how)
        return missed

    async def _start(self, node: str) -> None:
        machine = self._environment.machines[node]
        try:
            await self._system.start(self._environment, machine)
        except EnvironmentFailure:
            if not await machine.running():
                self._died.add(node)

    async def _blow(self, how: Mapping[str, Any]) -> list[str]:
        """Take the nodes down. Returns those on which the process is still there."""
        nodes, machines = how["nodes"], self._environment.machines
        gone = [node for node in nodes if not await machines[node].running()]
        self._died.update(await died_by_themselves(self._environment, gone))
        standing = [node for node in nodes if node not in gone]
        if how["power"]:
            await each(machines[node].power_cut() for node in standing)
        else:
            await each(machines[node].kill() for node in standing)
        return [node for node in nodes if await machines[node].running()]


class Roller:
    """Restarts one node after the other."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._rolling: dict[int, asyncio.Task[list[str]]] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "start":
            left = await self._take_down(how, how["nodes"][0])
            self._rolling[how["strike"]] = asyncio.create_task(self._go_on(how))
            first = how["nodes"][0]
            return observed(invocation, not left, f"process {'still there' if left else 'gone'} on {first}")
        return await self._end(invocation)

    async def _end(self, invocation: Invocation) -> Mapping[str, Any]:
        how, machines = invocation.value, self._environment.machines
        numbers = [how["strike"]] if "strike" in how else list(self._rolling)
        left = [node for number in numbers if number in self._rolling for node in await self._rolling.pop(number)]
        if left:
            return observed(invocation, False, f"process never gone on {', '.join(left)}")
        nodes = how.get("nodes", list(self._environment.members))
        gone = [node for node in nodes if not await machines[node].running()]
        died = await died_by_themselves(self._environment, gone)
        await start_again(self._environment, self._system, gone)
        seen = {"died": died} if died else {}
        return await answering(self._environment, self._system, invocation, sorted(nodes), **seen)

    async def _go_on(self, how: Mapping[str, Any]) -> list[str]:
        """Returns the nodes whose processes would not go."""
        left: list[str] = []
        for number, node in enumerate(how["nodes"]):
            if number:
                left += await self._take_down(how, node)
            machine = self._environment.machines[node]
            if not await machine.running():
                await self._system.start(self._environment, machine)
        return left

    async def _take_down(self, how: Mapping[str, Any], node: str) -> Sequence[str]:
        taker = Terminator if how["shape"] == "terminate" else Killer
        return await taker(self._environment, self._system).take_down([node])


class Absentee(Killer):
    """Keeps a node away while others lose their disks."""

    def __init__(self, environment: Environment, system: System) -> None:
        super().__init__(environment, system)
        self._standing: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "start":
            over = asyncio.Event()
            self._standing[how["strike"]] = (over, asyncio.create_task(self._wipe_later(how, over)))
            return await super().invoke(invocation)
        for number in [how["strike"]] if "strike" in how else list(self._standing):
            if number in self._standing:
                over, wiping = self._standing.pop(number)
                over.set()
                await wiping
        if "strike" in how:
            await self._wipe(how["wiped"])
        return await super().invoke(invocation)

    async def _wipe_later(self, how: Mapping[str, Any], over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for after_s in how["after_s"]:
            try:
                async with asyncio.timeout_at(began_s + after_s):
                    await over.wait()
            except TimeoutError:
                await self._wipe(how["wiped"])
            else:
                return

    async def _wipe(self, nodes: Sequence[str]) -> None:
        machines = self._environment.machines
        for node in [node for node in nodes if node in self._environment.members]:
            await machines[node].kill()
            await machines[node].wipe()
            await self._system.start(self._environment, machines[node])


FAMILIES = (
    FaultFamily(
        name="storm",
        summary="kill several nodes or cut their power, ten times in a row, while they start",
        requires=frozenset({"kill", "power-cut"}),
        aim=_aim_storm,
        holds=processes_of,
        healed=3,
        nemesis=Storm,
        shortest_s=1.0,
        # The blows that are still to come when the stop is due.
        silence_s=BLOWS * UP_S[1] / 2,
        targets=STORM_KINDS,
    ),
    FaultFamily(
        name="absence",
        summary="take one node down for long, and wipe the disks of others before it comes back",
        requires=frozenset({"kill", "wipe"}),
        aim=_aim_absence,
        holds=_held_by_absence,
        healed=3,
        nemesis=Absentee,
        stop="end-absence",
        shortest_s=2.0,
        longest_s=100.0,
        lasts=True,
        destroys=lambda how: how["wiped"],
    ),
    FaultFamily(
        name="rolling-restart",
        summary="restart one node after the other, by SIGTERM or kill -9",
        requires=frozenset({"kill", "terminate"}),
        aim=_aim_rolling,
        holds=processes_of,
        healed=3,
        nemesis=Roller,
        start="roll",
        stop="end-roll",
        shortest_s=1.0,
        silence_s=2.0,
        shapes=ROLLING,
    ),
)
