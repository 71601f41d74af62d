"""Lost writes: a write that was acknowledged must not vanish.

1. A history of sets (`add`, `read`) is judged by `lost_elements`, one of versioned registers (`put`, `delete`, `read`)
   by `lost_versions`; evidence and witness are theirs. They refuse any other operation of a client, by its line: a
   `remove` explains why something is gone, and would otherwise be taken for a loss.
2. Without an add or a put there is no write that could be lost. If a read lists something all the same, nobody wrote
   it: invalid, whichever shape it was, as of registers if there are deletes and else as of sets. Otherwise unknown.
3. A history with both is unknown too: its reads could be of either.
"""

from __future__ import annotations

from splitbrain.checkers.eventual import lost_elements, lost_versions
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict


@needs_real_time
def check(history: History) -> Verdict:
    """Judge whichever shape the history has. Raises HistoryError as that checker does."""
    asked = {operation.f for operation in history.operations}
    if not asked & {"add", "put"} and _lists_something(history):
        return lost_versions.check(history) if "delete" in asked else lost_elements.check(history)
    match "add" in asked, "put" in asked:
        case True, False:
            return lost_elements.check(history)
        case False, True:
            return lost_versions.check(history)
        case True, True:
            return Verdict.unknown("the history has adds and puts, so its reads could be of either; record them apart")
        case _:
            return Verdict.unknown("the history has neither an add nor a put")


def _lists_something(history: History) -> bool:
    """Whether reads return lists, and not all of them empty."""
    read = [
        operation.completion.value
        for operation in history.operations
        if operation.f == "read" and operation.outcome == "ok" and operation.completion is not None
    ]
    return any(read) and all(isinstance(value, list) for value in read)
