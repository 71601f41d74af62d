"""The catalogue: workloads and systems by name.

1. Installed packages register them under the entry-point groups `splitbrain.workloads` and `splitbrain.systems`. Each
   entry point names a `Workload` or a `System`.
2. One that no package registers is named by where it is (`places`): `file.py:NAME`.
3. Each has one name by which the command line finds it again.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from splitbrain.harness.places import NoSuchPlace, is_place, place_of, thing_at
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import System
from splitbrain.harness.workload import Workload

WORKLOADS, SYSTEMS = "splitbrain.workloads", "splitbrain.systems"


class UnknownName(ValueError):
    """A name that nothing is registered under. The message lists the names that are registered."""


def workload(name: str) -> Workload:
    """The workload of that name. Raises UnknownName."""
    found: Any = _load(WORKLOADS, "workload", name)
    if is_place(name) and not isinstance(found, Workload):
        raise UnknownName(f"{name} is of type {type(found).__name__}; a workload is a splitbrain.Workload")
    checked: Workload = found
    return checked


def system(name: str) -> System:
    """The system of that name. Raises UnknownName."""
    found: Any = _load(SYSTEMS, "system", name)
    if is_place(name) and (isinstance(found, type) or not isinstance(found, System)):
        what = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise UnknownName(f"{name} is {what}; a system is an instance of a class with all that splitbrain.System has")
    checked: System = found
    return checked


def name_of(group: str, thing: object) -> str:
    """The name under which it is found again: the one it is registered by, or its place. Raises UnknownName."""
    for entry in entry_points(group=group):
        module = sys.modules.get(entry.module)
        if module is not None and getattr(module, entry.attr, None) is thing:
            return entry.name
    try:
        return place_of(thing)
    except NoSuchPlace as problem:
        raise UnknownName(str(problem)) from None


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
    if name not in found and is_place(name):
        try:
            return thing_at(name)
        except NoSuchPlace as problem:
            raise UnknownName(f"{kind} {name}: {problem}") from None
    if name not in found:
        known = ", ".join(sorted(found)) or f"none; is the package that registers {group} installed?"
        hint = did_you_mean(name, found) or "; if you have just registered it, install its package again"
        raise UnknownName(f"unknown {kind} {name!r}; known: {known}{hint}")
    try:
        return found[name].load()
    except ModuleNotFoundError as problem:
        # A system of this package whose client is an extra is named like its module.
        module = found[name].module
        if not module.startswith("splitbrain.") or (problem.name or "").startswith("splitbrain"):
            raise
        extra = module.rpartition(".")[2]
        raise UnknownName(
            f"{kind} {name} needs {problem.name}, which is not installed; run `pip install 'splitbrain[{extra}]'`"
        ) from None
