"""An interpreter to test: clients that answer as scripted, and everything it recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS, Event, encode
from splitbrain.checkers.histories.history import History
from splitbrain.harness.generators import Generator, Test
from splitbrain.harness.interpreting.interpreter import Interpreter
from splitbrain.harness.operation import Completion, Invocation

NODES = ("n1", "n2", "n3")
Answer = Callable[[Invocation], Awaitable[Completion]]


async def at_once(invocation: Invocation) -> Completion:
    return Completion("ok", invocation.value)


class InterpreterFixture:
    """An interpreter with clients that answer as told, and everything it recorded."""

    def __init__(
        self,
        answer: Answer = at_once,
        *,
        concurrency: int = 2,
        nemesis: Any = None,
        failure: Exception | None = None,
        spare_clients: int | None = None,
    ) -> None:
        self.answer = answer
        self.failure = failure
        self.events: list[Event] = []
        self.opened: list[tuple[int, str]] = []
        self.closed: list[tuple[int, str]] = []
        self.interpreter = Interpreter(
            Test(NODES, concurrency),
            open_client=self._open,
            record=self.events.append,
            nemesis=nemesis,
            spare_clients=spare_clients,
        )

    async def _open(self, process: int, node: str) -> ScriptedClient:
        if self.failure is not None:
            raise self.failure
        self.opened.append((process, node))
        return ScriptedClient(self, process, node)

    async def run(self, generator: Generator) -> list[Event]:
        try:
            await self.interpreter.run(generator)
        finally:
            await self.interpreter.close()
        # Whatever happens, it is a history.
        History.parse([encode(event) for event in self.events])
        return self.events

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind and event.process != NEMESIS]


class ScriptedClient:
    def __init__(self, fixture: InterpreterFixture, process: int, node: str) -> None:
        self.fixture, self.process, self.node = fixture, process, node

    async def invoke(self, invocation: Invocation) -> Completion:
        assert (self.process, self.node) not in self.fixture.closed, "a closed client was used"
        return await self.fixture.answer(invocation)

    async def close(self) -> None:
        self.fixture.closed.append((self.process, self.node))
