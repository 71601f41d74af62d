"""Histories of several keys: one that is stale, one that is hard to judge, and several made one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

STALE = """
    a: write 1      |-|
    a: write 2          |-|
    a: read -> 1            |-|
    b: write 7       |-----|
    b: read -> 7                |-|
    c: write 1                      |-|
    c: read -> 3                        |-|
    """


def hard(open_: int = 22, key: str = "h") -> list[Event]:
    """A counter with one harmless read, and then one that shows what no subset of the open adds comes to."""
    asked = [("add", 3**n) for n in range(open_)] + [("read", None)]
    events = [
        ("invoke", 99, "read", None),
        ("ok", 99, "read", 0),
        *(("invoke", n, f, argument) for n, (f, argument) in enumerate(asked)),
        ("ok", open_, "read", 3**open_),
        *(("ok", n, "add", 3**n) for n in range(open_)),
    ]
    return [Event(n, n, process, type_, f, key, value) for n, (type_, process, f, value) in enumerate(events)]  # type: ignore[arg-type]


def numbered(*groups: Sequence[Event]) -> History:
    """Events one group after the other, with processes of their own."""
    events: list[Event] = []
    for group_number, group in enumerate(groups):
        for event in group:
            assert isinstance(event.process, int)
            at = len(events)
            events.append(
                msgspec.structs.replace(event, index=at, time=at, process=event.process + 1000 * group_number)
            )
    return History(events)
