"""PostgreSQL with Patroni: a primary and standbys, and etcd on the same nodes to agree on who is what.

1. On each node run etcd, Patroni and PostgreSQL, which are killed, paused and cut off together.
2. Clients look for a primary as libpq does: their own node first, then the others, and the first that is no standby
   will do. They keep to it until the connection fails.
3. A primary that can't reach etcd steps down before its key there expires. Until then it acknowledges writes. With
   asynchronous replication its successor never had them; with `synchronous-mode` no write is acknowledged before a
   standby has it.
4. Timeouts are a quarter of Patroni's own, so that a failover fits a short run: the key expires after 8 s.

Source: Patroni 3.0's documentation (replication modes, dynamic configuration).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

import asyncpg

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Setting, answers_http
from splitbrain.harness.systems.sql.postgres import (
    BINARIES,
    DATA,
    USER,
    Postgres,
    PostgresSession,
    connected,
    make_tables,
    serves,
)
from splitbrain.harness.systems.sql.sql_session import DATABASE

HEALTH_PORT = 8008
_PATRONI = """\
scope: splitbrain
name: {{ node }}
restapi: {listen: "0.0.0.0:8008", connect_address: "{{ host }}:8008"}
etcd3: {hosts: [{% for each in nodes %}"{{ each.host }}:2379"{{ ", " if not loop.last }}{% endfor %}]}
bootstrap:
  dcs:
    ttl: 8
    loop_wait: 1
    retry_timeout: 3
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
  parameters: {unix_socket_directories: /tmp, shared_buffers: 64MB, deadlock_timeout: 50ms}
"""
_START = """\
etcd --name {{ node }} --data-dir {{ data }}/etcd --listen-client-urls http://0.0.0.0:2379 \
    --advertise-client-urls http://{{ host }}:2379 --listen-peer-urls http://0.0.0.0:2380 \
    --initial-advertise-peer-urls http://{{ host }}:2380 --initial-cluster \
    {% for each in nodes %}{{ each.name }}=http://{{ each.host }}:2380{{ "," if not loop.last }}{% endfor %} \
    >> {{ data }}/etcd.log 2>&1 &
exec patroni /etc/splitbrain/patroni.yml
"""


class PatroniSession(PostgresSession):
    """hosts: of all nodes, the client's own first."""

    def __init__(self, hosts: Sequence[str], isolation: str) -> None:
        super().__init__(hosts[0], isolation)
        self._hosts = hosts

    async def open(self) -> asyncpg.Connection:
        return await connected(
            list(self._hosts), DATABASE, target_session_attrs="primary", server_settings=self._settings
        )


class Patroni(Postgres):
    """A primary, its standbys, and who watches over them."""

    name = "patroni"
    settings: ClassVar[Mapping[str, Setting]] = {
        "isolation": Postgres.settings["isolation"],
        "synchronous-mode": ("off", "on", "strict"),
    }
    made_of = NodeImage(debian=("postgresql-15", "patroni", "etcd-server", "python3-etcd"))
    sizes = (3, 9)
    # A standby copies all that the primary has.
    start_s = 90.0

    def program(self, environment: Environment, node: str) -> Program:
        given = {"data": DATA, "binaries": BINARIES}
        script = self.render(_START, environment, node, **given).decode()
        files = {"/etc/splitbrain/patroni.yml": self.render(_PATRONI, environment, node, **given)}
        logs = (f"{DATA}/etcd.log",)
        return Program("patroni", ("sh", "-c", script), files=files, data=DATA, user=USER, logs=logs, preload=False)

    def session(self, environment: Environment, node: str) -> PatroniSession:
        hosts = [environment.machines[each].host for each in sorted(environment.machines, key=lambda name: name != node)]
        return PatroniSession(hosts, self.config["isolation"])

    async def ready(self, environment: Environment, node: str) -> bool:
        return await serves(environment.machines[node].host)

    async def prepare(self, environment: Environment) -> None:
        while (leader := await self.leader(environment)) is None:
            await asyncio.sleep(0.2)
        await make_tables(environment.machines[leader].host)

    async def leader(self, environment: Environment) -> str | None:
        """The node whose Patroni says that it holds the key of the primary."""
        for name, machine in environment.machines.items():
            if await answers_http(f"http://{machine.host}:{HEALTH_PORT}/primary"):
                return name
        return None


SYSTEM = Patroni()
