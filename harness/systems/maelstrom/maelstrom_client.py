"""The connection: a client of its own name, which asks one node in the words of Maelstrom's workloads.

1. Each method is one request, or as many as it says. Requests are not sent again: programs need not recognize repeats.
2. There is one set and one counter, without a name. A probe of either must not be seen in them, so it adds nothing.
3. Keys of registers and transactions are integers on the wire, for programs in typed languages: l7 and x7 are 7.
4. A log's committed offset is the last one that was consumed; the interface counts from the next one.

Source: Maelstrom's workload document (doc/workloads.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.harness.interfaces import PROBE_NAME
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.maelstrom.error_codes import KEY_DOES_NOT_EXIST, PRECONDITION_FAILED, meaning
from splitbrain.harness.systems.maelstrom.rpc import Answer, Requests

_NUMBERED = re.compile(r"[lx](\d{1,9})")
_PROBES = 2_000_000_000
"""Keys from here on are those of probes: beyond any that a workload uses, and within 32 bits."""


class _Echoed(Answer):
    echo: Any = None


class _Generated(Answer, kw_only=True):
    id: int | str | list[int | str]


class _Messages(Answer, kw_only=True):
    messages: list[int]


class _Elements(Answer, kw_only=True):
    value: list[int]


class _Total(Answer, kw_only=True):
    value: int


class _Value(Answer, kw_only=True):
    value: Any


class _Offset(Answer, kw_only=True):
    offset: int


class _Polled(Answer, kw_only=True):
    msgs: dict[str, list[tuple[int, int]]]


class _Offsets(Answer, kw_only=True):
    offsets: dict[str, int]


class _Transacted(Answer, kw_only=True):
    txn: list[tuple[str, Any, int | list[int] | None]]


class MaelstromConnection:
    """Implements eight protocols of `harness.interfaces`. node: that is asked. patience_s: for each answer."""

    def __init__(self, environment: ProcessesEnvironment, requests: Requests, node: str, patience_s: float) -> None:
        self._environment = environment
        self._requests = requests
        self._node = node
        self._patience_s = patience_s

    async def close(self) -> None:
        self._requests.close()

    async def _ask(self, kind: str, answer: type[Any] = Answer, /, **fields: Any) -> Any:
        return await self._requests.ask(self._node, kind, fields, answer, self._patience_s)

    async def echo(self, payload: str) -> str:
        echoed = (await self._ask("echo", _Echoed, echo=payload)).echo
        return echoed if isinstance(echoed, str) else repr(echoed)

    async def generate(self) -> Any:
        return (await self._ask("generate", _Generated)).id

    async def broadcast(self, message: int) -> None:
        await self._ask("broadcast", message=message)

    async def messages(self) -> list[int]:
        found: list[int] = (await self._ask("read", _Messages)).messages
        return found

    async def add_element(self, key: str, element: int) -> None:
        if key != PROBE_NAME:
            await self._ask("add", element=element)

    async def elements(self, key: str) -> list[int]:
        found: list[int] = (await self._ask("read", _Elements)).value
        return found

    async def add(self, key: str, amount: int) -> None:
        await self._ask("add", delta=0 if key == PROBE_NAME else amount)

    async def total(self, key: str) -> int:
        return int((await self._ask("read", _Total)).value)

    async def read(self, key: str) -> Any:
        try:
            return (await self._ask("read", _Value, key=_on_the_wire(key))).value
        except OperationFailed as failed:
            if failed.code == meaning(KEY_DOES_NOT_EXIST).name:
                return None
            raise

    async def write(self, key: str, value: Any) -> None:
        await self._ask("write", key=_on_the_wire(key), value=value)

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        try:
            await self._ask("cas", key=_on_the_wire(key), **{"from": old, "to": new})
        except OperationFailed as failed:
            if failed.code in (meaning(KEY_DOES_NOT_EXIST).name, meaning(PRECONDITION_FAILED).name):
                return False
            raise
        return True

    async def transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        asked = [[kind, _on_the_wire(key), value] for kind, key, value in micro_operations]
        done = (await self._ask("txn", _Transacted, txn=asked)).txn
        same = [(kind, key) for kind, key, _ in done] == [(kind, key) for kind, key, _ in asked]
        if not same:
            what = f"{self._node} answered the transaction {asked} with {done}"
            self._environment.blinded(f"{what}; an answer has the same operations in the same order")
            raise OperationFailed("malformed-answer", what, definite=False)
        return [[kind, key, value] for (kind, key, _), (_, _, value) in zip(micro_operations, done, strict=True)]

    async def send(self, key: str, value: Any) -> int:
        return int((await self._ask("send", _Offset, key=key, msg=value)).offset)

    async def poll(self, positions: Mapping[str, int]) -> dict[str, list[list[Any]]]:
        found = (await self._ask("poll", _Polled, offsets=dict(positions))).msgs
        return {key: [list(record) for record in records] for key, records in found.items() if records}

    async def commit(self, positions: Mapping[str, int]) -> None:
        await self._ask("commit_offsets", offsets={key: at - 1 for key, at in positions.items() if at > 0})

    async def committed(self, keys: Sequence[str]) -> dict[str, int]:
        found = (await self._ask("list_committed_offsets", _Offsets, keys=list(keys))).offsets
        return {key: found[key] + 1 if key in found else 0 for key in keys}


def _on_the_wire(key: str) -> int | str:
    """A key as programs see it (rule 3).

    >>> _on_the_wire("l7"), _on_the_wire("splitbrain/probe"), _on_the_wire("group-1")
    (7, 2000000000, 'group-1')
    """
    numbered = _NUMBERED.fullmatch(key)
    if numbered:
        return int(numbered[1])
    return _PROBES + key.count("/") - 1 if key.startswith(PROBE_NAME) else key
