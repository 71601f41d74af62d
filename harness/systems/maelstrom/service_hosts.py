"""Service hosts: the services on the network, each a host to which nodes send requests.

A request without a `msg_id` is done, and not answered: its sender could not tell what for.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from splitbrain.harness.environment import Address
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.systems.maelstrom.kv_services import Service, services

NAMES = tuple(services(0))
"""The names that nodes send to."""


def open_services(environment: ProcessesEnvironment, seed: int) -> None:
    """Put every service on the network. seed: of what they draw."""
    for name, service in services(seed).items():
        _open(environment, name, service)


def _open(environment: ProcessesEnvironment, name: str, service: Service) -> None:
    def receive(body: bytes, source: Address) -> None:
        request: dict[str, Any] = msgspec.json.decode(body)
        answer = service.handle(source[0], request, asyncio.get_running_loop().time())
        if "msg_id" in request:
            place.send(msgspec.json.encode({**answer, "in_reply_to": request["msg_id"]}), source)

    place = environment.host(name, receive)
