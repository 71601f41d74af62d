"""Flapping: links that are cut and heal, again and again, as a loose cable's.

1. The first cut is observed as a partition's is. How often it healed meanwhile is the evidence at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.nemesis.fault_family import FaultFamily, holder
from splitbrain.harness.nemesis.partitions import PARTITIONS, Partitioner, aimed, shapes_of
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.system import System

FLAP_S = (0.1, 2.0)
"""How long the links are cut, and then heal, in turn: the least and the most, in seconds."""


def aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    """A partition, and `flap_s`."""
    least_s, most_s = FLAP_S
    flap_s = least_s + (most_s - least_s) * draw(split(split(seed, "flaps"), turn)).random() ** 2
    return {**aimed(PARTITIONS, targets, seed, turn), "flap_s": round(flap_s, 3)}


class Flapper:
    """Cuts and heals the same links in turn, until told to stop."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._partitioner = Partitioner(environment, system)
        self._network = environment.network
        self._task: asyncio.Task[int] | None = None

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        if invocation.value["phase"] == "start":
            started = await self._partitioner.invoke(invocation)
            self._task = asyncio.create_task(self._flap(invocation))
            return started
        flaps = 0
        if self._task is not None:
            self._task.cancel()
            [outcome] = await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if isinstance(outcome, BaseException):
                raise outcome
            flaps = outcome
        stopped = await self._partitioner.invoke(invocation)
        evidence = {**stopped["evidence"], "flaps": flaps}
        evidence.pop("stood", None)  # It may have been healed at this very moment.
        return {**stopped, "evidence": evidence}

    async def _flap(self, invocation: Invocation) -> int:
        """Until cancelled. Returns how often the links were healed."""
        flaps = 0
        links = sorted((source, target) for source, target in invocation.value["cut"])
        try:
            while True:
                await asyncio.sleep(invocation.value["flap_s"])
                await self._network.heal(holder(invocation))
                flaps += 1
                await asyncio.sleep(invocation.value["flap_s"])
                await self._network.cut(links, holder(invocation) or "")
        except asyncio.CancelledError:
            return flaps


FAMILIES = (
    FaultFamily(
        name="flapping",
        summary="cut the network and heal it, again and again",
        requires=frozenset({"cut"}),
        aim=aim,
        holds=lambda how: [("flapping",)],
        healed=0,
        nemesis=Flapper,
        fewest_nodes=2,
        shortest_s=2.0,
        shapes=shapes_of(PARTITIONS),
    ),
)
