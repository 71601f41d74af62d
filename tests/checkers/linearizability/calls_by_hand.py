"""Calls and histories on one key, written by hand."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.model import Call


def known(f: str, argument: Any = None, result: Any = None) -> Call:
    return Call(f, freeze(argument), freeze(result))


def crashed(f: str, argument: Any = None) -> Call:
    return Call(f, freeze(argument), None, known=False)


def refused(argument: Any) -> Call:
    """A cas that failed because it met another value."""
    return Call("cas", freeze(argument), freeze(argument), failed=True)


def history_of(*events: tuple[int, str, str, Any]) -> History:
    """A history on the key "k": process, type, operation and value of each event."""
    return History([Event(n, n, process, type_, f, "k", value) for n, (process, type_, f, value) in enumerate(events)])  # type: ignore[arg-type]
