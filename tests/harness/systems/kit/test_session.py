"""Sessions say what is certain of a failure, and open the driver's connection anew when it may be out of step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.kit import Failure, Session


class Refused(Exception):
    """The driver says that the server did nothing."""


class Lost(Exception):
    """The driver says that it does not know."""


class Driver:
    """A connection that remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = False


class Tried(Session[Driver]):
    """A session that counts its connections."""

    failures = (
        Failure(Refused, "refused", definite=True, when=lambda problem: "quota" in str(problem)),
        Failure(Refused, "demoted", definite=True, usable=False),
        Failure(Lost, "lost"),
    )
    timeout_s = 0.05

    def __init__(self, opening: Callable[[], Awaitable[None]] | None = None) -> None:
        self.opened: list[Driver] = []
        self._opening = opening

    async def open(self) -> Driver:
        if self._opening is not None:
            await self._opening()
        self.opened.append(Driver())
        return self.opened[-1]

    async def shut(self, raw: Driver) -> None:
        raw.closed = True


def outcome(session: Tried, raises: BaseException | None, *, effect: bool = True) -> tuple[Any, ...]:
    """(code, definite) of a call that raises, or ("ok",)."""

    async def work(raw: Driver) -> str:
        if raises is not None:
            raise raises
        return "ok"

    try:
        return (asyncio.run(session.call(work, effect=effect)),)
    except OperationFailed as failed:
        return failed.code, failed.definite


@pytest.mark.parametrize(
    ("raises", "effect", "told", "connections"),
    [
        (None, True, ("ok",), 1),
        (Refused("quota"), True, ("refused", True), 1),
        (Refused("no primary"), True, ("demoted", True), 2),
        (Lost("gone"), True, ("lost", False), 2),
        (Lost("gone"), False, ("lost", True), 2),
        (ConnectionResetError(), True, ("connection-lost", False), 2),
        (TimeoutError(), True, ("timeout", False), 2),
        (EOFError(), False, ("connection-lost", True), 2),
    ],
)
def test_a_failure_is_as_certain_as_the_table_says(raises, effect, told, connections):
    session = Tried()
    assert outcome(session, raises, effect=effect) == told
    assert outcome(session, None) == ("ok",)
    assert len(session.opened) == connections
    assert [each.closed for each in session.opened[:-1]] == [True] * (connections - 1)


def test_what_is_in_no_table_comes_as_it_is_and_the_connection_goes():
    session = Tried()
    with pytest.raises(KeyError):
        outcome(session, KeyError("boo"))
    assert session.opened[0].closed


def test_a_call_that_takes_too_long_is_indeterminate_and_its_late_answer_reaches_nobody():
    session = Tried()
    late: list[str] = []

    async def work(raw: Driver) -> None:
        await asyncio.sleep(1)
        late.append("answered")

    async def called() -> None:
        with pytest.raises(OperationFailed) as caught:
            await session.call(work)
        assert (caught.value.code, caught.value.definite) == ("timeout", False)

    asyncio.run(called())
    assert session.opened[0].closed and not late


@pytest.mark.parametrize("problem", [ConnectionRefusedError(), TimeoutError(), Lost("gone")])
def test_a_connection_that_can_t_be_opened_has_done_nothing(problem):
    async def opening() -> None:
        raise problem

    code, definite = outcome(Tried(opening), None)
    assert definite and code in ("connection-lost", "timeout", "lost")


def test_opening_counts_into_the_time_of_a_call():
    async def opening() -> None:
        await asyncio.sleep(1)

    assert outcome(Tried(opening), None) == ("timeout", True)
