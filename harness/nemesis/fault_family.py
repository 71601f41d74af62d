"""Fault families: kinds of faults, each a value.

1. A family draws what a strike does before the run (`aim`). Its nemesis does it.
2. A nemesis observes whether an action took effect, and records that as evidence. It never trusts the command.
3. Other packages add families through the entry-point group `splitbrain.faults`; each entry names a `FaultFamily`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.nemesis.strike import Hold
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.system import System

Aim = Callable[[Targets, int, int], Mapping[str, Any]]
"""(whom it may strike, the family's seed, the strike's number within the family) -> the strike's `how`."""


@dataclass(frozen=True)
class FaultFamily:
    """One kind of fault.

    name: as asked for, and as `value.fault` in the history. summary: one line for `splitbrain list`. requires:
    abilities of the environment. aim: draws one strike. holds: what a strike has to itself, by its `how`. healed: the
    place of its end among those of other families, lowest first. nemesis: performs its three operations: the start of
    a strike, its stop, and a stop without a strike, which ends all of the family. Their value is the strike's `how`,
    with `fault`, `phase` ("start" or "stop"), and `strike`, its number. start, stop: the operations' names; "" for
    `start-<name>` and `stop-<name>`. fewest_nodes: that it needs. shortest_s, longest_s: how long a strike is held.
    silence_s: what a strike takes besides, wherever it runs. destroys: nodes whose copies a strike may take, by its
    `how`: never more in a run than the system tolerates. changes_members: it has nodes join or leave. lasts: its first
    strike takes all of its time, instead of a drawn part. shapes, targets: the strikes' `shape` and `target`, as far as
    one may be chosen by name (`asked`).
    """

    name: str
    summary: str
    requires: frozenset[str]
    aim: Aim
    holds: Callable[[Mapping[str, Any]], Collection[Hold]]
    healed: int
    nemesis: Callable[[Environment, System], Nemesis]
    start: str = ""
    stop: str = ""
    fewest_nodes: int = 1
    shortest_s: float = 0.5
    longest_s: float = 10.0
    silence_s: float = 0.0
    destroys: Callable[[Mapping[str, Any]], Collection[str]] = lambda how: ()
    changes_members: bool = False
    lasts: bool = False
    shapes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def observed(invocation: Invocation, effective: bool, detail: str, **more: Any) -> Mapping[str, Any]:
    """The completion's value: the invocation's, and what was observed."""
    return {**invocation.value, "evidence": {"effective": effective, "detail": detail, **more}}


def processes_of(how: Mapping[str, Any]) -> list[Hold]:
    """The processes of the nodes that a strike names."""
    return [("process", node) for node in how["nodes"]]


def holder(invocation: Invocation) -> str | None:
    """By which name a strike's work on the network is known; None for a stop that ends all of the family."""
    strike = invocation.value.get("strike")
    return None if strike is None else f"{invocation.value['fault']}-{strike}"
