"""Process faults: kill -9 and restart, SIGTERM and restart, pause and resume.

1. A kill took effect if the process is gone; a restart, if the processes it started answer again.
2. A pause took effect if the process exists and the node does not answer; a resume, if the resumed nodes answer again.
   While others are down or cut off, a node that is brought back may have to wait for them: then its process is enough,
   and a resume is looked at again when all is healed.
3. Before a fault is ended it is observed again. If something else ended it meanwhile, it did not hold (`stood` is
   false).
4. A process that is gone though nobody took it down (`Machine.taken_down`) has died by itself (`died`): a restart must
   not cover that up.
5. A stop without a strike brings back every node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from splitbrain.harness.environment import Environment, EnvironmentLost, NotReady
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed, processes_of
from splitbrain.harness.nemesis.targets import LEADER, PRIMARIES, Targets, in_turn
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.system import System

T = TypeVar("T")

ANSWER_PATIENCE_S = 10.0
"""How long a node that was restarted or resumed may take to answer."""
TERMINATE_PATIENCE_S = 5.0
"""How long a program may take to end after SIGTERM."""


def _family(
    name: str,
    summary: str,
    nemesis: Callable[[Environment, System], Nemesis],
    stop: str,
    kinds: Sequence[str],
    healed: int,
    silence_s: float = 0.0,
) -> FaultFamily:
    def aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
        kind = in_turn(targets.kinds(*kinds), seed, turn)
        return {"target": kind, "nodes": targets.draw(kind, draw(split(seed, turn)))}

    return FaultFamily(
        name=name,
        summary=summary,
        requires=frozenset({name}),
        aim=aim,
        holds=processes_of,
        healed=healed,
        nemesis=nemesis,
        start=name,
        stop=stop,
        silence_s=silence_s,
        targets=(*kinds, PRIMARIES, LEADER),
    )


class Killer:
    """Kills and restarts."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        machines = self._environment.machines
        if invocation.value["phase"] == "start":
            nodes = invocation.value["nodes"]
            left = await self.take_down(nodes)
            detail = f"process still there on {', '.join(left)}" if left else f"process gone on {', '.join(nodes)}"
            return observed(invocation, not left, detail)
        members = list(self._environment.members)
        nodes = invocation.value.get("nodes", members)
        gone = [node for node in members if not await machines[node].running()]
        seen: dict[str, Any] = {}
        if "strike" in invocation.value:
            seen["stood"] = set(nodes).issubset(gone)
        died = await died_by_themselves(self._environment, gone)
        if died:
            seen["died"] = died
        started = [node for node in gone if node in nodes]
        await start_again(self._environment, self._system, started)
        return await answering(self._environment, self._system, invocation, started, **seen)

    async def take_down(self, nodes: Sequence[str]) -> list[str]:
        """End the processes. Returns the nodes on which they are still there."""
        machines = self._environment.machines
        await each(machines[node].kill() for node in nodes)
        return [node for node in nodes if await machines[node].running()]


class Terminator(Killer):
    """Asks programs to end, and restarts them."""

    async def take_down(self, nodes: Sequence[str]) -> list[str]:
        machines = self._environment.machines
        await each(machines[node].terminate() for node in nodes)
        deadline = asyncio.get_running_loop().time() + TERMINATE_PATIENCE_S
        while left := [node for node in nodes if await machines[node].running()]:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        return left


