"""PostgreSQL with Patroni: a primary and standbys, and etcd on the same nodes to agree on who is what.

1. On each node run etcd, Patroni and PostgreSQL, which are killed, paused and cut off together.
2. Clients find the primary as through a proxy that asks every node: the first that is no standby will do. They keep to
   it until the connection fails.
3. A primary that can't reach etcd steps down before its key there expires. Until then it acknowledges writes. With
   asynchronous replication its successor never had them; with `synchronous-mode` no write is acknowledged before a
   standby has it.
4. Timeouts are a sixth of Patroni's own, so that a failover fits a strike: the key of the primary expires after 5 s.
5. Patroni ends at once where it is started without a majority of etcd, so it is started again, as a supervisor would.
   Without that majority no PostgreSQL is started: such a node is as ready as it can be.

Source: Patroni 3.0's documentation (replication modes, dynamic configuration).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

import asyncpg

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage, OperationFailed
from splitbrain.harness.systems.kit import Setting, answers_http
from splitbrain.harness.systems.sql.postgres import (
    BINARIES,
    DATA,
    REFUSALS,
    USER,
    Postgres,
    PostgresSession,
    connected,
    make_tables,
    serves,
)
from splitbrain.harness.systems.sql.sql_session import DATABASE

HEALTH_PORT, ETCD_PORT = 8008, 2379
ASK_S = 0.5
_PATRONI = """\
scope: splitbrain
name: {{ node }}
restapi: {listen: "0.0.0.0:8008", connect_address: "{{ host }}:8008"}
etcd3: {hosts: [{% for each in nodes %}"{{ each.host }}:{{ etcd_port }}"{{ ", " if not loop.last }}{% endfor %}]}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 2
    synchronous_mode: {{ "false" if synchronous_mode == "off" else "true" }}
    synchronous_mode_strict: {{ "true" if synchronous_mode == "strict" else "false" }}
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 300}
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, no-sync]
postgresql:
  listen: "0.0.0.0:{{ port }}"
  connect_address: "{{ host }}:{{ port }}"
  bin_dir: {{ binaries }}
  data_dir: {{ data }}/postgres
  pgpass: /tmp/pgpass
  authentication: {superuser: {username: postgres}, replication: {username: replicator}}
  pg_hba: [local all all trust, host all all all trust, host replication all all trust]
  parameters: {unix_socket_directories: /tmp, shared_buffers: 64MB, deadlock_timeout: 50ms, fsync: "{{ fsync }}"}
"""
_START = """\
etcd --name {{ node }} --data-dir {{ data }}/etcd --listen-client-urls http://0.0.0.0:{{ etcd_port }} \
    --advertise-client-urls http://{{ host }}:{{ etcd_port }} --listen-peer-urls http://0.0.0.0:2380 \
    --initial-advertise-peer-urls http://{{ host }}:2380 --initial-cluster \
    {% for each in nodes %}{{ each.name }}=http://{{ each.host }}:2380{{ "," if not loop.last }}{% endfor %} \
    >> {{ data }}/etcd.log 2>&1 &
until patroni /etc/splitbrain/patroni.yml; do sleep 1; done
"""


class Primary:
    """Who the primary is, found out for all clients together and at most every `ASK_S`, as a proxy does.

    hosts: of all nodes. If each client asked for itself, they would keep a cluster without a primary from getting one.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._asking = asyncio.Lock()
        self._found: str | None = None
        self._asked_at = -ASK_S

    async def host(self) -> str | None:
        """The first that is no standby, or None."""
        async with self._asking:
            if asyncio.get_running_loop().time() - self._asked_at > ASK_S:
                answers = await asyncio.gather(*(self._leads(host) for host in self._hosts))
                self._found = next((host for host, leads in zip(self._hosts, answers, strict=True) if leads), None)
                self._asked_at = asyncio.get_running_loop().time()
            return self._found

    async def _leads(self, host: str) -> bool:
        try:
            raw = await connected(host, "postgres")
        except REFUSALS:
            return False
        try:
            return await is_primary(raw)
        except REFUSALS:
            return False
        finally:
            raw.terminate()


class PatroniSession(PostgresSession):
    """primary: who leads, shared by all sessions."""

    timeout_s = 4.0

    def __init__(self, primary: Primary, isolation: str) -> None:
        super().__init__("", isolation)
        self._primary = primary

    async def open(self) -> asyncpg.Connection:
        host = await self._primary.host()
        if host is None:
            raise OperationFailed("no-primary", "no node takes writes", definite=True)
        raw = await connected(host, DATABASE, server_settings=self._settings)
        primary = False
        try:
            primary = await is_primary(raw)
        finally:
            if not primary:
                raw.terminate()
        if not primary:
            raise OperationFailed("no-primary", f"{host} is a standby by now", definite=True)
        return raw


async def is_primary(raw: asyncpg.Connection) -> bool:
    """Whether that server takes writes."""
    return not await raw.fetchval("SELECT pg_is_in_recovery()")


class Patroni(Postgres):
    """A primary, its standbys, and who watches over them."""

    name = "patroni"
    settings: ClassVar[Mapping[str, Setting]] = {
        "isolation": Postgres.settings["isolation"],
        "synchronous-mode": ("off", "on", "strict"),
        "fsync": Postgres.settings["fsync"],
    }
    made_of = NodeImage(debian=("postgresql-15", "patroni", "etcd-server", "python3-etcd"))
    sizes = (3, 9)
    # A standby may have to copy all that the primary has.
    start_s = 50.0

    _primary: Primary | None = None

    def program(self, environment: Environment, node: str) -> Program:
        given = {"data": DATA, "binaries": BINARIES, "etcd_port": ETCD_PORT}
        script = self.render(_START, environment, node, **given).decode()
        files = {"/etc/splitbrain/patroni.yml": self.render(_PATRONI, environment, node, **given)}
        logs = (f"{DATA}/etcd.log",)
        return Program("patroni", ("sh", "-c", script), files=files, data=DATA, user=USER, logs=logs, preload=False)

    def session(self, environment: Environment, node: str) -> PatroniSession:
        if self._primary is None:
            self._primary = Primary([machine.host for machine in environment.machines.values()])
        return PatroniSession(self._primary, self.config["isolation"])

    async def ready(self, environment: Environment, node: str) -> bool:
        host = environment.machines[node].host
        # A paused etcd answers neither question.
        if not await answers_http(f"http://{host}:{ETCD_PORT}/version"):
            return False
        return await serves(host) or not await answers_http(f"http://{host}:{ETCD_PORT}/health")

    async def prepare(self, environment: Environment) -> None:
        hosts = [machine.host for machine in environment.machines.values()]
        while (leader := await self.leader(environment)) is None or not all([await serves(host) for host in hosts]):
            await asyncio.sleep(0.2)
        await make_tables(environment.machines[leader].host)
        if self.config["synchronous-mode"] != "off":
            await self._synchronous(environment.machines[leader].host)

    async def _synchronous(self, primary: str) -> None:
        """Wait until a standby is waited for: Patroni names one once it replicates."""
        raw = await connected(primary, DATABASE)
        while not await raw.fetchval("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"):
            await asyncio.sleep(0.2)
        await raw.close()

    async def leader(self, environment: Environment) -> str | None:
        """The node whose Patroni says that it holds the key of the primary."""
        for name, machine in environment.machines.items():
            if await answers_http(f"http://{machine.host}:{HEALTH_PORT}/primary"):
                return name
        return None


SYSTEM = Patroni()
