"""Models: what an object may answer, one operation after the other.

1. A model is a start and a step: from a state and a call, the states the call may leave. None means that the call can't
   happen in that state, or can't answer there what it did; several, that the object is free to choose.
2. States are values: hashable, never changed in place.
3. Arguments and results are values too (`freeze`): lists come as tuples, objects as Fields, true and false as TRUE and
   FALSE, numbers with a fraction as Decimal: Python's True and 1.0 are equal to 1, and no database's are.
4. A call whose result nobody knows (it crashed, or its completion never came) has `known` False: its step returns what
   it may leave behind whatever it answered. That it may never take effect is the search's business.
5. A failed operation certainly did not happen and never reaches a model, unless the model says (`observes`) that its
   failure tells something, such as that a compare-and-set met another value.
6. The hints only make the search faster. A wrong hint makes it wrong, so each says what it promises.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.prose import literal

if TYPE_CHECKING:
    from splitbrain.checkers.linearizability.finding import Finding

State = Any
"""Hashable; each model has its own."""


class Truth(enum.Enum):
    """true and false, equal to nothing but themselves."""

    TRUE = True
    FALSE = False

    def __bool__(self) -> bool:
        return self is Truth.TRUE

    def __repr__(self) -> str:
        return self.name.lower()

    __str__ = __repr__


TRUE, FALSE = Truth.TRUE, Truth.FALSE
_PLAIN = frozenset({int, str, type(None)})


@dataclass(frozen=True)
class Fields:
    """An object: pairs of name and value, by name. Equal to no list of pairs."""

    pairs: tuple[tuple[str, Hashable], ...]

    @property
    def value(self) -> dict[str, Hashable]:
        return dict(self.pairs)


@dataclass(frozen=True)
class Decimal:
    """A number with a fraction or an exponent. 1.0 is not 1: what a system answers in another type it has changed."""

    value: float


def freeze(value: Any) -> Hashable:
    """A history's value as one that can be compared and hashed (rule 3). O(its size).

    >>> freeze([1, {"b": [], "a": True}])
    (1, Fields(pairs=(('a', true), ('b', ()))))
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return TRUE if value else FALSE
    if kind is list or kind is tuple:
        return tuple(value) if _PLAIN.issuperset(map(type, value)) else tuple(map(freeze, value))
    if kind is dict:
        return Fields(tuple(sorted(((str(key), freeze(each)) for key, each in value.items()), key=itemgetter(0))))
    if kind is float:
        return Decimal(value)
    if isinstance(value, Hashable):
        return value
    raise TypeError(f"{value!r} is no value of a history")


class Call(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An operation as a model sees it.

    f, key: what was asked, and of which key. argument: the invocation's value. result: the completion's where the call
    is known. known: whether it was completed, as `ok` or as an observation. failed: it is an observation (rule 5).
    invoked, returned: event indices; `returned` is FOREVER where the call is not known: it may take effect at any time.
    """

    f: str
    argument: Any
    result: Any = None
    known: bool = True
    failed: bool = False
    invoked: int = 0
    returned: int = FOREVER
    key: str | int | None = None


class Model:
    """A sequential object. Override `step`, and what else differs."""

    name: str = "model"
    initial: State = None
    fs: frozenset[str] | None = None
    """The operations it knows; others are refused by name. None: any."""

    def step(self, state: State, call: Call) -> Sequence[State]:
        """The states that the call may leave, () if it can't be. Pure."""
        raise NotImplementedError

    def malformed(self, call: Call) -> str | None:
        """What is wrong with the shape of the call's argument or result, as part of a sentence, or None."""
        return None

    def read_only(self, call: Call) -> bool:
        """Promises that the call leaves every state in which it can happen as it was."""
        return False

    def commutes(self, call: Call) -> bool:
        """Promises that the call can happen in any state, and that it and any other call of which this is said can
        trade places: the same results, and the same state after both."""
        return False

    def overwrites(self, call: Call) -> bool:
        """Promises that the call can happen in any state, and that the state it leaves is the same whichever it was."""
        return False

    def blind(self, call: Call) -> bool:
        """Promises that the call can happen in any state: nothing can be learnt from it alone."""
        return self.overwrites(call) or self.commutes(call)

    def leads_to(self, state: State, call: Call) -> bool:
        """False promises that calls which don't overwrite never lead from the state to one in which that call, which
        reads only, can be. A subclass with more operations has to answer for those too."""
        return True

    def part(self, call: Call) -> Hashable:
        """Calls of different parts never influence each other. By default the parts are the history's keys."""
        return call.key

    def observes(self, f: str, error: str | None) -> bool:
        """Whether an operation that failed with that error is an observation rather than nothing."""
        return False

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        """What a polynomial algorithm says of the calls of one part, in the order of their invocations; None where it
        can't say (values are not distinct, perhaps) and the search must judge."""
        return None

    def describe(self, state: State) -> str:
        """The state in a sentence."""
        return literal(state)


class ModelError(ValueError):
    """A model of somebody's own that failed: names it, the call, and what it did."""


def stepped(model: Model, state: State, call: Call) -> tuple[State, ...]:
    """The model's step, held to its promise. Raises ModelError if it fails or returns no states."""
    try:
        following = model.step(state, call)
        if type(following) is tuple:
            hash(following)
            return following
        if isinstance(following, Iterable) and not isinstance(following, str | bytes):
            found = tuple(following)
            hash(found)
            return found
    except Exception as problem:
        raise ModelError(
            f"the model {model.name!r} failed at {_shown(call)}: {type(problem).__name__}: {problem}"
        ) from problem
    raise ModelError(
        f"the model {model.name!r} returned {following!r:.60} from step at {_shown(call)}; "
        "return a tuple of states, () for a call that can't be"
    )


def _shown(call: Call) -> str:
    return f"{call.f} {literal(call.argument)}, answered {literal(call.result)}"
