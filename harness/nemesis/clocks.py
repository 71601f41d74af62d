"""Clock faults: programs that see the wrong time.

1. A strike of `clock` makes the calendar clocks of some nodes wrong, each in its own way: by an offset (skew), by
   another one every few seconds (jump), by more and more (drift), or now and then (strobe). At its stop they are right.
2. A strike of `timers` makes the monotonic clocks and all timers of some nodes fast or slow.
3. It took effect if the clocks, read through the programs' own eyes, are wrong as they should be. A drift is read
   twice, `WATCHED_S` or more apart. It is over if they are right again: within `TOLERANCE_S`, for to read takes time
   as well.
4. If a clock that was to be wrong was right before the stop, the strike did not stand.

After Jepsen's clock nemesis (Kyle Kingsbury): bump and strobe are his.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from splitbrain.harness.environment import ClockSetting, Environment
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed
from splitbrain.harness.nemesis.nodes.processes import each
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, log_uniform, split
from splitbrain.harness.system import System

LEAST_OFFSET_S, MOST_OFFSET_S = 0.1, 3600.0
LEAST_DRIFT, MOST_DRIFT = 0.05, 0.5
STROBE_S = (0.05, 0.2)
JUMP_S = (0.5, 3.0)
WATCHED_S = 1.0
WATCHES = 8
TOLERANCE_S = 0.05
"""How far off a reading may be. Half of the least offset; a drift is allowed to be off by half."""
SHAPES = ("skew", "jump", "drift", "strobe")
KINDS = ("one", "minority", "all")


def _signed(rng: random.Random, least: float, most: float) -> float:
    size = float(f"{log_uniform(rng, least, most):.3g}")
    return size if rng.random() < 0.5 else -size


def _aim_clock(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng = draw(split(seed, turn))
    shape, kind = in_turn(SHAPES, seed, turn), choose(rng, KINDS)
    nodes = targets.draw(kind, rng)
    how: dict[str, Any] = {"shape": shape, "target": kind, "nodes": nodes}
    if shape == "drift":
        return {**how, "drift": {node: _signed(rng, LEAST_DRIFT, MOST_DRIFT) for node in nodes}}
    offsets = {node: _signed(rng, LEAST_OFFSET_S, MOST_OFFSET_S) for node in nodes}
    if shape == "skew":
        return {**how, "offset_s": offsets}
    least_s, most_s = JUMP_S if shape == "jump" else STROBE_S
    every_s = round(log_uniform(rng, least_s, most_s), 3)
    return {**how, "offset_s": offsets, "every_s": every_s, "seed": rng.getrandbits(32)}


def _aim_timers(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
    rng = draw(split(seed, turn))
    kind = in_turn(KINDS, seed, turn)
    nodes = targets.draw(kind, rng)
    return {"target": kind, "nodes": nodes, "drift": {node: _signed(rng, LEAST_DRIFT, MOST_DRIFT) for node in nodes}}


def _holds(how: Mapping[str, Any]) -> list[Hold]:
    return [("clock", node) for node in how["nodes"]]


class ClockSetter:
    """Makes calendar clocks wrong, and right again."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._machines = environment.machines
        self._members = environment.members
        self._changing: dict[int, asyncio.Task[None]] = {}
        self._times: dict[int, int] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        if how["phase"] == "stop":
            return await self._right(invocation)
        await self._set({node: _setting(how, node) for node in how["nodes"]})
        wrong = await self._wrong(how)
        if "every_s" in how:
            number = how["strike"]
            self._times[number] = 1
            self._changing[number] = asyncio.create_task(self._change(how))
        detail = ", ".join(_told(node, *wrong[node], "drift" in how) for node in how["nodes"])
        return observed(invocation, all(as_set for _, as_set in wrong.values()), detail)

    async def _right(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        nodes = how.get("nodes", list(self._members))
        seen: dict[str, Any] = {}
        numbers = [how["strike"]] if "strike" in how else list(self._changing)
        changed = [await self._stop_changing(number) for number in numbers if number in self._changing]
        if changed:
            seen["set"] = sum(changed)
        elif "strike" in how:
            readings = await self._read(nodes)
            seen["stood"] = all(abs(readings[node]) > TOLERANCE_S for node in nodes)
        await self._set(dict.fromkeys(nodes, ClockSetting()))
        readings = await self._read(nodes)
        off = {node: reading for node, reading in readings.items() if abs(reading) > TOLERANCE_S}
        told = ", ".join(f"{node} {reading:+.3f} s" for node, reading in off.items())
        return observed(invocation, not off, told or f"right on {', '.join(nodes)}", **seen)

    async def _wrong(self, how: Mapping[str, Any]) -> dict[str, tuple[float, bool]]:
        """By node: how wrong its clock is, and whether that is what was to be."""
        nodes = how["nodes"]
        if "drift" not in how:
            seen = await self._read(nodes)
            return {node: (seen[node], abs(seen[node] - how["offset_s"][node]) <= TOLERANCE_S) for node in nodes}
        rates = await each(_rate(self._machines[node].read_clock) for node in nodes)
        return {node: (rate, _near(rate, how["drift"][node])) for node, rate in zip(nodes, rates, strict=True)}

    async def _change(self, how: Mapping[str, Any]) -> None:
        """Set the clocks again and again: to right and wrong in turns, or to another offset each time."""
        rng = draw(how["seed"])
        wrong = True
        while True:
            await asyncio.sleep(how["every_s"])
            wrong = not wrong or how["shape"] == "jump"
            if how["shape"] == "jump":
                settings = {node: ClockSetting(_signed(rng, LEAST_OFFSET_S, MOST_OFFSET_S)) for node in how["nodes"]}
            else:
                settings = {node: _setting(how, node) if wrong else ClockSetting() for node in how["nodes"]}
            await self._set(settings)
            self._times[how["strike"]] += 1

    async def _stop_changing(self, number: int) -> int:
        """Raises what went wrong meanwhile."""
        task = self._changing.pop(number)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return self._times.pop(number)

    async def _set(self, clocks: Mapping[str, ClockSetting]) -> None:
        await each(self._machines[node].set_clock(clock) for node, clock in clocks.items())

    async def _read(self, nodes: list[str]) -> dict[str, float]:
        readings = await each(self._machines[node].read_clock() for node in nodes)
        return dict(zip(nodes, readings, strict=True))


class TimerSetter:
    """Makes monotonic clocks run fast or slow, and right again."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._machines = environment.machines
        self._members = environment.members

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        how = invocation.value
        nodes = how.get("nodes", list(self._members))
        seen: dict[str, Any] = {}
        if how["phase"] == "start":
            drift = how["drift"]
        else:
            if "strike" in how:
                stood = await self._rates(nodes)
                seen["stood"] = all(_near(stood[node], how["drift"][node]) for node in nodes)
            drift = dict.fromkeys(nodes, 0.0)
        await each(self._machines[node].set_clock(ClockSetting(monotonic_drift=drift[node])) for node in nodes)
        rates = await self._rates(nodes)
        near = {node: _near(rates[node], drift[node]) for node in nodes}
        detail = ", ".join(_told(node, rates[node], near[node], drifts=True) for node in nodes)
        return observed(invocation, all(near.values()), detail, **seen)

    async def _rates(self, nodes: list[str]) -> dict[str, float]:
        """By how much each one's monotonic clock gains, in seconds a second."""
        rates = await each(_rate(self._machines[node].read_monotonic) for node in nodes)
        return {node: rate - 1 for node, rate in zip(nodes, rates, strict=True)}


async def _rate(read: Callable[[], Awaitable[float]]) -> float:
    """By how much what is read grows, in seconds a second.

    A reading may take a while on a busy machine, and when it was taken is known only as well as that. So the watch goes
    on until both readings together took little beside it.
    """
    first, first_at_s, first_took_s = await _timed(read)
    for _ in range(WATCHES):
        await asyncio.sleep(WATCHED_S)
        later, at_s, took_s = await _timed(read)
        if first_took_s + took_s <= (at_s - first_at_s) / 4:
            break
    return (later - first) / (at_s - first_at_s)


async def _timed(read: Callable[[], Awaitable[float]]) -> tuple[float, float, float]:
    """What was read, the middle of the time that it took, and how long it took, in seconds."""
    time = asyncio.get_running_loop().time
    began_s = time()
    reading = await read()
    ended_s = time()
    return reading, (began_s + ended_s) / 2, ended_s - began_s


def _setting(how: Mapping[str, Any], node: str) -> ClockSetting:
    return ClockSetting(offset_s=how.get("offset_s", {}).get(node, 0.0), drift=how.get("drift", {}).get(node, 0.0))


def _near(rate: float, drift: float) -> bool:
    return abs(rate - drift) <= max(abs(drift) / 2, LEAST_DRIFT / 2)


def _told(node: str, reading: float, as_set: bool, drifts: bool) -> str:
    return f"{node} {reading:+.3f} {'s/s' if drifts else 's'}, {'as set' if as_set else 'not as set'}"


FAMILIES = (
    FaultFamily(
        name="clock",
        summary="set calendar clocks wrong: an offset, jumps, a drift, or back and forth",
        requires=frozenset({"clock"}),
        aim=_aim_clock,
        holds=_holds,
        healed=1,
        nemesis=ClockSetter,
        silence_s=WATCHED_S,
        shapes=SHAPES,
        targets=KINDS,
    ),
    FaultFamily(
        name="timers",
        summary="let monotonic clocks and timers run fast or slow",
        requires=frozenset({"monotonic-clock"}),
        aim=_aim_timers,
        holds=_holds,
        healed=1,
        nemesis=TimerSetter,
        silence_s=2 * WATCHED_S,
        targets=KINDS,
    ),
)
