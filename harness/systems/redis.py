"""Redis: one node, or a primary with replicas that Sentinels watch over.

1. With Sentinel each node runs a server and a Sentinel, which are killed, paused and cut off together. A client asks
   the Sentinel of its node who the primary is, and keeps to that primary until the connection fails.
2. Configuration files are written once. Servers and Sentinels rewrite them, and a restart with the first ones would
   undo a failover.
3. Replication is asynchronous: a primary that is cut off acknowledges writes which its successor never had.

Sources: Redis 7.0's documentation of Sentinel and of replication; Kingsbury, Call me maybe: Redis (2013).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import redis.asyncio as driver
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage, OperationFailed
from splitbrain.harness.systems.kit import Failure, Service, Session, Setting, answers

PORT, SENTINEL_PORT = 6379, 26379
DATA = "/var/lib/splitbrain/data"
PRIMARY = "main"
# How long a Sentinel may take to name the primary.
ANSWER_S = 1.0
_SERVER = """\
port {{ port }}
bind {{ host }} 127.0.0.1
protected-mode no
dir /var/lib/splitbrain/data
appendonly yes
appendfsync {{ appendfsync }}
"""
_REPLICATED = """\
min-replicas-to-write {{ min_replicas_to_write }}
min-replicas-max-lag 2
repl-diskless-sync-delay 0
{% if number > 1 %}replicaof {{ nodes[0].host }} {{ port }}
{% endif -%}
"""
_SENTINEL = """\
port {{ sentinel_port }}
bind {{ host }} 127.0.0.1
protected-mode no
dir /var/lib/splitbrain/data
sentinel monitor main {{ nodes[0].host }} {{ port }} {{ nodes | length // 2 + 1 }}
sentinel down-after-milliseconds main 2000
sentinel failover-timeout main 6000
"""
_CAS = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2])
    return 1
end
return 0
"""


def _says(*words: str) -> Any:
    return lambda problem: str(problem).startswith(words)


class RedisSession(Session[driver.Redis]):
    """Sets and registers, through the node's own server or through the primary that the node's Sentinel names."""

    failures: ClassVar[Sequence[Failure]] = (
        Failure(exceptions.BusyLoadingError, "loading", definite=True),
        # The server was demoted; another connection finds the new primary.
        Failure(exceptions.ReadOnlyError, "read-only", definite=True, usable=False),
        Failure(exceptions.ResponseError, "no-replicas", definite=True, when=_says("NOREPLICAS")),
        Failure(exceptions.ResponseError, "primary-down", definite=True, when=_says("MASTERDOWN"), usable=False),
        Failure(exceptions.TimeoutError, "timeout"),
        Failure(exceptions.ConnectionError, "connection-lost"),
    )

    def __init__(self, host: str, *, sentinel: bool) -> None:
        self._host = host
        self._sentinel = sentinel

    async def open(self) -> driver.Redis:
        host, port = await self.named_primary() if self._sentinel else (self._host, PORT)
        return _client(host, port)

    async def shut(self, raw: driver.Redis) -> None:
        await raw.aclose()

    async def add_element(self, key: str, element: int) -> None:
        await self.call(lambda raw: raw.sadd(key, element))

    async def elements(self, key: str) -> list[int]:
        return [int(each) for each in await self.call(lambda raw: raw.smembers(key), effect=False)]

    async def read(self, key: str) -> Any:
        found = await self.call(lambda raw: raw.get(key), effect=False)
        return None if found is None else int(found)

    async def write(self, key: str, value: Any) -> None:
        await self.call(lambda raw: raw.set(key, value))

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        return bool(await self.call(lambda raw: raw.eval(_CAS, 1, key, old, new)))

    async def named_primary(self) -> tuple[str, int]:
        """Host and port of the primary, as this node's Sentinel has it. Raises OperationFailed if it knows none."""
        sentinel = _client(self._host, SENTINEL_PORT)
        try:
            ask: Any = sentinel.execute_command
            found = await ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)
        finally:
            await sentinel.aclose()
        if not found:
            raise OperationFailed("no-primary", "the Sentinel knows no primary", definite=True)
        return found[0].decode(), int(found[1])


def _client(host: str, port: int) -> driver.Redis:
    # No retries: a driver that sends a write again, unasked, would add one that no history has.
    return driver.Redis(host=host, port=port, retry=Retry(NoBackoff(), 0), single_connection_client=True)


async def _pong(host: str, port: int) -> bool:
    return await answers(host, port, b"PING\r\n", b"+PONG")


class Redis(Service):
    """One server."""

    name = "redis"
    interfaces = frozenset({"Set", "Register"})
    settings: ClassVar[Mapping[str, Setting]] = {"appendfsync": ("everysec", "always", "no")}
    made_of = NodeImage(debian=("redis-server",))
    port = PORT
    sizes = (1, 1)

    def program(self, environment: Environment, node: str) -> Program:
        return Program(
            name="redis-server",
            command=("redis-server", "/etc/splitbrain/redis.conf"),
            files={"/etc/splitbrain/redis.conf": self.render(_SERVER, environment, node)},
            data=DATA,
            user="redis",
        )

    def session(self, environment: Environment, node: str) -> RedisSession:
        return RedisSession(environment.machines[node].host, sentinel=False)

    async def ready(self, environment: Environment, node: str) -> bool:
        return await _pong(environment.machines[node].host, PORT)


class RedisSentinel(Redis):
    """A primary, replicas, and a Sentinel on every node."""

    name = "redis-sentinel"
    settings: ClassVar[Mapping[str, Setting]] = {**Redis.settings, "min-replicas-to-write": 0}
    made_of = NodeImage(debian=("redis-server", "redis-sentinel"))
    sizes = (3, 9)

    def program(self, environment: Environment, node: str) -> Program:
        first = {
            "/etc/splitbrain/redis.conf": self.render(_SERVER + _REPLICATED, environment, node),
            "/etc/splitbrain/sentinel.conf": self.render(_SENTINEL, environment, node, sentinel_port=SENTINEL_PORT),
        }
        script = (
            f"cp -n /etc/splitbrain/*.conf {DATA}/ && "
            f"{{ redis-sentinel {DATA}/sentinel.conf & exec redis-server {DATA}/redis.conf; }}"
        )
        return Program("redis", ("sh", "-c", script), files=first, data=DATA, user="redis", preload=False)

    def session(self, environment: Environment, node: str) -> RedisSession:
        return RedisSession(environment.machines[node].host, sentinel=True)

    async def ready(self, environment: Environment, node: str) -> bool:
        host = environment.machines[node].host
        return await super().ready(environment, node) and await _pong(host, SENTINEL_PORT)

    async def leader(self, environment: Environment) -> str | None:
        """The primary that most of the Sentinels that answer name."""
        asked = (self._named(environment, node) for node in environment.machines)
        named = [host for host in await asyncio.gather(*asked) if host]
        most = max(sorted(set(named)), key=named.count, default="")
        return next((node for node, machine in environment.machines.items() if machine.host == most), None)

    async def _named(self, environment: Environment, node: str) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                return (await self.session(environment, node).named_primary())[0]
        except (OperationFailed, exceptions.RedisError, OSError, TimeoutError):
            return None


SYSTEM = Redis()
SENTINEL = RedisSentinel()
