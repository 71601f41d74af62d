"""The connection speaks in the words of Maelstrom's workloads."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.interfaces import PROBE_NAME, PROBES
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.maelstrom import SYSTEM
from splitbrain.harness.systems.maelstrom.error_codes import ERROR_CODES
from splitbrain.harness.systems.maelstrom.maelstrom_client import MaelstromConnection
from splitbrain.workloads.transactions.append import WORKLOAD as APPEND
from tests.harness.processes.programs import in_environment
from tests.harness.systems.maelstrom.nodes import configured, node, started

Use = Callable[[MaelstromConnection, ProcessesEnvironment], Awaitable[None]]


def connected(folder: Path, answers: str, use: Use, **config: str) -> list[dict[str, Any]]:
    """Use a connection to a node that answers so. Returns what the node was asked, without `init`."""
    system = configured(node(folder, answers), **config)
    asked: list[dict[str, Any]] = []

    async def scenario(environment: ProcessesEnvironment) -> None:
        connection = await started(environment, system)
        await use(connection, environment)
        lines = (await environment.machines["n1"].logs())["node.log"].splitlines()
        asked.extend(json.loads(line)["body"] for line in lines)

    in_environment(scenario, nodes=["n1"], source=None, system=system)
    assert asked[0]["type"] == "init"
    assert len({body["msg_id"] for body in asked[1:]}) == len(asked) - 1
    return [{key: value for key, value in body.items() if key != "msg_id"} for body in asked[1:]]


CALLS: list[tuple[str, tuple[Any, ...], str, Any, dict[str, Any]]] = [
    ("echo", ("hello",), "echo=request['echo']", "hello", {"type": "echo", "echo": "hello"}),
    ("generate", (), "id='n1-7'", "n1-7", {"type": "generate"}),
    ("broadcast", (3,), "", None, {"type": "broadcast", "message": 3}),
    ("messages", (), "messages=[3, 1]", [3, 1], {"type": "read"}),
    ("add_element", ("g0", 4), "", None, {"type": "add", "element": 4}),
    ("elements", ("g0",), "value=[4]", [4], {"type": "read"}),
    ("add", ("c0", -2), "", None, {"type": "add", "delta": -2}),
    ("total", ("c0",), "value=-2", -2, {"type": "read"}),
    ("read", ("l12",), "value=5", 5, {"type": "read", "key": 12}),
    ("write", ("l12", 5), "", None, {"type": "write", "key": 12, "value": 5}),
    ("cas", ("l12", 5, 6), "", True, {"type": "cas", "key": 12, "from": 5, "to": 6}),
    ("send", ("k0", 8), "offset=3", 3, {"type": "send", "key": "k0", "msg": 8}),
    ("poll", ({"k0": 3},), "msgs={'k0': [[3, 8]], 'k1': []}", {"k0": [[3, 8]]}, {"type": "poll", "offsets": {"k0": 3}}),
    ("commit", ({"k0": 4, "k1": 0},), "", None, {"type": "commit_offsets", "offsets": {"k0": 3}}),
    (
        "committed",
        (["k0", "k1"],),
        "offsets={'k0': 3}",
        {"k0": 4, "k1": 0},
        {"type": "list_committed_offsets", "keys": ["k0", "k1"]},
    ),
    (
        "transact",
        ([["r", "x3", None], ["append", "x4", 9], ["r", "x4", None]],),
        "txn=[['r', 3, None], ['append', 4, 9], ['r', 4, [9]]]",
        [["r", "x3", None], ["append", "x4", 9], ["r", "x4", [9]]],
        {"type": "txn", "txn": [["r", 3, None], ["append", 4, 9], ["r", 4, None]]},
    ),
]


@pytest.mark.parametrize(("method", "arguments", "answer", "returned", "request_body"), CALLS)
def test_each_method_is_a_request_and_its_answer(
    method: str, arguments: tuple[Any, ...], answer: str, returned: Any, request_body: dict[str, Any], tmp_path: Path
) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        assert await getattr(connection, method)(*arguments) == returned
        assert await environment.lost() == ""

    assert connected(tmp_path, f"answer({answer})", use) == [request_body]


def test_a_call_of_every_method_is_tried() -> None:
    methods = {name for name in vars(MaelstromConnection) if not name.startswith("_")}
    assert {call[0] for call in CALLS} == methods - {"close"}


@pytest.mark.parametrize("code", [*ERROR_CODES, 1000, 4711])
def test_an_error_is_a_fail_if_it_is_definite_and_an_info_otherwise(code: int, tmp_path: Path) -> None:
    # Written out here, from the protocol's table.
    definite = code in (1, 10, 11, 12, 14, 20, 21, 22, 30)

    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        with pytest.raises(OperationFailed, match="because of it") as caught:
            await connection.write("l0", 1)
        assert caught.value.definite == definite
        assert await environment.lost() == ""

    connected(tmp_path, f"answer('error', code={code}, text='because of it')", use)


def test_a_register_whose_key_does_not_exist_is_null_and_no_cas_finds_it(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        assert await connection.read("l0") is None
        assert await connection.cas("l0", 1, 2) is False
        with pytest.raises(OperationFailed):
            await connection.write("l0", 1)

    connected(tmp_path, "answer('error', code=20)", use)


def test_a_cas_that_finds_another_value_changed_nothing(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        assert await connection.cas("l0", 1, 2) is False
        with pytest.raises(OperationFailed):
            await connection.read("l0")

    connected(tmp_path, "answer('error', code=22)", use)


def test_no_answer_in_time_is_indeterminate_and_one_that_is_late_answers_nothing_else(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        with pytest.raises(OperationFailed, match=r"no answer to echo within 0\.2 s") as caught:
            await connection.echo("first")
        assert not caught.value.definite
        connection._patience_s = 20.0
        # The node now answers what it was asked first, and then what it is asked now.
        assert await connection.echo("second") == "second"

    answers = """if len(asked) > 2:
    for each in asked[1:]:
        tell(message["src"], type="echo_ok", in_reply_to=each["msg_id"], echo=each["echo"])"""
    connected(tmp_path, answers, use, timeout_ms="200")


def test_an_answer_that_comes_at_the_very_moment_of_the_timeout_crashes_no_client(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(connection.echo("x"))
        await asyncio.sleep(0)
        ((_, awaited),) = connection._requests._awaited.items()
        # The loop is held up, and then has both to do in one turn: the answer, and after it the timeout.
        loop.call_later(0.1, time.sleep, 0.3)
        loop.call_later(0.15, awaited.set_result, b'{"type":"echo_ok"}')
        await asyncio.wait([asking])
        assert isinstance(asking.exception(), OperationFailed)

    connected(tmp_path, "pass", use, timeout_ms="200")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("answer('read')", "its type must be read_ok or error"),
        ("answer()", "missing required field `messages`"),
        ("answer(messages=['x'])", "Expected `int`, got `str`"),
        ("answer('error', code='x')", "Expected `int`, got `str`"),
    ],
)
def test_an_answer_that_can_not_be_understood_ends_the_run(answer: str, why: str, tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        with pytest.raises(OperationFailed) as caught:
            await connection.messages()
        assert not caught.value.definite
        lost = await environment.lost()
        assert lost.startswith("n1 answered read with '{")
        assert why in lost

    connected(tmp_path, answer, use)


@pytest.mark.parametrize("txn", ["[]", "[['r', 4, None]]", "[['w', 3, None]]", "[['r', 3, None], ['r', 3, None]]"])
def test_another_transaction_than_the_one_asked_for_ends_the_run(txn: str, tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        with pytest.raises(OperationFailed):
            await connection.transact([["r", "x3", None]])
        assert "an answer has the same operations in the same order" in await environment.lost()

    connected(tmp_path, f"answer(txn={txn})", use)


def test_what_is_no_answer_is_ignored(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        assert await connection.echo("x") == "x"
        assert await environment.lost() == ""

    strange = "tell(message['src'], x=1); tell(message['src'], type='news', in_reply_to=99)"
    connected(tmp_path, f"{strange}\nanswer(echo='x')", use)


def test_a_probe_is_seen_in_no_set_counter_register_or_row_of_a_workload(tmp_path: Path) -> None:
    async def use(connection: MaelstromConnection, environment: ProcessesEnvironment) -> None:
        for name in sorted(SYSTEM.interfaces):
            await PROBES[name](connection)
        assert APPEND.probe is not None
        await APPEND.probe(connection)
        assert await environment.lost() == ""

    answers = """value = 0 if asked[-2]["type"] == "add" else []
answer(echo="x", id=1, messages=[], value=value, offset=0, msgs={}, offsets={}, txn=request.get("txn"))"""
    asked = connected(tmp_path, answers, use)
    assert {"type": "add", "delta": 0} in asked
    assert not any(body["type"] == "broadcast" or "element" in body for body in asked)
    keys = [body["key"] for body in asked if body["type"] in ("read", "write") and "key" in body]
    keys += [key for body in asked for _, key, _ in body.get("txn", ())]
    assert len(keys) == 6
    assert min(keys) >= 2_000_000_000
    assert max(keys) < 2**31
    lists = {key for body in asked for kind, key, _ in body.get("txn", ()) if kind == "append"}
    assert lists.isdisjoint(key for body in asked for kind, key, _ in body.get("txn", ()) if kind == "w")
    assert {body["key"] for body in asked if body["type"] == "send"} == {PROBE_NAME}
