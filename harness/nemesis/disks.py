"""Disk faults: power cuts, disks that are full, fail or stall, flipped bits, lost disks.

1. A power cut ends the processes, and their disks lose what was not synced; of the last write a part may be kept
   (torn). What was acknowledged must be there afterwards. The evidence says how many writes were undone, and that the
   processes are gone. At the stop they are started again.
2. A disk is seen to be full if it has no byte left or refused a write, to fail if it refused a write, to stall if it
   held up a sync. All must be full, and one of those that fail or stall be seen to, within `PATIENCE_S`; those that
   nobody wrote to are named (`untouched`). A program may end because of its disk: that is the strike's doing, said in
   the evidence of the stop (`ended`), which starts it again. Half of the full disks get room only once their programs
   were killed, as by somebody who restarts what does not work (`restarts`).
3. A flipped bit or a wiped disk takes the copies that a node held, while it does not run. Only nodes that the system
   can do without are struck, the same ones throughout a run.
4. A stop took effect if all nodes answer that should.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from splitbrain.harness.environment import DiskCondition, DiskObservation, Environment
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed, processes_of
from splitbrain.harness.nemesis.nodes.processes import Killer, answering, each, start_again
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.seeds import draw, log_uniform, shuffled, split
from splitbrain.harness.system import System

PATIENCE_S = 3.0
"""How long to wait for a disk to be written to."""
BITS_MOST = 20
POWER_CUT_KINDS = ("one", "minority", "all")


class PowerCutter(Killer):
    """Cuts machines off from power, and starts their programs again."""

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        if invocation.value["phase"] == "stop":
            return await super().invoke(invocation)
        nodes, machines = invocation.value["nodes"], self._environment.machines
        cuts = await each(machines[node].power_cut(torn=invocation.value["torn"]) for node in nodes)
        left = [node for node in nodes if await machines[node].running()]
        undone, undone_bytes = sum(cut.undone for cut in cuts), sum(cut.undone_bytes for cut in cuts)
        torn = [node for node, cut in zip(nodes, cuts, strict=True) if cut.torn]
        gone = f"process still there on {', '.join(left)}" if left else f"process gone on {', '.join(nodes)}"
        detail = f"{gone}; {undone} unsynced write{'s' * (undone != 1)} of {undone_bytes:,} bytes undone"
        if torn:
            detail += f", the last one torn on {', '.join(torn)}"
        return observed(invocation, not left, detail, undone=undone, undone_bytes=undone_bytes, torn=torn)


class Destroyer(Killer):
    """Kills processes, and damages or wipes what they stored."""

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "stop":
            return await super().invoke(invocation)
        left = await self.take_down(how["nodes"])
        if left:
            return observed(invocation, False, f"process still there on {', '.join(left)}")
        told = await each(self._destroy(node, how) for node in how["nodes"])
        detail = "; ".join(
            f"{node}: {text or 'nothing was stored'}" for node, text in zip(how["nodes"], told, strict=True)
        )
        return observed(invocation, all(told), detail)

    async def _destroy(self, node: str, how: Mapping[str, Any]) -> str:
        """Returns what was destroyed; "" if nothing was."""
        machine = self._environment.machines[node]
        if how["fault"] == "wipe":
            await machine.wipe()
            if "flip-bit" in self._environment.abilities and await machine.flip_bit(0):
                return ""
            return "wiped"
        flipped = [await machine.flip_bit(split(how["seed"], number)) for number in range(how["bits"])]
        return ", ".join(flipped) if all(flipped) else ""


class DiskSetter:
    """Makes disks fail, and work again."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._environment = environment
        self._system = system
        self._struck: set[str] = set()

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how, machines = invocation.value, self._environment.machines
        if how["phase"] == "stop":
            return await self._repair(invocation)
        self._struck.update(how["nodes"])
        await each(machines[node].set_disk(DiskCondition(**how["condition"])) for node in how["nodes"])
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            seen = await self._observed(how["nodes"])
            unseen = [node for node, disk in seen.items() if not _is_struck(disk)]
            if not unseen or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        more = {"untouched": unseen} if unseen else {}
        return observed(invocation, _took_effect(how, seen), _prose(seen), **more)

    async def _repair(self, invocation: Invocation) -> Mapping[str, Any]:
        machines = self._environment.machines
        nodes = invocation.value.get("nodes", sorted(self._struck))
        seen = await self._observed(nodes)
        more: dict[str, Any] = {"refused": sum(disk.refused for disk in seen.values())}
        if "strike" in invocation.value:
            more["stood"] = _took_effect(invocation.value, seen)
        gone = [node for node in nodes if not await machines[node].running()]
        if gone:
            more["ended"] = gone
        if invocation.value.get("restarts"):
            await each(machines[node].kill() for node in nodes)
            gone = nodes
        await each(machines[node].set_disk(DiskCondition()) for node in nodes)
        await start_again(self._environment, self._system, gone)
        # Those that still run must answer too: what a full or slow disk did to them is over.
        answers = await answering(self._environment, self._system, invocation, nodes, **more)
        self._struck.difference_update(nodes)
        return answers

    async def _observed(self, nodes: Sequence[str]) -> dict[str, DiskObservation]:
        seen = await each(self._environment.machines[node].read_disk() for node in nodes)
        return dict(zip(nodes, seen, strict=True))


