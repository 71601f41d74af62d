"""Servers and clients over real UDP on loopback, in this process."""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import asynccontextmanager

from splitbrain.store.client import Client
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config, Member
from splitbrain.store.server import Server, present
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.wire.udp import UdpSocket

SECRET = bytes(range(32))
ALONE = Config(n=1, r=1, w=1)


def free_ports(number):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def make_client(*ports, secret=SECRET):
    core = ClientCore([("127.0.0.1", p) for p in ports], secret=secret, cluster="test", bits=secrets.randbits)
    client = Client(core, present)
    endpoint = UdpSocket(("127.0.0.1", 0), client.received)
    client.attach(endpoint, endpoint.buffer_datagrams)
    return client


@asynccontextmanager
async def cluster(number, config=None, engines=None):
    """Servers in this process, and a client of all."""
    ports = free_ports(number)
    members = [Member(f"n{i}", ("127.0.0.1", port)) for i, port in enumerate(ports)]
    tasks = []
    for i, member in enumerate(members):
        server = Server(
            member.name,
            members,
            config or Config(),
            secret=SECRET,
            cluster="test",
            engine=engines[i] if engines else MemoryEngine(),
            listen=member.address,
            note=print,
        )
        started = asyncio.Event()
        tasks.append(asyncio.create_task(server.serve(started)))
        await asyncio.wait_for(started.wait(), 10)
    client = make_client(*ports)
    try:
        yield client, tasks, ports
    finally:
        client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 60))
