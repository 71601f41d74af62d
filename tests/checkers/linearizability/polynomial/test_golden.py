"""Golden histories of containers: each anomaly at its smallest, beside a neighbour without it. Reasoned by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.checkers.histories.history import History
from tests.checkers.linearizability.polynomial import oracle
from tests.checkers.linearizability.polynomial.comparisons import judged

GOLDEN = Path(__file__).parents[2] / "golden" / "polynomial"
MODELS = {"fifo": "fifo-queue", "priority": "priority-queue", "stack": "stack", "set": "set"}

# file; what the finding says, in part, None where there is none to make; the events at which its calls were invoked
CASES: list[tuple[str, str | None, tuple[int, ...]]] = [
    ("fifo-overtaken", "1 was enqueued before 2, and yet 2 was dequeued and 1 after it", (0, 2, 4, 6)),
    ("fifo-overlapping-enqueues", None, ()),
    ("fifo-left-behind", "1 was enqueued before 2, and yet 2 was dequeued and 1 never", (0, 2, 4)),
    ("fifo-taken-by-a-crash", None, ()),
    # The crashed dequeue was invoked when 2 had been dequeued already.
    ("fifo-crash-too-late", "whatever the indeterminate calls removed", (0, 2, 4, 6)),
    ("fifo-two-for-one-crash", "1 and 2 must have left before event 8", (0, 1, 4, 6, 7)),
    ("fifo-two-for-two-crashes", None, ()),
    ("fifo-from-nowhere", "a dequeue answered 1, which no enqueue can have put in", (0,)),
    ("fifo-from-a-crash", None, ()),
    ("fifo-from-a-failure", "a dequeue answered 1, which no enqueue can have put in", (2,)),
    ("fifo-too-soon", "the dequeue of 1 returned before its enqueue was invoked", (0, 2)),
    ("fifo-just-in-time", None, ()),
    ("fifo-twice", "two calls of dequeue answered it", (0, 2, 4)),
    # 1 is inside until 5 at least, 2 from 4 on, and no other call was open between 2 and 6.
    ("fifo-never-empty", "1 was surely inside from event 1 to event 5 and 2 was surely inside from event 4", (0, 2, 3, 5, 7)),
    ("fifo-empty-in-between", None, ()),
    # 1 is there for sure, but a dequeue that failed says nothing.
    ("fifo-failed-dequeue", None, ()),
    ("priority-lesser-left", "1 was surely inside from event 1 on", (0, 2, 4)),
    ("priority-lesser-later", None, ()),
    ("priority-relay", "1 was surely inside from event 3 to event 7 and 2 was surely inside from event 6", (0, 2, 4, 5, 7, 9)),
    ("priority-gap", None, ()),
    ("stack-bottom-first", "at the pop of 1 (events 4 to 5) 2 was surely inside", (0, 2, 4, 6)),
    ("stack-overlapping-pushes", None, ()),
    # 6 was pushed first. When it is popped, 5 must be gone, and 4, which is never popped, must not be there yet: but 4 came
    # before 5 can have gone. Any two of the three are fine.
    ("stack-three", "of 6, 5 and 4 the one pushed first", (0, 2, 3, 5, 7)),
    ("stack-three-loosened", None, ()),
    ("stack-never-empty", "a pop found nothing (events 2 to 3), but 1 was surely inside", (0, 2, 4)),
    ("stack-empty-in-between", None, ()),
    ("set-add-unseen", "1 was added before a read (events 2 to 3) was invoked, and the read lacks it", (0, 2)),
    ("set-add-overlapping", None, ()),
    ("set-read-before-add", "holds 1, whose add was invoked after it", (0, 2)),
    ("set-crashed-add-read", None, ()),
    ("set-forgotten", "holds 1, and a later one (events 3 to 4) lacks it", (0, 1, 3)),
    ("set-unchained", "holds 1 and not 2, the other (events 3 to 5) 2 and not 1", (0, 1, 2, 3)),
    ("set-chained", None, ()),
    ("set-adds-in-order", "1 was added before the add of 2, and yet a read (events 0 to 5) holds 2 and not 1", (0, 1, 3)),
    ("set-adds-in-any-order", None, ()),
    ("set-twice", "holds 1 twice", (2,)),
    # The element true is not the element 1.
    ("set-unexpected", "which no add can have put in", (2,)),
    ("set-contains-forgotten", "contains 1 ->", (0, 2)),
    ("set-contains-removed", None, ()),
    # The only add was over before: gone is gone.
    ("set-contains-flickers", "contains 1 ->", (3, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "shown"), CASES, ids=[name for name, _, _ in CASES])
def test_a_golden_history_has_its_finding(name: str, said: str | None, shown: tuple[int, ...]) -> None:
    with (GOLDEN / f"{name}.jsonl").open("rb") as lines:
        history = History.parse(lines)
    kind = MODELS[name.split("-")[0]]
    _, finding = judged(kind, history)
    assert finding is not None
    assert finding.linearizable is (said is None)
    assert (said or "") in finding.text
    assert tuple(call.invoked for call in finding.calls) == shown
    assert oracle.linearizable(kind, oracle.operations(history)) is (said is None)


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {name for name, _, _ in CASES}
