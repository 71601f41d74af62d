"""A portrait of a node or a client: all that it is made of, but for what anybody may change.

Two portraits are equal if and only if the same things have the same values in the same order: records, views, opinions
about peers, open requests, timers and what they will do, half messages, windows, even the state of the random generator.
"""

from __future__ import annotations

import functools
import itertools
import random
import types
from enum import Enum
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from splitbrain.store.scheduling.timers import Present
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.long_messages import LongMessages
from splitbrain.store.wire.peer import Peer
from splitbrain.store.wire.rejections import Rejections
from splitbrain.store.wire.rpc import Rpc

PLAIN = (int, float, str, bytes, Enum, types.NoneType, type, types.ModuleType)
OPAQUE = (
    AESGCM,
    Rejections,
    types.BuiltinFunctionType,
    itertools.count,
    msgspec.msgpack.Decoder,
    msgspec.msgpack.Encoder,
)
ANYBODYS = {Rpc: {"counters"}, LongMessages: {"_counters"}, Wire: {"_sequence"}, Peer: {"says"}, Present: {"now"}}
"""Counters; how many hellos went out; what a peer says, for people. the moment. `Notices`: whom it told what, and when."""


def portrait(root: object) -> list[object]:
    """O(everything that can be reached from there)."""
    found: list[object] = []
    numbers: dict[int, int] = {}
    kept: list[object] = []
    stack: list[object] = [root]
    while stack:
        each = stack.pop()
        if isinstance(each, PLAIN):
            found.append(each)
            continue
        number = numbers.get(id(each))
        if number is not None:
            found.append(number)
            continue
        numbers[id(each)] = len(numbers)
        kept.append(each)  # Else another thing might get its id.
        found.append(type(each).__name__)
        stack.extend(reversed(_parts(each)))
    return found


def difference(before: list[object], after: list[object]) -> str:
    """Where two portraits differ first, and what is written around that place; "" if they are equal."""
    if before == after:
        return ""
    place = next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )
    around = slice(max(0, place - 30), place + 8)
    return f"before: {before[around]}\nafter: {after[around]}"


def _parts(each: Any) -> list[object]:
    match each:
        case random.Random():
            return [hash(each.getstate())]
        case types.BuiltinMethodType() if isinstance(each.__self__, random.Random):
            return [each.__self__]
        case itertools.count():
            return [repr(each)]
        case _ if isinstance(each, OPAQUE):
            return []
        case types.FunctionType():
            return [each.__qualname__, *(cell.cell_contents for cell in each.__closure__ or ())]
        case types.MethodType():
            return [each.__func__.__qualname__, each.__self__]
        case functools.partial():
            return [each.func, *each.args, *each.keywords.values()]
        case dict():
            parts: list[object] = [*each.keys(), *each.values()]
        case list() | tuple():
            parts = list(each)
        case set() | frozenset():
            parts = sorted(each, key=repr)
        case _:
            parts = []
    return parts + _fields(each)


def _fields(each: Any) -> list[object]:
    if isinstance(each, tuple | frozenset):
        return []
    names = [*getattr(each, "__dict__", ()), *getattr(each, "__struct_fields__", ())]
    for base in type(each).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    unseen = next((left for kind, left in ANYBODYS.items() if type(each) is kind), set())
    return [
        part
        for name in names
        if name not in unseen and not name.startswith("__") and hasattr(each, name)
        for part in (name, getattr(each, name))
    ]
