"""A finding: what a polynomial algorithm says of the calls of one object."""

from __future__ import annotations

from dataclasses import dataclass

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call


@dataclass(frozen=True, slots=True)
class Finding:
    """linearizable: whether the calls are. Where they are not: text says why in a sentence or two that a person can
    follow, and calls are those it speaks of, in the order of their invocations; they alone are not linearizable."""

    linearizable: bool
    text: str = ""
    calls: tuple[Call, ...] = ()


# Where both argument and result are null the name alone tells whether null was asked, answered, or means nothing.
_TAKE = frozenset({"write", "put", "append", "add", "remove", "contains", "enqueue", "push"})
_SAY_NOTHING = frozenset({"acquire", "release"})


def told(call: Call) -> str:
    """A call in a sentence.

    >>> told(Call("write", 5)), told(Call("read", None, None)), told(Call("cas", (1, 2), (1, 2), failed=True))
    ('write 5', 'read -> null', 'cas [1, 2] (failed)')
    >>> told(Call("dequeue", None, known=False)), told(Call("write")), told(Call("acquire"))
    ('dequeue -> ?', 'write null', 'acquire')
    """
    if call.argument is None and call.result is None and call.f in _SAY_NOTHING | _TAKE:
        return f"{call.f} null" if call.f in _TAKE else call.f
    asked = call.f if call.argument is None else f"{call.f} {literal(call.argument)}"
    if call.failed:
        return f"{asked} (failed)"
    if not call.known:
        return f"{asked} -> ?" if call.argument is None else f"{asked} (crashed)"
    if (call.result is None and call.argument is not None) or call.result == call.argument is not None:
        return asked
    return f"{asked} -> {literal(call.result)}"
