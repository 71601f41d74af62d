"""A workload of one's own: users claim names, and a name that is taken can't be claimed again.

    pip install -e usernames
    splitbrain run usernames --seed 7 --time-limit 20
    splitbrain run usernames --seed 7 --time-limit 20 --config lock=true
    splitbrain run usernames --seed 7 --time-limit 20 --config lock=true --faults partition

The first run is invalid: two clients read that the name is free, both write, and both are told that it is theirs. In
the second, one lock is held around each claim, and the run is valid. In the third the network is cut as well. Then the
lock does not help: a sloppy quorum on one side answers "free" for a name that was granted on the other.

A workload has its operations' schemas, a client, a generator, what is read in the end, and the checkers that judge.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from splitbrain import (
    Completion,
    Invocation,
    OperationFailed,
    Plan,
    Schema,
    VersionedStore,
    Workload,
    final_reads,
    generators,
)

SCHEMAS = (
    Schema("claim", invoked=int, ok=int),  # the user
    Schema("read", invoked=None, ok=list[int]),  # the users that the name belongs to; more than one are siblings
)


class UsernamesClient:
    """Claims and reads names through one connection. lock: held around each claim, if there is one."""

    def __init__(self, connection: VersionedStore, lock: asyncio.Lock | None) -> None:
        self._connection = connection
        self._lock = lock

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        name = invocation.key.encode()
        if invocation.f == "read":
            return Completion("ok", sorted(int(user) for user in (await self._connection.get(name)).values))
        async with AsyncExitStack() as stack:
            if self._lock is not None:
                await stack.enter_async_context(self._lock)
            await self._claim(name, invocation.value)
        return Completion("ok", invocation.value)

    async def close(self) -> None:
        await self._connection.close()

    async def _claim(self, name: bytes, user: int) -> None:
        try:
            found = await self._connection.get(name)
        except OperationFailed as problem:
            # Nothing was written yet, so the claim certainly did not happen, whatever became of the read.
            raise OperationFailed(problem.code, f"while reading: {problem}", definite=True) from None
        if found.values:
            raise OperationFailed("taken", "the name belongs to somebody", definite=True)
        await self._connection.put(name, str(user).encode(), found.context)


def _client(connection: Any, shared: asyncio.Lock, config: Mapping[str, str]) -> UsernamesClient:
    return UsernamesClient(connection, shared if config["lock"] == "true" else None)


def _names(plan: Plan) -> list[str]:
    return [f"name{number}" for number in range(plan.whole("names"))]


def _generator(plan: Plan) -> generators.Generator:
    plan.choice("lock", ("true", "false"))
    names = _names(plan)
    # Ten users after each other want the same name, then the next ten the next one.
    claims = generators.numbered(lambda user: Invocation("claim", user, names[user // 10 % len(names)]))
    reads = generators.numbered(lambda number: Invocation("read", key=names[number % len(names)]))
    return generators.mix(plan.seed, (4, claims), (1, reads))


def _final(plan: Plan) -> generators.Generator:
    return final_reads(_names(plan), plan.nodes)


WORKLOAD = Workload(
    name="usernames",
    summary="names claimed by reading and then writing; none may be granted to two users",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=_client,
    generator=_generator,
    final=_final,
    checkers={"granted-once": {}, "availability": {}},
    shared=asyncio.Lock,
    config={"names": "200", "lock": "false"},
)