class Pauser:
    """Pauses and resumes."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._paused: set[str] = set()

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        machines = self._environment.machines
        if invocation.value["phase"] == "stop":
            nodes = invocation.value.get("nodes", list(self._environment.members))
            paused = sorted(self._paused.intersection(nodes))
            answers = await each(self._system.ready(self._environment, node) for node in paused)
            seen: dict[str, Any] = {"stood": not any(answers)} if answers else {}
            await each(machines[node].resume() for node in nodes)
            resumed = await answering(self._environment, self._system, invocation, paused, **seen)
            if resumed["evidence"]["effective"]:
                self._paused.difference_update(set(nodes).difference(resumed["evidence"].get("waiting", ())))
            return resumed
        nodes = invocation.value["nodes"]
        self._paused.update(nodes)
        await each(machines[node].pause() for node in nodes)
        answers = await each(self._system.ready(self._environment, node) for node in nodes)
        problems = [f"{node} still answers" for node, ready in zip(nodes, answers, strict=True) if ready]
        problems += [f"process gone on {node}" for node in nodes if not await machines[node].running()]
        return observed(invocation, not problems, "; ".join(problems) or f"no answer from {', '.join(nodes)}")


FAMILIES = (
    _family(
        "kill", "kill -9 and restart: one node, some, or all", Killer, "restart", ("one", "minority", "some", "all"), 2
    ),
    _family(
        "terminate",
        "SIGTERM and restart: one node, some, or all",
        Terminator,
        "restart-terminated",
        ("one", "minority", "some", "all"),
        2,
    ),
    _family(
        "pause",
        "stop processes with SIGSTOP, and let them go on",
        Pauser,
        "resume",
        ("one", "minority", "majority", "all"),
        1,
        # At each end a node is held to be silent after a second.
        silence_s=2.0,
    ),
)


async def died_by_themselves(environment: Environment, gone: Collection[str]) -> list[str]:
    """Which of the nodes whose processes are gone were not taken down. Raises EnvironmentLost (rule 4)."""
    died = [node for node in gone if not environment.machines[node].taken_down]
    if died:
        # A container that was stopped or restarted from outside took its process along.
        lost = await environment.lost()
        if lost:
            raise EnvironmentLost(lost)
    return died


async def start_again(environment: Environment, system: System, nodes: Iterable[str]) -> None:
    """Start these nodes. Whether they answer is for `answering` to see, for they may lack a majority."""

    async def start(node: str) -> None:
        with suppress(NotReady):
            await system.start(environment, environment.machines[node])

    await each(start(node) for node in nodes)


async def answering(
    environment: Environment, system: System, invocation: Invocation, nodes: Sequence[str], **seen: Any
) -> Mapping[str, Any]:
    """Wait, within bounds, until these nodes answer. Returns the completion's value, with what was seen before."""
    if not nodes:
        return observed(invocation, True, "none was left to bring back", **seen)
    deadline = asyncio.get_running_loop().time() + ANSWER_PATIENCE_S
    silent = list(nodes)
    while True:
        answers = await each(system.ready(environment, node) for node in silent)
        silent = [node for node, ready in zip(silent, answers, strict=True) if not ready]
        if not silent:
            return observed(invocation, True, f"{', '.join(nodes)} answer{'s' * (len(nodes) == 1)} again", **seen)
        if asyncio.get_running_loop().time() > deadline:
            if await _may_lack_others(environment, system, silent):
                detail = f"{', '.join(silent)} run{'s' * (len(silent) == 1)}, and others are down or cut off"
                return observed(invocation, True, detail, waiting=silent, **seen)
            return observed(invocation, False, f"no answer from {', '.join(silent)} in {ANSWER_PATIENCE_S:g} s", **seen)
        await asyncio.sleep(0.1)


async def _may_lack_others(environment: Environment, system: System, silent: Sequence[str]) -> bool:
    """Whether these nodes run, and others are silent too, or links cut: what needs a majority may not find one."""
    machines, others = environment.machines, [node for node in environment.members if node not in silent]
    if not all(await each(machines[node].running() for node in silent)):
        return False
    if not all(await each(system.ready(environment, node) for node in others)):
        return True
    return any(link.cut for link in await environment.network.observe())


async def each(actions: Iterable[Awaitable[T]]) -> list[T]:
    """Await all at the same time; the first failure is raised once all have ended."""
    results = await asyncio.gather(*actions, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
