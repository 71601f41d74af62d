"""The catalogue: workloads and systems by name, from all installed packages that register some.

Entry-point groups: `splitbrain.workloads` and `splitbrain.systems`. Each entry point names a `Workload` or a `System`.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import System
from splitbrain.harness.workload import Workload

WORKLOADS, SYSTEMS = "splitbrain.workloads", "splitbrain.systems"


class UnknownName(ValueError):
    """A name that nothing is registered under. The message lists the names that are registered."""


def workload(name: str) -> Workload:
    """The workload of that name. Raises UnknownName."""
    found: Workload = _load(WORKLOADS, "workload", name)
    return found


def system(name: str) -> System:
    """The system of that name. Raises UnknownName."""
    found: System = _load(SYSTEMS, "system", name)
    return found


def offering(interface: str) -> list[str]:
    """The names of the systems that offer the interface, sorted; those that can't be loaded are left out."""
    found = []
    for name in names(SYSTEMS):
        with suppress(Exception):  # Loading one runs foreign code.
            if interface in system(name).interfaces:
                found.append(name)
    return found


def names(group: str) -> list[str]:
    """The names registered in a group, sorted."""
    return sorted(entry.name for entry in entry_points(group=group))


def _load(group: str, kind: str, name: str) -> Any:
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        known = ", ".join(sorted(found)) or f"none; is the package that registers {group} installed?"
        hint = did_you_mean(name, found) or "; if you have just registered it, install its package again"
        raise UnknownName(f"unknown {kind} {name!r}; known: {known}{hint}")
    return found[name].load()
