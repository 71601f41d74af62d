"""Fault families: kinds of faults, each a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.system import System


@dataclass(frozen=True)
class FaultFamily:
    """One kind of fault.

    name: as asked for, and as `value.fault` in the history. requires: abilities of the environment.
    lane: families of one lane never strike at the same time. start, stop: the operations that begin and end the n-th
    episode. final: ends all of it. healed: its place among the final operations of other families, lowest first.
    nemesis: performs its operations.
    """

    name: str
    requires: frozenset[str]
    lane: str
    start: Callable[[int], Invocation]
    stop: Callable[[int], Invocation]
    final: Invocation
    healed: int
    nemesis: Callable[[Environment, System], Nemesis]


def observed(invocation: Invocation, effective: bool, detail: str, **more: Any) -> Mapping[str, Any]:
    """The completion's value: the invocation's, and what was observed."""
    return {**invocation.value, "evidence": {"effective": effective, "detail": detail, **more}}
