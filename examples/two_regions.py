"""A fault of one's own: the nodes are in two regions for a while, and the line between them is long and lossy.

    splitbrain run registers --faults two_regions.py:TWO_REGIONS --seed 1 --time-limit 20

A family draws each strike before the run starts (`aim`). Its nemesis does it, and says what it saw: packets that were
delayed or lost on the line. Without such evidence the run would be unknown. To be found by its name alone a family is
registered through the entry-point group `splitbrain.faults`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

from splitbrain import Conditions, Environment, FaultFamily, Invocation, System, Targets, observed


def aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    """One strike: which nodes are in which region, and how long the line between them is."""
    rng = Random(f"{seed}/{turn}")
    mixed = sorted(targets.nodes, key=lambda node: rng.random())
    here, there = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    lines = [[a, b] for a in here for b in there] + [[b, a] for a in here for b in there]
    return {"shape": "two-regions", "lines": lines, "delay_s": round(0.03 + 0.12 * rng.random(), 3)}


class Regions:
    """Makes the line long, and short again."""

    def __init__(self, environment: Environment, system: System) -> None:
        self.network = environment.network

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        strike = invocation.value
        if strike["phase"] == "stop":
            await self.network.heal(f"regions-{strike['strike']}" if "strike" in strike else None)
            return observed(invocation, all(link.heard for link in await self.network.observe()), "all links heard")
        lines = [(source, target) for source, target in strike["lines"]]
        delay_s = strike["delay_s"]
        conditions = Conditions(loss=0.01, delay_s=(delay_s, 1.2 * delay_s))
        await self.network.degrade(lines, conditions, f"regions-{strike['strike']}")
        await asyncio.sleep(0.5)
        seen = [link.interference for link in await self.network.observe() if link.interference is not None]
        delayed = sum(each.delayed for each in seen)
        return observed(invocation, delayed > 0, f"{delayed} packets delayed by {delay_s:g} s and more")


TWO_REGIONS = FaultFamily(
    name="two-regions",
    summary="the nodes are in two regions, with a long and lossy line between them",
    requires=frozenset({"degrade"}),
    aim=aim,
    holds=lambda how: [("regions",)],
    healed=0,
    nemesis=Regions,
    fewest_nodes=2,
    shortest_s=2.0,
)
