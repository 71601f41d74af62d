"""Services check their settings, and write configuration files from templates."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import jinja2
import pytest

from splitbrain.harness.systems.kit import Service, answers, answers_http, port_open


class Kept(Service):
    """A service of three kinds of settings."""

    name = "kept"
    settings: ClassVar = {"mode": ("fast", "safe"), "copies": 3, "zone": "here"}
    sizes = (3, 5)
    port = 7


def test_settings_have_defaults_and_are_changed_in_a_copy():
    service = Kept()
    changed = service.configure({"mode": "safe", "copies": "5"}, seed=4, nodes=3)
    assert service.config == {"mode": "fast", "copies": "3", "zone": "here"}
    assert changed.config == {"mode": "safe", "copies": "5", "zone": "here"}
    assert (changed.number("copies"), changed.seed, changed.nodes) == (5, 4, 3)


@pytest.mark.parametrize(
    ("config", "nodes", "said"),
    [
        ({"mode": "slow"}, 3, "mode=slow: give one of fast, safe"),
        ({"copies": "many"}, 3, "copies=many: give a whole number"),
        ({"colour": "red"}, 3, "kept has no setting 'colour'; it has mode, copies, zone"),
        ({}, 2, "kept runs on 3 to 5 nodes, not on 2; give --nodes 3"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(config, nodes, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        Kept().configure(config, seed=0, nodes=nodes)


def environment() -> Any:
    machines = {f"n{number}": SimpleNamespace(host=f"10.0.0.{number}") for number in (1, 2, 3)}
    return SimpleNamespace(machines=machines, members=list(machines))


def test_a_template_knows_the_node_its_peers_and_the_settings():
    text = "{{ number }} {{ node }}={{ host }}:{{ port }} {{ mode }} {% for each in others %}{{ each.host }},{% endfor %}\n"
    assert Kept().render(text, environment(), "n2") == b"2 n2=10.0.0.2:7 fast 10.0.0.1,10.0.0.3,\n"
    assert Kept().render("{{ extra }}", environment(), "n1", extra="<&>") == b"<&>"
    with pytest.raises(jinja2.UndefinedError):
        Kept().render("{{ typo }}", environment(), "n1")


async def serving(answer: bytes | None) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if answer is not None:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("answer", "answered"), [(b"+PONG\r\n", True), (b"-ERR\r\n", False), (None, False)])
def test_a_program_that_answers_says_more_than_an_open_port(answer, answered):
    async def asked() -> tuple[bool, bool]:
        server, port = await serving(answer)
        async with server:
            is_open = await port_open("127.0.0.1", port)
            return is_open, await answers("127.0.0.1", port, b"PING\r\n", b"+PONG", patience_s=0.3)

    assert asyncio.run(asked()) == (True, answered)


def test_where_nothing_listens_nothing_answers():
    async def asked() -> tuple[bool, bool, bool]:
        server, port = await serving(b"")
        server.close()
        await server.wait_closed()
        return (
            await port_open("127.0.0.1", port),
            await answers("127.0.0.1", port, b"?", b"!"),
            await answers_http(f"http://127.0.0.1:{port}/"),
        )

    assert asyncio.run(asked()) == (False, False, False)


@pytest.mark.parametrize(("status", "healthy"), [(b"200 OK", True), (b"503 Busy", False)])
def test_a_health_page_is_healthy_with_200_alone(status, healthy):
    async def asked() -> bool:
        server, port = await serving(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        async with server:
            return await answers_http(f"http://127.0.0.1:{port}/health")

    assert asyncio.run(asked()) is healthy
