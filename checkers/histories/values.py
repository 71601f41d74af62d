"""Values: when two are the same, and the refusal of those of the wrong shape.

1. Two values are the same if they are the same JSON, whatever the order of an object's fields. `true` is not 1, and
   neither is 1.0 or "1".
2. A value of the wrong shape is refused with its line, the rule that it breaks, the operation, and the value.
3. An operation that the object does not have is refused too: its effect on the object is not defined. Replica polls
   (`replica_polls`) are no client operations and change nothing; they are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.histories.replica_polls import client_operations
from splitbrain.checkers.histories.told_arguments import filled_in


def identity(value: Any) -> Hashable:
    """A key to compare and look up a value by: equal for the same values, and for no others. O(size).

    >>> identity(True) == identity(1), identity({"a": [], "b": 2}) == identity({"b": 2, "a": []})
    (False, True)
    """
    if type(value) is int or type(value) is str:
        return value
    return json.dumps(_named(value), sort_keys=True).encode()  # Bytes: equal to no string.


def _named(value: Any) -> Any:
    """The value with all field names as strings. Other notations than JSON allow integers."""
    match value:
        case dict():
            return {str(name): _named(each) for name, each in value.items()}
        case list() | tuple():
            return [_named(each) for each in value]
        case _:
            return value


def is_integer(value: Any) -> bool:
    """Whether a value is an integer; true and false are not.

    >>> is_integer(1), is_integer(True), is_integer(1.0)
    (True, False, False)
    """
    return type(value) is int


def is_name(value: Any) -> bool:
    """Whether a value can name something, such as an account: an integer or a string."""
    return type(value) is int or type(value) is str


def refusal(event: Event, rule: str) -> HistoryError:
    """The error for an event whose value breaks a rule (`an add needs an integer`)."""
    return HistoryError(event.index + 1, f"{rule}; {event.f!r} of process {event.process} has {literal(event.value)}")


def operations_of(history: History, what: str, known: tuple[str, ...], repeating: str = "") -> list[Operation]:
    """The clients' operations, after checking that the object has them all. O(n).

    what: the object (`a counter`). known: the operations it has. repeating: that of them whose completion repeats its
    argument (`told_arguments`), or "" if none does. Raises HistoryError for the first other operation, and as
    `filled_in` does.
    """
    found = client_operations(history)
    for operation in found:
        if operation.f not in known:
            problem = f"{what} has no operation {operation.f!r}, asked by process {operation.process}; it has "
            raise HistoryError(operation.invocation.index + 1, problem + ", ".join(known))
    told = filled_in(history, (repeating,))
    return found if told is history else client_operations(told)
