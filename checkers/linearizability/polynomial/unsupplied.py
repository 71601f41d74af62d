"""Answers that show what no call could have left: refused in O(n), before any search.

1. A model says which values an answer shows to have been there (`Model.shows`), and which a call may have left
   (`Model.supplies`). What the object starts with is supplied from the start.
2. A value that was shown must have been supplied by a call invoked before the answer returned, crashed or not.
3. What is left over is not thereby linearizable.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from splitbrain.checkers.linearizability.model import Call, Finding, Model, call_text


def judge(calls: Sequence[Call], model: Model) -> Finding | None:
    """The first answer that shows what was not supplied by then; None if there is none. O(n).

    calls: those of one part, in the order of their invocations.
    """
    if type(model).shows is Model.shows:
        return None
    first: dict[Hashable, Call | None] = dict.fromkeys(model.held(model.initial))
    for call in calls:
        for value in model.supplies(call):
            first.setdefault(value, call)
    for call in calls:
        if not call.known:
            continue
        for value in model.shows(call):
            if value not in first:
                return Finding(False, f"{call_text(call)}: nobody put that there", (call,))
            supplier = first[value]
            if supplier is not None and call.returned < supplier.invoked:
                text = (
                    f"{call_text(call)} returned before {call_text(supplier)} was invoked, the first to put that there"
                )
                return Finding(False, text, (call, supplier))
    return None
