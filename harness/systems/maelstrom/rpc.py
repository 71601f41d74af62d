"""RPC: requests of one host, each with a number, and the answers to them.

1. A request is sent once, and its answer is the first message that names its number in `in_reply_to`. One that comes
   after the request was given up is dropped.
2. An answer of type `error` raises OperationFailed by its code. So does none in time, which is indeterminate.
3. An answer of another type than the one that belongs to the request, or without a field that it must have, is the
   program's mistake: it ends the run, for what the node did can't be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any, TypeVar

import msgspec

from splitbrain.harness.environment import Address
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.processes.envelopes import shown
from splitbrain.harness.processes.processes_environment import PORT, HostEndpoint
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.maelstrom.error_codes import TIMEOUT, meaning

T = TypeVar("T")


class Answer(msgspec.Struct):
    """What every answer may have; those of single requests have more."""

    type: str
    in_reply_to: int | None = None


class ErrorAnswer(Answer):
    """An answer of type `error`."""

    code: int = 13
    text: str = ""


class Requests:
    """The requests of one host, which is opened by `as_client` or `as_host`."""

    def __init__(self, environment: ProcessesEnvironment) -> None:
        self._environment = environment
        self._numbers = count(1)
        self._awaited: dict[int, asyncio.Future[bytes]] = {}
        self._place: HostEndpoint | None = None

    async def as_client(self) -> Requests:
        """Take a place outside the cluster. Returns itself."""
        self._place = await self._environment.endpoint(self._received)
        return self

    def as_host(self, name: str) -> Requests:
        """Take the place of a host of the system's own. Returns itself."""
        self._place = self._environment.host(name, self._received)
        return self

    async def ask(self, node: str, kind: str, fields: Mapping[str, Any], answer: type[T], patience_s: float) -> T:
        """Send a request of that kind, and wait for its answer of kind `<kind>_ok`.

        answer: the type of that answer. patience_s: how long to wait, in seconds. Raises OperationFailed.
        """
        number = next(self._numbers)
        awaited = self._awaited[number] = asyncio.get_running_loop().create_future()
        assert self._place is not None
        self._place.send(msgspec.json.encode({"type": kind, **fields, "msg_id": number}), (node, PORT))
        try:
            async with asyncio.timeout(patience_s) as limit:
                body = await awaited
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"no answer to {kind} within {patience_s:g} s"
            raise OperationFailed(meaning(TIMEOUT).name, text, definite=False) from None
        finally:
            del self._awaited[number]
        return self._read(node, kind, body, answer)

    def close(self) -> None:
        if self._place is not None:
            self._place.close()

    def _read(self, node: str, kind: str, body: bytes, answer: type[T]) -> T:
        try:
            said = msgspec.json.decode(body, type=Answer).type
            if said == "error":
                error = msgspec.json.decode(body, type=ErrorAnswer)
                meant = meaning(error.code)
                raise OperationFailed(meant.name, error.text or "without a text", definite=meant.definite)
            if said != f"{kind}_ok":
                raise msgspec.ValidationError(f"its type must be {kind}_ok or error")
            return msgspec.json.decode(body, type=answer)
        except msgspec.MsgspecError as problem:
            what = f"{node} answered {kind} with {shown(body)}: {problem}"
            self._environment.blinded(f"{what}; see docs/maelstrom.md for what an answer has")
            raise OperationFailed("malformed-answer", what, definite=False) from None

    def _received(self, body: bytes, source: Address) -> None:
        try:
            number = msgspec.json.decode(body, type=Answer).in_reply_to
        except msgspec.MsgspecError:
            return  # No answer to anything: a node may tell clients what it likes.
        awaited = self._awaited.get(number) if number is not None else None
        if awaited is not None and not awaited.done():
            awaited.set_result(body)
