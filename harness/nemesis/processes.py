"""Process faults: kill -9 and restart, pause and resume, of one node, a minority, or all.

1. A kill took effect if the process is gone; a restart, if the processes it started answer again.
2. A pause took effect if the process exists and the node does not answer; a resume, if the resumed nodes answer again.
   Neither waits for nodes that the other family holds down: they answer when that fault is ended.
3. Before a fault is ended it is observed again. If something else ended it meanwhile, it did not hold (`stood` is
   false).
4. A process that is gone though it was not killed has died by itself (`died`): a restart must not cover that up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS
from splitbrain.harness.environment import Environment, EnvironmentLost
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import draw, shuffled, split
from splitbrain.harness.system import System

ANSWER_PATIENCE_S = 10.0
"""How long a node that was restarted or resumed may take to answer."""
TARGETS: Mapping[str, tuple[str, ...]] = {"kill": ("one", "minority", "all"), "pause": ("one", "minority")}
"""By family: how many nodes are struck, in turns. All at once is a power cut: what was acknowledged must be on disk."""


def kill(nodes: Sequence[str], *, seed: int) -> FaultFamily:
    """kill -9, then a restart."""
    return _family("kill", "restart", Killer, nodes, seed)


def pause(nodes: Sequence[str], *, seed: int) -> FaultFamily:
    """SIGSTOP, then SIGCONT."""
    return _family("pause", "resume", Pauser, nodes, seed)


def _family(
    name: str,
    undo: str,
    nemesis: Callable[[Environment, System], Killer | Pauser],
    nodes: Sequence[str],
    seed: int,
) -> FaultFamily:
    def struck(turn: int) -> dict[str, Any]:
        kinds = TARGETS[name]
        order = shuffled(draw(split(split(seed, "targets"), turn // len(kinds))), kinds)
        kind = order[turn % len(kinds)]
        count = {"one": 1, "minority": max(1, (len(nodes) - 1) // 2), "all": len(nodes)}[kind]
        return {"target": kind, "nodes": sorted(shuffled(draw(split(seed, turn)), nodes)[:count])}

    def operation(f: str, phase: str, target: Mapping[str, Any]) -> Invocation:
        return Invocation(f, {"fault": name, "phase": phase, **target}, process=NEMESIS)

    return FaultFamily(
        name=name,
        requires=frozenset({name}),
        lane="processes",
        healed={"pause": 1, "kill": 2}[name],
        start=lambda turn: operation(name, "start", struck(turn)),
        stop=lambda turn: operation(undo, "stop", struck(turn)),
        final=operation(undo, "stop", {"target": "all", "nodes": list(nodes)}),
        nemesis=nemesis,
    )


class Killer:
    """Kills and restarts."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._killed: set[str] = set()
        self._awaited: set[str] = set()

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        nodes = invocation.value["nodes"]
        machines = self._environment.machines
        if invocation.value["phase"] == "start":
            self._killed.update(nodes)
            await _each(machines[node].kill() for node in nodes)
            left = [node for node in nodes if await machines[node].running()]
            detail = f"process still there on {', '.join(left)}" if left else f"process gone on {', '.join(nodes)}"
            return observed(invocation, not left, detail)
        gone = [node for node in machines if not await machines[node].running()]
        seen: dict[str, Any] = {"stood": self._killed.issubset(gone)} if self._killed else {}
        died = [node for node in gone if node not in self._killed]
        if died:
            # A container that was stopped or restarted from outside took its process along.
            lost = await self._environment.lost()
            if lost:
                raise EnvironmentLost(lost)
            seen["died"] = died
        started = [node for node in gone if node in nodes]
        self._awaited.update(started)
        await _each(self._system.start(self._environment, machines[node]) for node in started)
        self._killed.difference_update(nodes)
        return await _answering(self._environment, self._system, invocation, self._awaited, **seen)


class Pauser:
    """Pauses and resumes."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._paused: set[str] = set()
        self._awaited: set[str] = set()

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        nodes = invocation.value["nodes"]
        machines = self._environment.machines
        if invocation.value["phase"] == "stop":
            answers = await _each(self._system.ready(self._environment, node) for node in sorted(self._paused))
            seen: dict[str, Any] = {"stood": not any(answers)} if answers else {}
            await _each(machines[node].resume() for node in nodes)
            self._awaited.update(self._paused.intersection(nodes))
            self._paused.difference_update(nodes)
            return await _answering(self._environment, self._system, invocation, self._awaited, **seen)
        self._paused.update(nodes)
        await _each(machines[node].pause() for node in nodes)
        answers = await _each(self._system.ready(self._environment, node) for node in nodes)
        problems = [f"{node} still answers" for node, ready in zip(nodes, answers, strict=True) if ready]
        problems += [f"process gone on {node}" for node in nodes if not await machines[node].running()]
        return observed(invocation, not problems, "; ".join(problems) or f"no answer from {', '.join(nodes)}")


async def _answering(
    environment: Environment, system: System, invocation: Invocation, awaited: set[str], **seen: Any
) -> Mapping[str, Any]:
    """Wait, within bounds, until the awaited nodes of the invocation answer. Returns the completion's value, with what
    was seen before. Nodes that answer are awaited no longer.
    """
    nodes = [node for node in invocation.value["nodes"] if node in awaited]
    if not nodes:
        return observed(invocation, True, "none was left to bring back", **seen)
    deadline = asyncio.get_running_loop().time() + ANSWER_PATIENCE_S
    silent = nodes
    while True:
        answers = await _each(system.ready(environment, node) for node in silent)
        silent = [node for node, ready in zip(silent, answers, strict=True) if not ready]
        awaited.difference_update(set(nodes).difference(silent))
        if not silent:
            return observed(invocation, True, f"{', '.join(nodes)} answer{'s' * (len(nodes) == 1)} again", **seen)
        if asyncio.get_running_loop().time() > deadline:
            return observed(invocation, False, f"no answer from {', '.join(silent)} in {ANSWER_PATIENCE_S:g} s", **seen)
        await asyncio.sleep(0.1)


async def _each(actions: Any) -> list[Any]:
    """Await all at the same time; the first failure is raised once all have ended."""
    results = await asyncio.gather(*actions, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
