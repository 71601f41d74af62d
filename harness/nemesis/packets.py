"""Packet faults: links that lose, delay, repeat, reorder, damage, throttle or hold back what is sent over them.

1. A strike names the directed links that it degrades, and holds them: no two strikes degrade one link at a time.
2. It took effect if the links say so and at least one packet was touched. The harness's own probes are packets too, so
   this can be seen even where nobody else sends. A link that is cut carries nothing: if all are cut, nothing says.
3. It is healed if none of its links is degraded any more, and probes over them arrive, but for those that are cut.
4. At its stop, the packets that were touched are counted (`packets`). If a link was not degraded any more by then, the
   strike did not stand.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from splitbrain.harness.environment import Conditions, Environment, Interference, Link, LinkObservation
from splitbrain.harness.nemesis.fault_family import FaultFamily, holder, observed
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, log_uniform, shuffled, split
from splitbrain.harness.system import System

PATIENCE_S = 2.0
"""How long to wait for a packet to be touched: of 5% loss on two links, three observations see nothing once in 500."""

Draw = Callable[[random.Random], dict[str, Any]]
SHAPES: Mapping[str, Draw] = {
    "loss": lambda rng: {"loss": _rounded(log_uniform(rng, 0.05, 0.9))},
    "delay": lambda rng: {"delay_s": [_rounded(log_uniform(rng, 0.01, 1.0))] * 2},
    "duplication": lambda rng: {"duplication": _rounded(log_uniform(rng, 0.1, 1.0))},
    "reordering": lambda rng: {"delay_s": [0.0, _rounded(log_uniform(rng, 0.01, 0.5))]},
    "corruption": lambda rng: {"corruption": _rounded(log_uniform(rng, 0.02, 0.5))},
    "rate": lambda rng: {"rate_bytes_s": round(log_uniform(rng, 500, 10_000))},
    "hold": lambda rng: {"hold": True},
}
"""By name: what the links of a strike do."""
SCOPES = ("one-node", "halves", "all", "some")
"""Which links: all to and from one node, those between two halves, all, any."""


def _rounded(share: float) -> float:
    """To three digits: people read it."""
    return float(f"{share:.3g}")


def _links(scope: str, nodes: Sequence[str], rng: random.Random) -> list[Link]:
    every = [(source, target) for source in nodes for target in nodes if source != target]
    if scope == "one-node":
        one = choose(rng, nodes)
        return [link for link in every if one in link]
    if scope == "halves":
        half = shuffled(rng, nodes)[: len(nodes) // 2]
        return [link for link in every if (link[0] in half) != (link[1] in half)]
    if scope == "some":
        return sorted(shuffled(rng, every)[: 1 + int(rng.random() * len(every))])
    return every


def _aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng = draw(split(seed, turn))
    shape, scope = in_turn(tuple(SHAPES), seed, turn), choose(rng, SCOPES)
    links = [list(link) for link in _links(scope, targets.nodes, rng)]
    return {"shape": shape, "target": scope, "links": links, "conditions": SHAPES[shape](rng)}


def _holds(how: Mapping[str, Any]) -> list[Hold]:
    return [("link", source, target) for source, target in how["links"]]


class Degrader:
    """Degrades links and heals them."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._network = environment.network
        self._degraded: dict[str, set[Link]] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        if invocation.value["phase"] == "start":
            return await self._degrade(invocation)
        return await self._heal(invocation)

    async def _degrade(self, invocation: Invocation) -> Mapping[str, Any]:
        how, name = invocation.value, holder(invocation) or ""
        links = {(source, target) for source, target in how["links"]}
        self._degraded[name] = links
        await self._network.degrade(sorted(links), _conditions(how["conditions"]), name)
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            mine = [link for link in await self._network.observe() if (link.source, link.target) in links]
            told = sum(link.interference is not None for link in mine)
            touched = _sum(mine)
            if touched.any or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        detail = f"{told} of {len(links)} links degraded; {_prose(touched)}"
        if all(link.cut for link in mine):
            # No effect can be seen, and that is no sign that there is none.
            return {**how, "evidence": {"detail": f"{detail}; all of them are cut"}}
        return observed(invocation, told == len(links) and touched.any, detail, packets=asdict(touched))

    async def _heal(self, invocation: Invocation) -> Mapping[str, Any]:
        name = holder(invocation)
        links = set().union(*([self._degraded.get(name, set())] if name else self._degraded.values()))
        # The counters go with the conditions, so they are read while these still stand, if they do.
        mine = [link for link in await self._network.observe() if (link.source, link.target) in links]
        touched, stood = _sum(mine), all(link.interference is not None for link in mine)
        if name:
            self._degraded.pop(name, None)
            await self._network.heal(name)
        else:
            for each in self._degraded:
                await self._network.heal(each)
            self._degraded.clear()
        mine = [link for link in await self._network.observe() if (link.source, link.target) in links]
        whole = [link for link in mine if not link.cut]
        healed = sum(link.heard and link.interference is None for link in whole)
        detail = f"{healed} of {len(whole)} links as before; {_prose(touched)}"
        more = {"stood": stood, "packets": asdict(touched)} if links else {}
        return observed(invocation, healed == len(whole), detail, **more)


def _conditions(how: Mapping[str, Any]) -> Conditions:
    given = dict(how)
    if "delay_s" in given:
        given["delay_s"] = tuple(given["delay_s"])
    return Conditions(**given)


def _sum(links: Collection[LinkObservation]) -> Interference:
    seen = [link.interference for link in links if link.interference is not None]
    return Interference(
        lost=sum(each.lost for each in seen),
        duplicated=sum(each.duplicated for each in seen),
        corrupted=sum(each.corrupted for each in seen),
        delayed=sum(each.delayed for each in seen),
        held=sum(each.held for each in seen),
    )


def _prose(touched: Interference) -> str:
    """What was done to packets, in words."""
    counts = [f"{number:,} {what}" for what, number in asdict(touched).items() if number]
    return f"packets {', '.join(counts)}" if counts else "no packet was touched"


FAMILIES = (
    FaultFamily(
        name="packets",
        summary="lose, delay, repeat, reorder, damage, throttle or hold back packets on some links",
        requires=frozenset({"degrade"}),
        aim=_aim,
        holds=_holds,
        healed=0,
        nemesis=Degrader,
        fewest_nodes=2,
        silence_s=PATIENCE_S,
        shapes=tuple(SHAPES),
        targets=SCOPES,
    ),
)
