"""Simpler operations: fewer processes, rounder times, smaller values; none is taken out here.

1. Every function gives other scripts with the same operations in the same order.
2. Values are not understood. Whole numbers in them are renumbered by size from 0, keys from the first on, nodes
   likewise: who relies on a number being that one keeps no failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.replays.scripted import ScriptedOperation

Operations = tuple[ScriptedOperation, ...]
GRIDS_S = (0.1, 0.01, 0.001)
GAP_S = 0.5
"""What nothing happens in, at most, once dead time was taken out."""


def merged(operations: Operations) -> Iterator[Operations]:
    """With one process less: the operations of one, and their nodes, are another's."""
    processes = sorted({operation.process for operation in operations})
    homes = {operation.process: operation.node for operation in reversed(operations)}
    for gone in reversed(processes):
        for other in processes:
            if other < gone:
                yield tuple(
                    each if each.process != gone else msgspec.structs.replace(each, process=other, node=homes[other])
                    for each in operations
                )


def renumbered(operations: Operations) -> Operations:
    """With processes from 0 on, without a gap."""
    numbers = {process: at for at, process in enumerate(sorted({operation.process for operation in operations}))}
    return tuple(msgspec.structs.replace(each, process=numbers[each.process]) for each in operations)


def evenly_spaced(operations: Operations, strikes: Sequence[Strike]) -> Iterator[Operations]:
    """With times on a grid, the coarsest first; without strikes also one after another, at equal distances."""
    if not strikes:
        for step_s in GRIDS_S[:2]:
            yield tuple(msgspec.structs.replace(each, at_s=round(at * step_s, 9)) for at, each in enumerate(operations))
    for grid_s in GRIDS_S:
        yield tuple(
            msgspec.structs.replace(each, at_s=round(round(each.at_s / grid_s) * grid_s, 9)) for each in operations
        )


def condensed(operations: Operations, strikes: Sequence[Strike]) -> tuple[Operations, tuple[Strike, ...]]:
    """Without dead time: nothing waits for longer than `GAP_S`, but for the end of a strike."""
    moments = sorted({*(each.at_s for each in operations), *(moment for each in strikes for moment in _ends(each))})
    moved: dict[float, float] = {}
    before = at_s = 0.0
    for moment in moments:
        at_s = round(at_s + min(moment - before, GAP_S), 9)
        moved[moment], before = at_s, moment
    return (
        tuple(msgspec.structs.replace(each, at_s=moved[each.at_s]) for each in operations),
        tuple(
            msgspec.structs.replace(each, at_s=moved[each.at_s], for_s=round(moved[each.end_s] - moved[each.at_s], 9))
            for each in strikes
        ),
    )


def _ends(strike: Strike) -> tuple[float, float]:
    return strike.at_s, strike.end_s


def with_small_values(operations: Operations) -> Operations:
    """With the whole numbers in values renumbered by size."""
    found = {number for each in operations for number in _numbers(each.value)}
    small = {number: at for at, number in enumerate(sorted(found))}
    return tuple(msgspec.structs.replace(each, value=_mapped(each.value, small.__getitem__)) for each in operations)


def with_first_keys(operations: Operations) -> tuple[Operations, int]:
    """With keys numbered from 0 on ("r7" becomes "r0"), those with one prefix together. Keys without a number stay.

    Returns how many there are of the prefix that has most, besides.
    """
    names: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for key in sorted({each.key for each in operations if each.key is not None}):
        prefix = key.rstrip("0123456789")
        if prefix != key:
            names[key] = f"{prefix}{taken[prefix]}"
            taken[prefix] += 1
    renamed = tuple(
        msgspec.structs.replace(each, key=None if each.key is None else names.get(each.key, each.key))
        for each in operations
    )
    return renamed, max(taken.values(), default=0)


def with_names(
    operations: Operations, strikes: Sequence[Strike], names: Mapping[str, str]
) -> tuple[Operations, tuple[Strike, ...]]:
    """With other names of nodes, wherever one occurs."""
    return (
        tuple(
            msgspec.structs.replace(each, node=None if each.node is None else names[each.node]) for each in operations
        ),
        tuple(msgspec.structs.replace(each, how=_renamed(each.how, names)) for each in strikes),
    )


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _renamed(inner, names) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def _numbers(value: Any) -> Iterator[int]:
    """Every whole number in the value."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _mapped(value: Any, change: Callable[[int], int]) -> Any:
    """The value with every whole number in it changed."""
    if isinstance(value, Mapping):
        return {name: _mapped(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, int) and not isinstance(value, bool) else value
