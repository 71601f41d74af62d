"""Answers that show what no call could have left."""

from __future__ import annotations

import pytest

from splitbrain.checkers.linearizability.linearizable import MODELS
from splitbrain.checkers.linearizability.model import Call, started
from splitbrain.checkers.linearizability.polynomial import unsupplied
from tests.checkers.linearizability.searches import alone

WRITES = [alone("write", 1, at=0), alone("write", 1, at=2), alone("cas", (1, 2), (1, 2), at=4)]


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("cas-register", [*WRITES, alone("read", None, 3, at=6)]),
        ("cas-register", [*WRITES, alone("cas", (3, 1), (3, 1), at=6)]),
        ("fifo-queue", [alone("enqueue", 1, at=0), alone("enqueue", 1, at=2), alone("dequeue", None, 2, at=4)]),
        ("stack", [alone("push", 1, at=0), alone("push", 1, at=2), alone("pop", None, 2, at=4)]),
        ("set", [alone("add", 1, at=0), alone("remove", 2, at=2), alone("read", None, (2,), at=4)]),
        ("multi-register", [alone("txn", (("w", 0, 1),), (("w", 0, 1),), at=0),
                            alone("txn", (("r", 1, None),), (("r", 1, 1),), at=2)]),
    ],
)  # fmt: skip
def test_a_value_that_nobody_put_there_is_refused(model: str, calls: list[Call]) -> None:
    found = unsupplied.judge(calls, MODELS[model])
    assert found is not None
    assert not found.linearizable
    assert found.calls == (calls[-1],)


def test_a_read_that_returned_before_the_first_write_of_its_value_is_refused() -> None:
    early = alone("read", None, 2, at=0)
    calls = [early, alone("write", 1, at=2), alone("write", 1, at=4), alone("write", 2, at=6), alone("write", 2, at=8)]
    found = unsupplied.judge(calls, MODELS["cas-register"])
    assert found is not None
    assert found.calls == (early, calls[3])


def test_what_a_crashed_call_or_the_start_may_have_left_is_not_refused() -> None:
    crashed = Call("write", 3, known=False, invoked=0)
    calls = [crashed, alone("read", None, 3, at=1), alone("read", None, 7, at=3)]
    assert unsupplied.judge(calls, started(MODELS["cas-register"], 7)) is None
