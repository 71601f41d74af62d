"""NATS JetStream: queues and logs as streams that are replicated over all nodes.

1. A publish is acknowledged once a majority has written the message to its files. Files are synced every two minutes by
   default, so a power cut may take what was acknowledged.
2. A queue is a stream that gives up what was acknowledged, and one consumer. A dequeue pulls a message and waits until
   its acknowledgement is confirmed. A message that was not acknowledged comes again after `ACK_WAIT_S`, at least once,
   so a pull that fails has taken nothing.
3. A log is a stream that keeps everything; an offset is a sequence number. What was committed is the last message on a
   subject of its own.
4. A stream is asked for by every connection before its first use. If it was lost, it is made anew, and empty.

Sources: NATS's documentation of JetStream clustering and of its wire API; Kingsbury, NATS 2.12.1 (2025).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, ClassVar
from urllib.parse import quote

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError, NoServersError
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.interfaces import PROBE_NAME
from splitbrain.harness.system import NodeImage, OperationFailed
from splitbrain.harness.systems.kit import Failure, Service, Session, Setting, answers, quieten
from splitbrain.harness.systems.readiness import until_done

PORT = 4222
DATA = "/var/lib/splitbrain/data"
CONFIGURATION = "/etc/splitbrain/nats.conf"
ACK_WAIT_S = 2.0
OPEN_S = 1
FORM_S = 60.0
PAGE = 50
"""How many records of a key a poll takes at most."""
CONSUMER = "worker"
EMPTY = "404"
_SERVER = """\
server_name: {{ node }}
listen: {{ host }}:{{ port }}
jetstream { store_dir: /var/lib/splitbrain/data, max_file_store: 128MB, max_memory_store: 64MB }
{% if nodes | length > 1 -%}
cluster {
  name: splitbrain
  listen: {{ host }}:6222
  routes: [{% for each in others %}nats://{{ each.host }}:6222{{ ", " if not loop.last }}{% endfor %}]
}
{% endif -%}
"""
quieten("nats")


@dataclass
class Link:
    """A connection, and the streams that were asked for over it."""

    client: Client
    streams: JetStreamContext
    known: set[str] = field(default_factory=set)


class NatsSession(Session[Link]):
    """Queues and logs, through the server of one node. replicas: of each stream."""

    failures: ClassVar[Sequence[Failure]] = (
        # Nobody listened, so nobody had it.
        Failure((NoStreamResponseError, NoRespondersError), "no-responders", definite=True),
        Failure(TimeoutError, "timeout"),
        Failure(ServiceUnavailableError, "unavailable"),
        Failure(APIError, "refused"),
        Failure((Error, NoServersError), "connection-lost"),
    )
    # A dequeue is three calls, and has five seconds.
    timeout_s = 1.5

    def __init__(self, host: str, replicas: int) -> None:
        self._host = host
        self._replicas = replicas

    async def open(self) -> Link:
        # No reconnecting: what is buffered meanwhile would be sent after it was given up.
        client = await nats.connect(f"nats://{self._host}:{PORT}", allow_reconnect=False, connect_timeout=OPEN_S)
        return Link(client, client.jetstream(timeout=self.timeout_s))

    async def shut(self, raw: Link) -> None:
        await raw.client.close()

    async def enqueue(self, key: str, value: Any) -> None:
        queue = await self._queue(key)
        await self._publish(queue, queue, value)

    async def dequeue(self, key: str) -> Any:
        queue = await self._queue(key)
        message = await self.call(lambda raw: self._pulled(raw, queue), effect=False)
        if message is None:
            return None
        await self.call(lambda raw: raw.client.request(message.reply, b"+ACK", timeout=self.timeout_s))
        return json.loads(message.data)

    async def send(self, key: str, value: Any) -> int:
        log = await self._log(key)
        return await self._publish(log, log, value)

    async def poll(self, positions: Mapping[str, int]) -> dict[str, list[list[Any]]]:
        found: dict[str, list[list[Any]]] = {}
        for key, position in positions.items():
            records = await self._page(await self._log(key), position)
            if records:
                found[key] = records
        return found

    async def commit(self, positions: Mapping[str, int]) -> None:
        for key, position in positions.items():
            stream, subject = await self._commits(key)
            await self._publish(stream, subject, position)

    async def committed(self, keys: Sequence[str]) -> dict[str, int]:
        found = {}
        for key in keys:
            stream, subject = await self._commits(key)
            message = await self._last(stream, subject)
            found[key] = 0 if message is None else json.loads(message.data or b"0")
        return found

    async def _queue(self, key: str) -> str:
        return await self._known(_named("queue", key), retention=api.RetentionPolicy.WORK_QUEUE)

    async def _log(self, key: str) -> str:
        return await self._known(_named("log", key))

    async def _commits(self, key: str) -> tuple[str, str]:
        return await self._known(
            "commits", subject="commits.*", max_msgs_per_subject=1
        ), f"commits.{_named('log', key)}"

    async def _known(self, name: str, *, subject: str = "", **config: Any) -> str:
        """Make the stream if it is missing. What is to be done to it comes after: if this fails, nothing was."""

        async def ask(raw: Link) -> None:
            if name in raw.known:
                return
            await raw.streams.add_stream(name=name, subjects=[subject or name], num_replicas=self._replicas, **config)
            if "retention" in config:
                await raw.streams.add_consumer(name, durable_name=CONSUMER, ack_wait=ACK_WAIT_S)
            raw.known.add(name)

        await self.call(ask, effect=False)
        return name

    async def _publish(self, stream: str, subject: str, value: Any) -> int:
        packed = json.dumps(value).encode()
        return (await self.call(lambda raw: raw.streams.publish(subject, packed, stream=stream))).seq

    async def _pulled(self, raw: Link, queue: str) -> Msg | None:
        asked = json.dumps({"batch": 1, "no_wait": True}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{queue}.{CONSUMER}"
        # What a consumer delivers bears the stream's subject. Only a subscription of its own is sure to get it.
        message = await raw.client.request(subject, asked, timeout=self.timeout_s, old_style=True)
        status = (message.headers or {}).get("Status")
        if status == EMPTY:
            return None
        if status is not None or not message.reply:
            raise OperationFailed("refused", f"a pull was answered with status {status}", definite=True)
        return message

    async def _page(self, log: str, position: int) -> list[list[Any]]:
        return await self.call(lambda raw: self._records(raw, log, position), effect=False)

    async def _last(self, stream: str, subject: str) -> api.RawStreamMsg | None:
        return await self.call(lambda raw: _message(raw, stream, subject=subject), effect=False)

    async def _records(self, raw: Link, log: str, position: int) -> list[list[Any]]:
        """A page of records at most. Those asked for together may be written meanwhile: after a gap none is taken."""
        first = await _message(raw, log, seq=max(1, position), subject=log, next=True)
        if first is None or first.seq is None:
            return []
        page = range(first.seq + 1, first.seq + PAGE)
        more = await asyncio.gather(*(_message(raw, log, seq=at) for at in page))
        known = [first, *takewhile(lambda each: each is not None, more)]
        return [[each.seq, json.loads(each.data or b"null")] for each in known if each is not None]


async def _message(raw: Link, stream: str, **which: Any) -> api.RawStreamMsg | None:
    """One message of the stream; None if there is none."""
    try:
        return await raw.streams.get_msg(stream, **which)
    except NotFoundError:
        return None


def _named(kind: str, key: str) -> str:
    """A stream's name, without dots and spaces. nats-server 2.9 takes it for a format, so without percent signs too."""
    return f"{kind}-{quote(key, safe='').replace('.', '%2E').replace('%', '=')}"


class Nats(Service):
    """A cluster whose streams have a replica on every node, five at most."""

    name = "nats"
    interfaces = frozenset({"Queue", "Log"})
    settings: ClassVar[Mapping[str, Setting]] = {}
    # Nothing can be preloaded into a program of Go, so power cuts need a disk.
    made_of = NodeImage(debian=("nats-server",), disk_mib=160)
    port = PORT
    sizes = (1, 9)

    def program(self, environment: Environment, node: str) -> Program:
        files = {CONFIGURATION: self.render(_SERVER, environment, node)}
        command = ("nats-server", "--config", CONFIGURATION)
        return Program("nats-server", command, files=files, data=DATA, user="nats", preload=False)

    def session(self, environment: Environment, node: str) -> NatsSession:
        return NatsSession(environment.machines[node].host, min(self.nodes, 5))

    async def ready(self, environment: Environment, node: str) -> bool:
        return await answers(environment.machines[node].host, PORT, b"", b"INFO")

    async def prepare(self, environment: Environment) -> None:
        """Wait until a stream can be placed on all nodes."""
        await until_done(lambda: self._probe(environment), FORM_S)

    async def _probe(self, environment: Environment) -> None:
        for node in environment.members:
            session = self.session(environment, node)
            try:
                await session.enqueue(PROBE_NAME, 1)
                await session.dequeue(PROBE_NAME)
            finally:
                await session.close()


SYSTEM = Nats()
