"""Pages: what is stored of a range of the ring, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.parts import Core
from splitbrain.store.ring.ring import Range
from splitbrain.store.storage.replica import DATA
from splitbrain.store.versions.dotted import VersionSet

PAGE_KEYS, PAGE_BYTES = 64, 64 << 10

States = list[tuple[bytes, VersionSet]]


def page_of(core: Core, token_range: Range, after: bytes | None) -> States:
    """What is durable of the next keys of a range, behind the key `after`: as many as a page takes; none at the end."""
    states: States = []
    size = 0
    for key, entry in core.replica.scan(token_range, after):
        states.append((key, entry.state))
        size += len(key) + sum(len(version.value or b"") for version in entry.state.versions)
        if len(states) == PAGE_KEYS or size > PAGE_BYTES:
            break
    return states


def keep(core: Core, states: States, done: Callable[[], None]) -> None:
    """Merge the states here. done: called once all are durable."""
    left = len(states)

    def kept() -> None:
        nonlocal left
        left -= 1
        if not left:
            done()

    if not states:
        done()
    for key, state in states:
        core.replica.merge(DATA, key, state, kept)
    core.counters["keys_received"] += len(states)
