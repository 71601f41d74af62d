"""MariaDB: one server, tested at each of its isolation levels.

1. The level is that of every transaction of a session.
2. "Repeatable read" reads from a snapshot but writes to what is newest, and nothing tells a transaction that the two
   differ: lost updates are possible. The setting `innodb-snapshot-isolation` has such a transaction fail instead.
3. With `flush-log-at-trx-commit` of 0 the log of the last second is in the server's own memory, and kill -9 loses it.
4. Nobody has to log in: a node's network is the run's own.

Sources: MariaDB's documentation of InnoDB's system variables; Kleppmann, Hermitage (2014), for MySQL; Jepsen's analysis
of MySQL 8.0.34 (2023).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import asyncmy
from asyncmy import errors

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Failure, Service, Setting
from splitbrain.harness.systems.sql.sql_session import DATABASE, SqlSession, schema

PORT = 3306
DATA = "/var/lib/splitbrain/data"
CONFIGURATION_FILE = "/etc/splitbrain/mariadb.cnf"
CONFIGURATION = """\
[mariadbd]
datadir = /var/lib/splitbrain/data
bind-address = 0.0.0.0
port = {{ port }}
socket = /tmp/mariadb.sock
pid-file = /tmp/mariadb.pid
skip-grant-tables
skip-name-resolve
max_connections = 300
innodb_buffer_pool_size = 64M
innodb_log_file_size = 16M
innodb_use_native_aio = 0
innodb_lock_wait_timeout = 1
innodb_flush_log_at_trx_commit = {{ flush_log_at_trx_commit }}
innodb_snapshot_isolation = {{ innodb_snapshot_isolation }}
"""
INSTALL = f"""\
[ -d {DATA}/mysql ] || mariadb-install-db --no-defaults --datadir={DATA} --skip-test-db --skip-name-resolve
"""
LOST = (2002, 2003, 2006, 2013, 2055)
"""The driver's own numbers for a connection that can't be had, or is gone."""


LAST_TABLE = f"{DATABASE}.elements"
"""Who has it has all of them."""


def _numbered(*numbers: int) -> Callable[[Any], bool]:
    return lambda problem: bool(problem.args) and problem.args[0] in numbers


class MariadbSession(SqlSession[asyncmy.Connection]):
    """host: where it connects. isolation: by name. variables: more to set for the session."""

    upsert = "INSERT INTO {table} (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = VALUES(v)"
    append = "INSERT INTO {table} (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = CONCAT(v, VALUES(v))"
    kept = "ON DUPLICATE KEY UPDATE name = VALUES(name)"
    failures: ClassVar[Sequence[Failure]] = (
        # A deadlock, and in a cluster a conflict with what another node committed: rolled back, by the server's word.
        Failure(errors.MySQLError, "deadlock", definite=True, when=_numbered(1213)),
        # Not more than the statement is rolled back, and what waits for a lock is no COMMIT.
        Failure(errors.MySQLError, "lock-timeout", definite=True, when=_numbered(1205)),
        Failure(errors.MySQLError, "changed-since-read", definite=True, when=_numbered(1020)),
        Failure(errors.MySQLError, "too-many-connections", definite=True, usable=False, when=_numbered(1040)),
        # Of a cluster: the node is none of the primary component, or ceased to be during a COMMIT.
        Failure(errors.MySQLError, "not-primary", when=_numbered(1047, 1180)),
        Failure(errors.MySQLError, "shutdown", when=_numbered(1053, 1927, 4031)),
        Failure(errors.MySQLError, "connection-lost", when=_numbered(*LOST)),
        Failure(errors.InterfaceError, "connection-lost"),
    )

    def __init__(self, host: str, isolation: str, variables: Mapping[str, str] | None = None) -> None:
        self._host = host
        self._set = {"tx_isolation": f"'{isolation.upper()}'", **(variables or {})}

    async def open(self) -> asyncmy.Connection:
        settings = ", ".join(f"SESSION {name} = {value}" for name, value in self._set.items())
        return await connected(self._host, DATABASE, init_command=f"SET {settings}")

    async def shut(self, raw: asyncmy.Connection) -> None:
        raw.close()

    async def query(self, raw: asyncmy.Connection, statement: str, *values: Any) -> list[Sequence[Any]]:
        return await said(raw, statement, *values)


async def connected(host: str, database: str | None = None, **more: Any) -> asyncmy.Connection:
    """A connection to the server there, each statement of which commits unless it follows a BEGIN."""
    return await asyncmy.connect(
        host=host, port=PORT, user="root", database=database, autocommit=True, connect_timeout=2, **more
    )


async def said(raw: asyncmy.Connection, statement: str, *values: Any) -> list[Sequence[Any]]:
    """Send a statement. Returns its rows."""
    async with raw.cursor() as cursor:
        await cursor.execute(statement, values or None)
        return list(await cursor.fetchall() or ())


async def asked(host: str, question: str, *, patience_s: float = 1.0) -> list[Sequence[Any]] | None:
    """The rows that the server there answers with, or None if it does not answer."""
    try:
        async with asyncio.timeout(patience_s):
            raw = await connected(host)
            try:
                return await said(raw, question)
            finally:
                raw.close()
    except (OSError, EOFError, TimeoutError, errors.MySQLError):
        return None


async def make_tables(host: str) -> None:
    """The database, and its tables."""
    raw = await connected(host)
    await said(raw, f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    await said(raw, f"USE {DATABASE}")
    for statement in schema("VARCHAR(255)", "LONGTEXT", "ENGINE=InnoDB"):
        await said(raw, statement)
    raw.close()


class Mariadb(Service):
    """One server."""

    name = "mariadb"
    interfaces = frozenset({"Transactions", "Bank", "Set"})
    settings: ClassVar[Mapping[str, Setting]] = {
        "isolation": ("repeatable-read", "read-uncommitted", "read-committed", "serializable"),
        "flush-log-at-trx-commit": ("1", "0", "2"),
        "innodb-snapshot-isolation": ("off", "on"),
    }
    made_of = NodeImage(debian=("mariadb-server",))
    port = PORT
    sizes = (1, 1)
    start_s = 60.0

    def program(self, environment: Environment, node: str) -> Program:
        script = f"{INSTALL}exec mariadbd --defaults-file={CONFIGURATION_FILE}\n"
        files = {CONFIGURATION_FILE: self.render(CONFIGURATION, environment, node)}
        return Program("mariadbd", ("sh", "-c", script), files=files, data=DATA, user="mysql", preload=False)

    def session(self, environment: Environment, node: str) -> MariadbSession:
        return MariadbSession(environment.machines[node].host, self.config["isolation"])

    async def ready(self, environment: Environment, node: str) -> bool:
        return await asked(environment.machines[node].host, "SELECT 1") is not None

    async def prepare(self, environment: Environment) -> None:
        hosts = [machine.host for machine in environment.machines.values()]
        await make_tables(hosts[0])
        # Another node of a cluster may have yet to apply what the first one answered to.
        for host in hosts:
            while await asked(host, f"SELECT * FROM {LAST_TABLE} LIMIT 1") is None:
                await asyncio.sleep(0.1)


SYSTEM = Mariadb()
