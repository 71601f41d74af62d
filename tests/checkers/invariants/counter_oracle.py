"""What `counter` must say: the sums of all subsets of the adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import span, verdict_of


def counter(history: History) -> dict[str, Any]:
    """The sums that any subset of the adds that may count makes; a read is wrong if it is below or above all of them."""
    wrong = exact = reads = 0
    for read in history.operations:
        if read.f != "read" or read.outcome != "ok":
            continue
        reads += 1
        begun, over = span(read)
        certain, possible = 0, []
        for add in history.operations:
            if add.f != "add" or add.key != read.key or add.outcome == "fail" or span(add)[0] > over:
                continue
            if add.outcome == "ok" and span(add)[1] < begun:
                certain += add.invocation.value
            else:
                possible.append(add.invocation.value)
        sums = {certain + sum(some) for some in _subsets(possible)}
        assert read.completion
        shown = read.completion.value
        wrong += not min(sums) <= shown <= max(sums)
        exact += len(sums) == 1
    return {"verdict": verdict_of(bool(wrong), reads > 0), "misreads": wrong, "reads": reads, "exact_reads": exact}


def _subsets(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1))
