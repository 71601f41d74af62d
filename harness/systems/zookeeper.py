"""ZooKeeper: registers in znodes, compared and set by their version.

1. Writes go through the leader and a majority. A read is answered by the client's own server from what that has, so a
   plain read may be stale. `reads=sync` asks the server to catch up with the leader before each read.
2. A compare-and-set reads the value, which may be stale, and sets with the version that it read. The leader compares
   the versions, so a stale read only makes it fail.
3. A server that is cut off goes on answering reads until it gives up on the leader: `syncLimit` ticks.

Sources: ZooKeeper 3.8's Programmer's Guide, "Consistency Guarantees"; Hunt and others (2010).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from splitbrain.harness.environment import Environment, EnvironmentFailure, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Failure, Service, Session, Setting, answers, on_thread, quieten

PORT = 2181
DATA = "/var/lib/splitbrain/data"
ETC = "/etc/splitbrain"
SESSION_S = 4.0
"""How long a server keeps the session of a client that it does not hear."""
OPEN_S = 1.5
CALL_S = 3.0
"""Longer than a call of a session may take: threads end by themselves."""
FORM_S = 60.0
_SERVER = """\
tickTime=1000
initLimit=10
syncLimit=3
dataDir=/var/lib/splitbrain/data
clientPort={{ port }}
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=ruok,srvr
{% if nodes | length > 1 -%}
{% for each in nodes -%}
server.{{ each.number }}={{ each.host }}:2888:3888
{% endfor -%}
{% endif -%}
"""
_LOGGING = b"""\
log4j.rootLogger=INFO, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} %-5p [%c{1}] %m%n
"""
quieten("kazoo")


class ZooKeeperSession(Session[KazooClient]):
    """Registers, through the server of one node."""

    failures: ClassVar[Sequence[Failure]] = (
        Failure(exceptions.BadVersionError, "version", definite=True),
        Failure(exceptions.NoNodeError, "no-node", definite=True),
        Failure((KazooTimeoutError, exceptions.OperationTimeoutError), "timeout"),
        # A session that expired may have had the request before.
        Failure(exceptions.SessionExpiredError, "session-lost"),
        Failure((exceptions.ConnectionLoss, exceptions.ConnectionDropped), "connection-lost"),
    )

    def __init__(self, host: str, *, sync: bool) -> None:
        self._host = host
        self._sync = sync

    async def open(self) -> KazooClient:
        client = KazooClient(f"{self._host}:{PORT}", timeout=SESSION_S)
        await on_thread(lambda: client.start(timeout=OPEN_S))
        return client

    async def shut(self, raw: KazooClient) -> None:
        await on_thread(lambda: (raw.stop(), raw.close()))

    async def read(self, key: str) -> Any:
        def read(raw: KazooClient) -> Any:
            if self._sync:
                raw.sync_async(_path(key)).get(timeout=CALL_S)
            return _get(raw, key)[0]

        return await self._do(read, effect=False)

    async def write(self, key: str, value: Any) -> None:
        content = json.dumps(value).encode()

        def write(raw: KazooClient) -> None:
            try:
                raw.set_async(_path(key), content).get(timeout=CALL_S)
                return
            except exceptions.NoNodeError:
                pass
            try:
                raw.create_async(_path(key), content).get(timeout=CALL_S)
            except exceptions.NodeExistsError:  # Another client made it in between.
                raw.set_async(_path(key), content).get(timeout=CALL_S)

        await self._do(write)

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        def cas(raw: KazooClient) -> bool:
            value, version = _get(raw, key)
            if value != old or version is None:
                return False
            raw.set_async(_path(key), json.dumps(new).encode(), version).get(timeout=CALL_S)
            return True

        return bool(await self._do(cas))

    async def _do(self, work: Callable[[KazooClient], Any], *, effect: bool = True) -> Any:
        return await self.call(lambda raw: on_thread(lambda: work(raw)), effect=effect)


def _path(key: str) -> str:
    return "/" + quote(key, safe="")


def _get(raw: KazooClient, key: str) -> tuple[Any, int | None]:
    """The value and its version; None and None of a key that was never written."""
    try:
        content, found = raw.get_async(_path(key)).get(timeout=CALL_S)
    except exceptions.NoNodeError:
        return None, None
    return json.loads(content), found.version


class ZooKeeper(Service):
    """An ensemble in which every node votes."""

    name = "zookeeper"
    interfaces = frozenset({"Register"})
    settings: ClassVar[Mapping[str, Setting]] = {"reads": ("plain", "sync")}
    made_of = NodeImage(debian=("zookeeper",))
    port = PORT
    sizes = (1, 7)

    def program(self, environment: Environment, node: str) -> Program:
        files = {
            f"{ETC}/zoo.cfg": self.render(_SERVER, environment, node),
            f"{ETC}/log4j.properties": _LOGGING,
            f"{DATA}/myid": self.render("{{ number }}\n", environment, node),
        }
        # It starts faster by half without the second compiler, and one collector's thread is enough for a test.
        java = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        main = ("-cp", f"{ETC}:/usr/share/java/zookeeper.jar", "org.apache.zookeeper.server.quorum.QuorumPeerMain")
        return Program("zookeeper", (*java, *main, f"{ETC}/zoo.cfg"), files=files, data=DATA, user="zookeeper")

    def session(self, environment: Environment, node: str) -> ZooKeeperSession:
        return ZooKeeperSession(environment.machines[node].host, sync=self.config["reads"] == "sync")

    async def ready(self, environment: Environment, node: str) -> bool:
        """Whether the server runs. One that has no majority does not serve, but has come up."""
        return await answers(environment.machines[node].host, PORT, b"ruok", b"imok")

    async def prepare(self, environment: Environment) -> None:
        """Wait until every server follows a leader."""
        for node, machine in environment.machines.items():
            if node not in environment.members:
                continue
            deadline = asyncio.get_running_loop().time() + FORM_S
            while not await answers(machine.host, PORT, b"srvr", b"Zookeeper version"):
                if asyncio.get_running_loop().time() > deadline:
                    raise EnvironmentFailure(f"{node} follows no leader {FORM_S:g} s after its start; see its log")
                await asyncio.sleep(0.1)


SYSTEM = ZooKeeper()
