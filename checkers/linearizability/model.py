"""Models: what an object may answer, one operation after the other.

1. A model is an initial state and a step: from a state and a call, the states that the call may leave. No state means
   that the call can't happen in that state, or can't answer there what it did. Several states mean that the object is
   free to choose.
2. States are hashable values. A step never changes one in place.
3. Arguments and results are frozen values: see `frozen_values`.
4. A call with an indeterminate outcome (it crashed, or its completion was never recorded) has `known` False. Its step
   returns what it may leave behind, whatever it would have answered. The search tries, too, that it never takes effect.
5. A failed operation did not happen and never reaches a model. The exception are failures that tell something, such as
   that a compare-and-set met another value: `observes` says which.
6. The hints only make the search faster. A wrong hint makes the verdict wrong, so each says what it promises.
7. The initial state can be given from outside: `initial_state` makes it of a history's value.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.prose import literal

State = Any
"""Hashable; each model has its own."""


class Call(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An operation as a model sees it.

    f, key: the operation and the key it was invoked on. argument: the invocation's value. result: the completion's
    value if the call is known, else None. known: whether it was completed, as `ok` or as an observation. failed:
    whether it is an observation (rule 5). invoked, returned: event indices. `returned` is FOREVER if the call is not
    known: it may take effect at any time after its invocation.
    """

    f: str
    argument: Any
    result: Any = None
    known: bool = True
    failed: bool = False
    invoked: int = 0
    returned: int = FOREVER
    key: str | int | None = None


# Where both argument and result are null the name alone tells whether null is the argument, the answer, or nothing.
_WITH_ARGUMENT = frozenset({"write", "put", "append", "add", "remove", "contains", "enqueue", "push"})
_WITHOUT_ANSWER = frozenset({"acquire", "release"})


def call_text(call: Call) -> str:
    """A call in a sentence.

    >>> call_text(Call("write", 5)), call_text(Call("read", None, None))
    ('write 5', 'read -> null')
    >>> call_text(Call("cas", (1, 2), (1, 2), failed=True)), call_text(Call("dequeue", None, known=False))
    ('cas [1, 2] (failed)', 'dequeue -> ?')
    >>> call_text(Call("write")), call_text(Call("acquire"))
    ('write null', 'acquire')
    """
    if call.argument is None and call.result is None and call.f in _WITHOUT_ANSWER | _WITH_ARGUMENT:
        return f"{call.f} null" if call.f in _WITH_ARGUMENT else call.f
    asked = call.f if call.argument is None else f"{call.f} {literal(call.argument)}"
    if call.failed:
        return f"{asked} (failed)"
    if not call.known:
        return f"{asked} -> ?" if call.argument is None else f"{asked} (crashed)"
    if (call.result is None and call.argument is not None) or call.result == call.argument is not None:
        return asked
    return f"{asked} -> {literal(call.result)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a polynomial algorithm found about the calls of one object.

    linearizable: whether they are. If they are not, text says why in a sentence or two, and calls are those that the
    text speaks of, in the order of their invocations. These alone, from the same initial state, are not linearizable.
    """

    linearizable: bool
    text: str = ""
    calls: tuple[Call, ...] = ()


class Refused(tuple[()]):
    """No states, and why: what a step may return where the call can't happen, for the witness to say.

    >>> refused = Refused("nobody has this account")
    >>> tuple(refused), refused.why
    ((), 'nobody has this account')
    """

    why: str

    def __new__(cls, why: str) -> Refused:
        made = super().__new__(cls, ())
        made.why = why
        return made


class Model:
    """A sequential object. Override `step`, and what else differs."""

    name: str = "model"
    initial: State = None
    """The state before the first call."""
    fs: frozenset[str] | None = None
    """The operations it has; a history with others is refused. None: any."""
    repeating: frozenset[str] = frozenset()
    """The operations whose completion repeats their argument, and may fill it in (`histories.told_arguments`)."""

    def step(self, state: State, call: Call) -> Sequence[State]:
        """The states that the call may leave; () if it can't happen in this state, or `Refused(why)`. Pure."""
        raise NotImplementedError

    def malformed(self, call: Call) -> str | None:
        """What is wrong with the shape of the call's argument or result, as part of a sentence, or None."""
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        """What an initial value must be, as part of a sentence, if this one is something else; None if it will do."""
        return None

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        """The state that an initial value stands for. By default the value is the state.

        value: frozen, and not null. calls: those of the part that starts so, at least one.
        """
        return value

    def read_only(self, call: Call) -> bool:
        """Promises that the call leaves every state in which it can happen as it was."""
        return False

    def commutes(self, call: Call) -> bool:
        """Promises that the call can happen in any state, and trades places with any other call that commutes: both
        answer the same, and leave the same state after both."""
        return False

    def overwrites(self, call: Call) -> bool:
        """Promises that the call can happen in any state, and leaves the same state whichever it was."""
        return False

    def blind(self, call: Call) -> bool:
        """Promises that the call can happen in any state, so that the call alone is no evidence."""
        return self.overwrites(call) or self.commutes(call)

    def leads_to(self, state: State, call: Call) -> bool:
        """Whether the call, which only reads, may happen later.

        False promises that calls which don't overwrite never lead from the state to one in which it can. A subclass
        with more operations must answer for those too.
        """
        return True

    def shows(self, call: Call) -> Iterable[Hashable]:
        """Values that, as the call's answer promises, some earlier call left there or the object held at first."""
        return ()

    def supplies(self, call: Call) -> Iterable[Hashable]:
        """The values that the call may leave there; no other call leaves them. Only for a model with `shows`."""
        return ()

    def held(self, state: State) -> Iterable[Hashable]:
        """The values that an object in that state may show. Only for a model with `shows`."""
        return ()

    def part(self, call: Call) -> Hashable:
        """The part of the object that the call concerns: calls of different parts never influence each other. By
        default the parts are the history's keys."""
        return call.key

    def observes(self, f: str, error: str | None) -> bool:
        """Whether an operation that failed with that error is an observation, as rule 5 has it."""
        return False

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        """What a polynomial algorithm finds, starting from `initial`; None to leave the calls to the search.

        calls: those of one part, in the order of their invocations.
        """
        return None

    def easier(self, calls: Sequence[Call]) -> tuple[Model, Sequence[Call]] | None:
        """The same question about another model, to be searched in place of this one; None if there is none.

        Promises that these calls are linearizable if and only if those are, and so is every selection of them. Both
        have the same invocations and returns, in the same order.
        """
        return None

    def describe(self, state: State) -> str:
        """The state in a sentence."""
        return literal(state)


M = TypeVar("M", bound=Model)


def started(model: M, state: State) -> M:
    """A copy of the model that starts in the state. Raises ValueError if its `initial` can't be set."""
    copied = copy.copy(model)
    try:
        object.__setattr__(copied, "initial", state)
    except (AttributeError, TypeError):
        raise ValueError(
            f"initial: the model {model.name!r} does not let its `initial` be set; make it a plain attribute"
        ) from None
    return copied


class ModelError(ValueError):
    """A user's model failed. The message names the model, the call, and what happened."""


def stepped(model: Model, state: State, call: Call) -> tuple[State, ...]:
    """The model's step, as a tuple of states. Raises ModelError if the step fails or returns something else."""
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
