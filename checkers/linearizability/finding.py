"""A finding: what a polynomial algorithm says of the calls of one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checkers.linearizability.model import Call


@dataclass(frozen=True, slots=True)
class Finding:
    """linearizable: whether the calls are. Where they are not: text says why in a sentence or two that a person can
    follow, and calls are those it speaks of, in the order of their invocations; they alone are not linearizable."""

    linearizable: bool
    text: str = ""
    calls: tuple[Call, ...] = ()


Shortcut = Callable[[Sequence[Call]], Finding | None]
"""Judges the calls of one object, in the order of their invocations; None where its conditions don't hold (values that
are not distinct, say), and the search must judge."""
