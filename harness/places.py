"""Places: a workload, system or model of one's own, by where it is: `file.py:NAME` or `package.module:NAME`.

1. A file is loaded once, whatever it is asked for, and stays the same module if something has imported it already. The
   folder it is in can be imported from, and so can the current one: at the end of the path, so that a file of a user's
   that is called like another module hides none.
2. What can't be had is one line, with the line of the user's file at which it failed. What ends the run under way
   passes through.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from splitbrain.harness.running.interrupts import interrupting, located
from splitbrain.harness.suggestions import did_you_mean


class NoSuchPlace(ValueError):
    """Nothing can be had from there. The message says why."""


def is_place(name: str) -> bool:
    """Whether a name is a place: no name of anything registered has a colon."""
    return ":" in name


def thing_at(place: str) -> Any:
    """What is there. Raises NoSuchPlace."""
    where, _, name = place.rpartition(":")
    module = _module(where)
    try:
        return getattr(module, name)
    except BaseException as problem:  # A module may have a `__getattr__`.
        if interrupting(problem):
            raise
        if not isinstance(problem, AttributeError):
            raise NoSuchPlace(f"can't have {name} of {where} ({located(problem)})") from None
        there = [each for each in vars(module) if not each.startswith("_")]
        raise NoSuchPlace(f"{where} has no {name or 'name'}{did_you_mean(name, there)}") from None


def place_of(thing: object) -> str:
    """Where it is, so that `thing_at` finds it. Raises NoSuchPlace if no module that was loaded from a file has it."""
    here = Path.cwd()
    # Modules are in the order in which their imports ended: what defines it comes before what uses it.
    for module in _from_files():
        for name, value in list(vars(module).items()):
            if value is thing:
                file = Path(str(module.__file__)).resolve()
                return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{name}"
    kind = type(thing).__name__
    raise NoSuchPlace(f"no module has this {kind} under a name, so no command could replay the run; give it one there")


def _module(where: str) -> ModuleType:
    try:
        if where.endswith(".py"):
            return _from_file(where)
        _importable(Path.cwd())
        return importlib.import_module(where)
    except NoSuchPlace:
        raise
    except BaseException as problem:  # A user's code may raise anything.
        if interrupting(problem):
            raise
        raise NoSuchPlace(f"can't import {where or 'a module without a name'} ({located(problem)})") from None


def _from_file(where: str) -> ModuleType:
    path = Path(where).resolve()
    if not path.is_file():
        raise NoSuchPlace(f"there is no file {where}; give its path from here")
    for module in _from_files():
        if Path(str(module.__file__)).resolve() == path:
            return module
    _importable(path.parent)
    name = path.stem if path.stem not in sys.modules else str(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up there while they are made.
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_files() -> Iterator[ModuleType]:
    for module in list(sys.modules.values()):
        # Not by getattr(): a module's own `__getattr__` may import what is lazy, or raise.
        if str(getattr(module, "__dict__", {}).get("__file__")).endswith(".py"):
            yield module


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
