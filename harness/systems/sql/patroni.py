"""PostgreSQL with Patroni: a primary and standbys, and etcd on the same nodes to agree on who is what.

1. On each node run etcd, Patroni and PostgreSQL, which are killed, paused and cut off together.
2. Clients look for a primary as libpq does: their own node first, then the others, and the first that is no standby
   will do. They keep to it until the connection fails, and then try it first.
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
CONNECT_S = 1.2
"""How long one node may take to take a connection: each is a process to be started there."""
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


class PatroniSession(PostgresSession):
    """hosts: of all nodes, the client's own first. Where a primary was found, it is looked for first the next time."""

    timeout_s = 4.0

    def __init__(self, hosts: Sequence[str], isolation: str) -> None:
        super().__init__(hosts[0], isolation)
        self._hosts = hosts

    async def open(self) -> asyncpg.Connection:
        why = ""
        # One after the other, and not by the driver, which gives up at the first standby that is starting.
        for host in self._hosts:
            try:
                raw = await connected(host, DATABASE, timeout=CONNECT_S, server_settings=self._settings)
                if await _leads(raw):
                    self._hosts = [host, *(each for each in self._hosts if each != host)]
                    return raw
            except REFUSALS as problem:
                why = f"; the last refusal: {str(problem) or type(problem).__name__}"
        raise OperationFailed("no-primary", f"no node takes writes{why}", definite=True)


async def _leads(raw: asyncpg.Connection) -> bool:
    """Whether that is a primary's connection; one that is not is hung up."""
    primary = False
    try:
        primary = not await raw.fetchval("SELECT pg_is_in_recovery()")
    finally:
        if not primary:
            raw.terminate()
    return primary


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

    def program(self, environment: Environment, node: str) -> Program:
        given = {"data": DATA, "binaries": BINARIES, "etcd_port": ETCD_PORT}
        script = self.render(_START, environment, node, **given).decode()
        files = {"/etc/splitbrain/patroni.yml": self.render(_PATRONI, environment, node, **given)}
        logs = (f"{DATA}/etcd.log",)
        return Program("patroni", ("sh", "-c", script), files=files, data=DATA, user=USER, logs=logs, preload=False)

    def session(self, environment: Environment, node: str) -> PatroniSession:
        hosts = [
            environment.machines[each].host for each in sorted(environment.machines, key=lambda name: name != node)
        ]
        return PatroniSession(hosts, self.config["isolation"])

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
