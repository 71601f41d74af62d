"""PostgreSQL: one server, tested at each of its isolation levels.

1. The level is that of every transaction of a session. "Repeatable read" is snapshot isolation there, "serializable"
   is serializable snapshot isolation.
2. Nobody has to give a password: a node's network is the run's own.

Sources: PostgreSQL 15, chapter 13 (concurrency control); Ports and Grittner, Serializable Snapshot Isolation in
PostgreSQL (VLDB 2012).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import asyncpg

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Failure, Service, Setting
from splitbrain.harness.systems.sql.sql_session import DATABASE, SqlSession, schema

PORT = 5432
BINARIES = "/usr/lib/postgresql/15/bin"
DATA = "/var/lib/splitbrain/data"
USER = "postgres"
CONFIGURATION_FILE, ACCESS_FILE = "/etc/splitbrain/postgresql.conf", "/etc/splitbrain/access.conf"
_CONFIGURATION = """\
listen_addresses = '*'
port = {{ port }}
unix_socket_directories = '/tmp'
shared_buffers = 64MB
max_connections = 300
synchronous_commit = {{ synchronous_commit }}
fsync = {{ fsync }}
deadlock_timeout = 50ms
log_line_prefix = '%m [%p] '
"""
_ACCESS = """\
local all all trust
host all all all trust
host replication all all trust
"""
_START = f"""\
[ -f {DATA}/PG_VERSION ] || {BINARIES}/initdb -D {DATA} -A trust -E UTF8 --locale C.UTF-8 -N
exec {BINARIES}/postgres -D {DATA} -c config_file={CONFIGURATION_FILE} -c hba_file={ACCESS_FILE}
"""


REFUSALS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What connecting may end in."""


class PostgresSession(SqlSession[asyncpg.Connection]):
    """host: where it connects. isolation: as `default_transaction_isolation` has it."""

    upsert = "INSERT INTO {table} AS old (k, v) VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v"
    append = "INSERT INTO {table} AS old (k, v) VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = old.v || excluded.v"
    kept = "ON CONFLICT DO NOTHING"
    failures: ClassVar[Sequence[Failure]] = (
        Failure(asyncpg.SerializationError, "serialization", definite=True),
        Failure(asyncpg.DeadlockDetectedError, "deadlock", definite=True),
        # Refused while connecting, or by a standby: nothing was done.
        Failure(asyncpg.CannotConnectNowError, "starting", definite=True, usable=False),
        Failure(asyncpg.TooManyConnectionsError, "too-many-connections", definite=True, usable=False),
        Failure(asyncpg.ReadOnlySQLTransactionError, "read-only", definite=True, usable=False),
        # A server that is stopped says so, whatever became of a COMMIT under way.
        Failure((asyncpg.AdminShutdownError, asyncpg.CrashShutdownError), "shutdown"),
        Failure(asyncpg.PostgresConnectionError, "connection-lost"),
        # The driver's own confusion about a connection that ends under its hands.
        Failure((asyncpg.InterfaceError, asyncpg.InternalClientError), "connection-lost"),
    )

    def __init__(self, host: str, isolation: str) -> None:
        self._host = host
        self._settings = {"default_transaction_isolation": isolation.replace("-", " ")}

    async def open(self) -> asyncpg.Connection:
        return await connected(self._host, DATABASE, server_settings=self._settings)

    async def shut(self, raw: asyncpg.Connection) -> None:
        # No farewell that waits for a server which may be gone.
        raw.terminate()

    async def query(self, raw: asyncpg.Connection, statement: str, *values: Any) -> list[Sequence[Any]]:
        if not values:
            # BEGIN, COMMIT and the like are not worth preparing.
            return list(await raw.fetch(statement)) if statement.startswith("SELECT") else await _said(raw, statement)
        numbered = statement.replace("%s", "${}").format(*range(1, len(values) + 1))
        return list(await raw.fetch(numbered, *values))


async def _said(raw: asyncpg.Connection, statement: str) -> list[Sequence[Any]]:
    await raw.execute(statement)
    return []


async def connected(host: str, database: str, *, timeout: float = 2.0, **more: Any) -> asyncpg.Connection:
    """A connection to the server there. timeout: in seconds."""
    return await asyncpg.connect(host=host, port=PORT, user=USER, database=database, ssl=False, timeout=timeout, **more)


async def serves(host: str, *, patience_s: float = 1.0) -> bool:
    """Whether the server there answers a query."""
    try:
        async with asyncio.timeout(patience_s):
            raw = await connected(host, "postgres")
            try:
                return bool(await raw.fetchval("SELECT 1") == 1)
            finally:
                raw.terminate()
    except REFUSALS:
        return False


async def make_tables(host: str) -> None:
    """The database, and its tables."""
    raw = await connected(host, "postgres")
    await raw.execute(f"CREATE DATABASE {DATABASE}")
    await raw.close()
    raw = await connected(host, DATABASE)
    for statement in schema("text", "text"):
        await raw.execute(statement)
    await raw.close()


class Postgres(Service):
    """One server."""

    name = "postgres"
    interfaces = frozenset({"Transactions", "Bank", "Set"})
    settings: ClassVar[Mapping[str, Setting]] = {
        "isolation": ("read-committed", "repeatable-read", "serializable"),
        "synchronous-commit": ("on", "off"),
        "fsync": ("on", "off"),
    }
    made_of = NodeImage(debian=("postgresql-15",))
    port = PORT
    sizes = (1, 1)

    def program(self, environment: Environment, node: str) -> Program:
        return Program(
            name="postgres",
            command=("sh", "-c", _START),
            files={
                CONFIGURATION_FILE: self.render(_CONFIGURATION, environment, node),
                ACCESS_FILE: _ACCESS.encode(),
            },
            data=DATA,
            user=USER,
            preload=False,
        )

    def session(self, environment: Environment, node: str) -> PostgresSession:
        return PostgresSession(environment.machines[node].host, self.config["isolation"])

    async def ready(self, environment: Environment, node: str) -> bool:
        return await serves(environment.machines[node].host)

    async def prepare(self, environment: Environment) -> None:
        for machine in environment.machines.values():
            await make_tables(machine.host)


SYSTEM = Postgres()
