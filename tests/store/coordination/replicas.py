"""A key of a cluster in a box: its primaries, the other nodes, and whether anybody stored anything."""

from __future__ import annotations


def key_and_primaries(box):
    key = next(box.keys())
    return key, box.ring.primaries(key)


def strangers(box, key):
    return [name for name in box.names if name not in box.ring.primaries(key)]


def nothing_stored(box, key):
    return not any(box.state(name, key).versions for name in box.names) and not box.hints()