def _took_effect(how: Mapping[str, Any], seen: Mapping[str, DiskObservation]) -> bool:
    """A disk that fails or stalls shows nothing before it is written to, and slow disks have few writers."""
    struck = [_is_struck(disk) for disk in seen.values()]
    return all(struck) if how["condition"].get("full") else any(struck)


def _is_struck(disk: DiskObservation) -> bool:
    return bool(disk.refused or disk.stalled or disk.free_bytes == 0)


def _prose(seen: Mapping[str, DiskObservation]) -> str:
    def told(disk: DiskObservation) -> str:
        words = [f"{disk.refused} refused"] if disk.refused else []
        words += [f"{disk.stalled} held up"] if disk.stalled else []
        words += [f"{disk.free_bytes:,} bytes free"] if disk.free_bytes is not None else []
        return ", ".join(words) or "nothing refused or held up"

    return "; ".join(f"{node}: {told(disk)}" for node, disk in seen.items())


def _held(how: Mapping[str, Any]) -> list[Hold]:
    # The process too: it may end, and nothing else must start it on such a disk.
    return [*(("disk", node) for node in how["nodes"]), *processes_of(how)]


def _struck(targets: Targets, seed: int, turn: int, kinds: Sequence[str]) -> tuple[random.Random, dict[str, Any]]:
    rng, kind = draw(split(seed, turn)), in_turn(kinds, seed, turn)
    return rng, {"target": kind, "nodes": targets.draw(kind, rng)}


def _aim_power_cut(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng, how = _struck(targets, seed, turn, POWER_CUT_KINDS)
    return {**how, "torn": rng.random() < 0.5}


def _aim_condition(
    kinds: Sequence[str],
    condition: Callable[[random.Random], Mapping[str, Any]],
    targets: Targets,
    seed: int,
    turn: int,
) -> Mapping[str, Any]:
    rng, how = _struck(targets, seed, turn, kinds)
    how["condition"] = dict(condition(rng))
    if how["condition"].get("full"):
        how["restarts"] = rng.random() < 0.5
    return how


def _aim_expendable(name: str, targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    if not targets.expendable:
        raise ValueError(f"{name} destroys what a node holds, and the system tolerates that of none; leave it out")
    rng = draw(split(seed, turn))
    count = 1 + int(rng.random() * len(targets.expendable))
    how = {"nodes": sorted(shuffled(rng, targets.expendable)[:count])}
    if name == "bit-flip":
        return {**how, "bits": round(log_uniform(rng, 1, BITS_MOST)), "seed": rng.getrandbits(32)}
    return how


def _conditioned(
    name: str, summary: str, kinds: Sequence[str], condition: Callable[[random.Random], Mapping[str, Any]]
) -> FaultFamily:
    return FaultFamily(
        name=name,
        summary=summary,
        requires=frozenset({name}),
        aim=partial(_aim_condition, kinds, condition),
        holds=_held,
        healed=2,
        nemesis=DiskSetter,
        shortest_s=1.0,
        silence_s=PATIENCE_S,
        targets=tuple(kinds),
    )


def _destroying(name: str, ability: str, summary: str) -> FaultFamily:
    nemesis: Callable[[Environment, System], Nemesis] = Destroyer
    return FaultFamily(
        name=name,
        summary=summary,
        requires=frozenset({ability, "kill"}),
        aim=partial(_aim_expendable, name),
        holds=_held,
        healed=3,
        nemesis=nemesis,
        destroys=lambda how: how["nodes"],
    )


FAMILIES = (
    FaultFamily(
        name="power-cut",
        summary="cut machines off from power: unsynced writes are lost, the last may be torn",
        requires=frozenset({"power-cut", "torn-write"}),
        aim=_aim_power_cut,
        holds=_held,
        healed=3,
        nemesis=PowerCutter,
        targets=POWER_CUT_KINDS,
    ),
    _conditioned("full-disk", "fill disks up, and make room again", ("one", "minority"), lambda rng: {"full": True}),
    _conditioned(
        "failing-disk",
        "let writes and syncs fail with an I/O error",
        ("one", "minority"),
        lambda rng: {"failing": True},
    ),
    _conditioned(
        "stalled-disk",
        "let every sync take longer",
        ("one", "minority", "all"),
        lambda rng: {"stall_s": float(f"{log_uniform(rng, 0.05, 2.0):.3g}")},
    ),
    _destroying("bit-flip", "flip-bit", "flip bits in what a killed node has stored"),
    _destroying("wipe", "wipe", "kill a node and wipe its disk"),
)
