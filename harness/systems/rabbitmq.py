"""RabbitMQ: queues that are mirrored (classic) or agreed on (quorum), with publisher confirms.

1. An enqueue is acknowledged once the broker has confirmed the message, which is persistent and in a durable queue.
   One that no queue took was returned, and certainly did not happen; a refusal (nack) says nothing for certain.
2. A dequeue gets a message and acknowledges it. What was not acknowledged comes back once the connection is closed, so
   a get that fails has taken nothing. The broker confirms no acknowledgement: one that is lost brings the message back
   too, so a queue delivers at least once.
3. Classic queues are mirrored to all nodes. Nodes that lose sight of each other for about `TICK_S` seconds go on as two
   clusters, each with its mirrors. With `autoheal` the side with fewer clients then forgets what it had confirmed. With
   `pause_minority`, the default here, nodes in a minority stop serving.
4. With `ignore` nodes that lost sight of each other stay apart after the heal, until somebody restarts them. What
   queues there are is no matter of Raft, so quorum queues do not help there: such a run does not recover.

Sources: RabbitMQ 3.10's documentation: Clustering and Network Partitions, Classic Queue Mirroring, Quorum Queues;
Kingsbury, Call me maybe: RabbitMQ (2014).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq import exceptions

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Failure, Service, Session, Setting, answers, quieten

PORT = 5672
DATA = "/var/lib/splitbrain/data"
HOME = "/var/lib/rabbitmq"
BINARIES = "/usr/lib/rabbitmq/bin"
CONFIGURATION = "/etc/splitbrain/rabbitmq.conf"
USER = "rabbitmq"
TICK_S = 4
"""Nodes that were not heard for about so long are down. A minute is the default, longer than most tests."""
FORM_S = 90
quieten("aiormq", "aio_pika")
_GREETING = b"AMQP\x00\x00\x09\x01"
_START = b"\x01\x00\x00"
_SERVER = """\
listeners.tcp.1 = {{ host }}:{{ port }}
loopback_users = none
log.file = false
log.console = true
net_ticktime = {{ tick_s }}
cluster_partition_handling = {{ partition_handling }}
cluster_formation.peer_discovery_backend = classic_config
{% for each in nodes -%}
cluster_formation.classic_config.nodes.{{ each.number }} = rabbit@{{ each.host }}
{% endfor -%}
"""


@dataclass
class Link:
    """A connection with one channel, and the queues that were declared over it."""

    connection: AbstractConnection
    channel: AbstractChannel
    queues: dict[str, AbstractQueue] = field(default_factory=dict)

    async def queue(self, key: str, kind: str) -> AbstractQueue:
        if key not in self.queues:
            self.queues[key] = await self.channel.declare_queue(key, durable=True, arguments={"x-queue-type": kind})
        return self.queues[key]


class RabbitMqSession(Session[Link]):
    """Queues, through the broker of one node. kind: `classic` or `quorum`."""

    failures: ClassVar[Sequence[Failure]] = (
        Failure(exceptions.PublishError, "unroutable", definite=True),
        Failure(exceptions.DeliveryError, "refused"),
        Failure(exceptions.AMQPConnectionError, "connection-lost"),
        Failure((exceptions.AMQPChannelError, exceptions.ChannelInvalidStateError), "channel-closed"),
    )
    # A dequeue is three calls, and has five seconds.
    timeout_s = 1.5

    def __init__(self, host: str, kind: str) -> None:
        self._host = host
        self._kind = kind

    async def open(self) -> Link:
        connection = await aio_pika.connect(host=self._host, port=PORT)
        return Link(connection, await connection.channel(on_return_raises=True))

    async def shut(self, raw: Link) -> None:
        await raw.connection.close()

    async def enqueue(self, key: str, value: Any) -> None:
        await self._declare(key)
        message = aio_pika.Message(json.dumps(value).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.call(lambda raw: raw.channel.default_exchange.publish(message, key))

    async def dequeue(self, key: str) -> Any:
        await self._declare(key)
        message = await self.call(lambda raw: self._got(raw, key), effect=False)
        if message is None:
            return None
        await self.call(lambda raw: message.ack())
        return json.loads(message.body)

    async def _declare(self, key: str) -> None:
        """Apart from what is done to the queue: a queue that can't be declared was certainly not changed."""
        await self.call(lambda raw: raw.queue(key, self._kind), effect=False)

    async def _got(self, raw: Link, key: str) -> AbstractIncomingMessage | None:
        return await (await raw.queue(key, self._kind)).get(fail=False, timeout=None)


class RabbitMq(Service):
    """A cluster whose nodes all hold every queue."""

    name = "rabbitmq"
    interfaces = frozenset({"Queue"})
    settings: ClassVar[Mapping[str, Setting]] = {
        "queue-type": ("quorum", "classic"),
        "partition-handling": ("pause_minority", "autoheal", "ignore"),
    }
    made_of = NodeImage(debian=("rabbitmq-server",))
    port = PORT
    start_s = 90.0
    sizes = (1, 7)

    def program(self, environment: Environment, node: str) -> Program:
        variables = {
            "HOME": HOME,
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": _named(environment, node),
            "RABBITMQ_MNESIA_BASE": DATA,
            "RABBITMQ_CONFIG_FILE": CONFIGURATION,
        }
        files = {
            CONFIGURATION: self.render(_SERVER, environment, node, tick_s=TICK_S),
            f"{HOME}/.erlang.cookie": b"splitbrain",
        }
        command = ("env", *(f"{name}={value}" for name, value in variables.items()), f"{BINARIES}/rabbitmq-server")
        return Program("rabbitmq", command, files=files, data=DATA, user=USER)

    def session(self, environment: Environment, node: str) -> RabbitMqSession:
        return RabbitMqSession(environment.machines[node].host, self.config["queue-type"])

    async def ready(self, environment: Environment, node: str) -> bool:
        return await answers(environment.machines[node].host, PORT, _GREETING, _START)

    async def prepare(self, environment: Environment) -> None:
        """Wait until all nodes are in one cluster, and have classic queues mirrored."""
        members = environment.members
        await self._control(environment, "await_online_nodes", str(len(members)), "--timeout", str(FORM_S))
        if self.config["queue-type"] == "classic":
            mirrored = json.dumps({"ha-mode": "all", "ha-sync-mode": "automatic"})
            await self._control(environment, "set_policy", "mirrored", ".*", mirrored, "--apply-to", "queues")

    async def _control(self, environment: Environment, *command: str) -> None:
        node = environment.members[0]
        argv = (f"{BINARIES}/rabbitmqctl", "--longnames", "--node", _named(environment, node), *command)
        await environment.machines[node].run(argv, user=USER, timeout_s=FORM_S)


def _named(environment: Environment, node: str) -> str:
    return f"rabbit@{environment.machines[node].host}"


SYSTEM = RabbitMq()
