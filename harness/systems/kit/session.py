"""A session: a client's connection to a real service, opened when it is needed and again after a failure.

1. Opening is part of the first operation. One that can't be opened has done nothing, so the failure is definite.
2. Every call is bounded. What ends in a timeout is indeterminate, and its connection is dropped: a late answer must not
   be taken for that of the next call.
3. A call that only reads (`effect=False`) can't be indeterminate: its failures are definite.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Generic, TypeVar

from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.kit.failures import Failure, failed, row_of

Raw = TypeVar("Raw")
T = TypeVar("T")
TIMEOUT_S = 2.0
"""Shorter than the harness's own bound of 5 s for an operation, so that the reason has a name."""
CLOSE_S = 1.0


class Session(Generic[Raw]):
    """A connection whose methods are made of `call`. Subclasses give `open` and `shut`, and their table of failures.

    Raw: the driver's own connection. failures: the table (`failures`). timeout_s: for one call, opening included.
    """

    failures: ClassVar[Sequence[Failure]] = ()
    timeout_s: float = TIMEOUT_S

    _raw: Raw | None = None

    async def open(self) -> Raw:
        """Connect. An OSError, a TimeoutError, and what is in the table count as unreachable."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it connects: give it a method `open`")

    async def shut(self, raw: Raw) -> None:
        """Hang up. What it raises is ignored."""

    async def call(self, work: Callable[[Raw], Awaitable[T]], *, effect: bool = True) -> T:
        """Do something with the driver's connection. Returns what `work` returns.

        effect: False for what only reads. Raises OperationFailed by the table; anything else as it came.
        """
        opened = False
        try:
            async with asyncio.timeout(self.timeout_s):
                if self._raw is None:
                    self._raw = await self.open()
                opened = True
                return await work(self._raw)
        except OperationFailed as problem:
            if not problem.definite:
                await self.drop()
            raise
        except BaseException as problem:
            row = row_of(self.failures, problem) or self._usual(problem)
            if row is None or not (opened and row.keeps):
                await self.drop()
            if row is None:
                raise
            raise failed(row, problem, effect=effect and opened) from None

    async def drop(self) -> None:
        """Hang up; the next call connects anew. It takes `CLOSE_S` seconds at most."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await self.shut(raw)

    async def close(self) -> None:
        await self.drop()

    def _usual(self, problem: BaseException) -> Failure | None:
        """What holds for every driver."""
        match problem:
            case TimeoutError():
                return Failure(TimeoutError, "timeout")
            case OSError() | EOFError():
                return Failure((OSError, EOFError), "connection-lost")
        return None
