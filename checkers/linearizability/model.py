"""Models: what an object may answer, one operation after the other.

1. A model is a start and a step: from a state and a call, the states the call may leave. None means that the call can't
   happen in that state, or can't answer there what it did; several, that the object is free to choose.
2. States are values: hashable, never changed in place.
3. A call whose result nobody knows (it crashed, or its completion never came) has `known` False: its step returns what
   it may leave behind whatever it answered. It may also never take effect; that is the search's business, not the model's.
4. A failed operation certainly did not happen and never reaches a model, unless the model says (`observes`) that its
   failure tells something, such as that a compare-and-set met another value.
5. The hints only make the search faster. A wrong hint makes it wrong, so each says what it promises.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from checkers.columns import FOREVER
from checkers.history import Operation

State = Any
"""Hashable; each model has its own."""


class Call(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An operation as a model sees it.

    f, key: what was asked, and of which key. argument: the invocation's value. result: the completion's value where the
    call is known. known: whether it completed as `ok`. failed: it completed as `fail` and is an observation (rule 4).
    invoked, returned: event indices; `returned` is FOREVER where the call is not known, for it may take effect at any
    time. number: of the operation in the history.
    """

    f: str
    argument: Any
    result: Any = None
    known: bool = True
    failed: bool = False
    invoked: int = 0
    returned: int = FOREVER
    key: str | int | None = None
    number: int = 0


class Model:
    """A sequential object. Override `step`, and what else differs."""

    name: str = "model"
    initial: State = None
    fs: frozenset[str] | None = None
    """The operations it knows; others are refused by name. None: any."""

    def step(self, state: State, call: Call) -> Sequence[State]:
        """The states that the call may leave, () if it can't be. Pure."""
        raise NotImplementedError

    def read_only(self, call: Call) -> bool:
        """Promises that the call leaves every state in which it can happen as it was."""
        return False

    def commutes(self, call: Call) -> bool:
        """Promises that the call can happen in any state, and that it and any other call of which this is said can
        trade places: the same results, and the same state after both."""
        return False

    def part(self, call: Call) -> Hashable:
        """Calls of different parts never influence each other. By default the parts are the history's keys."""
        return call.key

    def observes(self, operation: Operation) -> bool:
        """Whether that failed operation is an observation rather than nothing."""
        return False

    def describe(self, state: State) -> str:
        """The state in a sentence."""
        return repr(state)
