"""Nodes as processes, and the network that the harness carries between them."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from splitbrain.harness.environment import CLIENTS, Conditions, EnvironmentFailure, LinkObservation
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.simulation import LinkConditions
from tests.harness.processes.programs import RELAY, Listener, Plain, in_environment, program, until

BOTH = [("n1", "n2"), ("n2", "n1")]


async def around(environment: ProcessesEnvironment, *via: str, **body: Any) -> Listener:
    """A client that sends a message through these nodes, and back to itself."""
    client = await Listener().open(environment)
    first, *others = via
    client.say(first, via=others, back=client.name, **body)
    return client


async def link(environment: ProcessesEnvironment, source: str, target: str) -> LinkObservation:
    seen = await environment.network.observe()
    return next(each for each in seen if (each.source, each.target) == (source, target))


def logged(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (folder / "messages.jsonl").read_bytes().splitlines()]


def test_a_message_passes_between_nodes_and_every_step_is_logged(tmp_path: Path) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        client = await around(environment, "n1", "n3", "n2", word="hello")
        await until(lambda: client.heard)
        assert client.heard == [("n2", {"via": [], "back": client.name, "word": "hello"})]

    in_environment(scenario, source=RELAY, record=tmp_path)
    lines = logged(tmp_path)
    sent = [line for line in lines if line["event"] == "send"]
    assert [(line["src"], line["dest"]) for line in sent] == [("c1", "n1"), ("n1", "n3"), ("n3", "n2"), ("n2", "c1")]
    assert all(line["body"]["word"] == "hello" for line in sent)
    received = {line["id"]: line["at_ns"] for line in lines if line["event"] == "receive"}
    assert {line["id"]: received[line["id"]] >= line["at_ns"] for line in sent} == dict.fromkeys(received, True)
    assert {"at_ns": lines[0]["at_ns"], "event": "client", "name": "c1", "user": ""} == lines[0]


def test_a_link_that_is_cut_carries_nothing_until_it_is_healed(tmp_path: Path) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.network.cut(BOTH, "a")
        over = await around(environment, "n1", "n2")
        beside = await around(environment, "n1", "n3")
        await until(lambda: beside.heard)
        # One that comes later over whole links has overtaken it, were it not lost.
        assert over.heard == []
        cut = await link(environment, "n1", "n2")
        assert (cut.cut, cut.heard, cut.dropped) == (True, False, 1)
        assert (await link(environment, "n1", "n3")).heard
        await environment.network.heal("a")
        assert (await link(environment, "n1", "n2")).heard
        again = await around(environment, "n1", "n2")
        await until(lambda: again.heard)
        assert over.heard == []

    in_environment(scenario, source=RELAY, record=tmp_path)
    lines = logged(tmp_path)
    (lost,) = [line for line in lines if line.get("cut")]
    assert (lost["src"], lost["dest"]) == ("n1", "n2")
    assert lost["id"] not in {line["id"] for line in lines if line["event"] == "receive"}


def test_clients_can_be_cut_off() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.network.cut([("n1", CLIENTS)], "a")
        unheard = await around(environment, "n1")
        through = await around(environment, "n1", "n2")
        await until(lambda: through.heard)
        assert unheard.heard == []
        assert not (await link(environment, "n1", CLIENTS)).heard

    in_environment(scenario, source=RELAY)


def test_a_link_that_duplicates_delivers_twice(tmp_path: Path) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.network.degrade([("n1", "n2")], Conditions(duplication=1.0), "a")
        client = await around(environment, "n1", "n2")
        await until(lambda: len(client.heard) == 2)
        seen = (await link(environment, "n1", "n2")).interference
        assert seen is not None
        assert seen.duplicated >= 1

    in_environment(scenario, source=RELAY, record=tmp_path)
    lines = logged(tmp_path)
    arrivals = Counter(line["id"] for line in lines if line["event"] == "receive")
    (doubled,) = [line for line in lines if line["event"] == "send" and (line["src"], line["dest"]) == ("n1", "n2")]
    assert arrivals[doubled["id"]] == 2


def test_a_damaged_message_is_dropped_and_ends_no_run(tmp_path: Path) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.network.degrade([("n1", "n2")], Conditions(corruption=1.0), "a")
        damaged = [await around(environment, "n1", "n2") for _ in range(20)]
        whole = await around(environment, "n1", "n3")
        await until(lambda: whole.heard)
        seen = (await link(environment, "n1", "n2")).interference
        assert seen is not None
        assert seen.corrupted >= 20
        assert [client.heard for client in damaged] == [[]] * 20
        assert await environment.lost() == ""

    in_environment(scenario, source=RELAY, record=tmp_path)
    assert sum(line["event"] == "damaged" for line in logged(tmp_path)) == 20


def test_what_a_link_holds_back_comes_when_it_is_healed() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.network.degrade([("n1", "n2")], Conditions(hold=True), "a")
        held = await around(environment, "n1", "n2")
        free = await around(environment, "n1", "n3")
        await until(lambda: free.heard)
        assert held.heard == []
        await environment.network.heal("a")
        await until(lambda: held.heard)

    in_environment(scenario, source=RELAY)


def test_links_that_lose_everything_lose_nothing_between_clients_and_nodes() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        between = await around(environment, "n1", "n2")
        for _ in range(20):
            alone = await around(environment, "n1")
            await until(lambda alone=alone: alone.heard)
        assert between.heard == []

    in_environment(scenario, source=RELAY, system=Plain(LinkConditions(loss=1.0)))


def test_latency_is_between_nodes() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        client = await around(environment, "n1", "n2", "n3")
        await until(lambda: client.heard)
        assert loop.time() - began >= 0.4
        assert all(each.heard for each in await environment.network.observe())

    in_environment(scenario, source=RELAY, system=Plain(LinkConditions(delay_s=(0.2, 0.2))))


def test_a_host_of_the_system_s_own_is_touched_by_no_fault() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        heard: list[str] = []
        environment.host("keeper", lambda body, source: heard.append(source[0]))
        nodes = environment.members
        every = [(one, other) for one in (*nodes, CLIENTS) for other in (*nodes, CLIENTS) if one != other]
        await environment.network.cut([link for link in every if link != (CLIENTS, "n1")], "a")
        client = await Listener().open(environment)
        client.say("n1", via=["keeper"], back=client.name)
        await until(lambda: heard)
        assert heard == ["n1"]
        assert "keeper" not in {
            end for each in await environment.network.observe() for end in (each.source, each.target)
        }

    in_environment(scenario, source=RELAY, system=Plain(hosts=["keeper"]))


def test_a_message_to_a_host_that_there_never_was_is_the_system_s_to_answer() -> None:
    system = Plain()

    async def scenario(environment: ProcessesEnvironment) -> None:
        client = await Listener().open(environment)
        client.say("n1", via=["n9"], back=client.name)
        await until(lambda: system.strays)
        assert (system.strays[0].src, system.strays[0].dest) == ("n1", "n9")
        # A client that has left is no stranger.
        client.say("n1", via=[], back=client.name)
        await until(lambda: client.heard)
        client._place.close()
        client._place.send(b'{"via": [], "back": "c1"}', ("n1", 0))
        after = await around(environment, "n1")
        await until(lambda: after.heard)
        assert len(system.strays) == 1

    in_environment(scenario, source=RELAY, system=system)


def test_a_node_hears_nobody_before_it_listens(tmp_path: Path) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        heard: list[str] = []
        teller = environment.host("teller", lambda body, source: heard.append(source[0]))
        machine = environment.machines["n1"]
        await machine.kill()
        await machine.start(program(RELAY))
        early = await around(environment, "n1")
        between = await around(environment, "n2", "n1")
        teller.send(b'{"via": [], "back": "teller"}', ("n1", 0))
        await until(lambda: heard)
        assert (early.heard, between.heard) == ([], [])
        machine.listening = True
        late = await around(environment, "n2", "n1")
        await until(lambda: late.heard)
        assert (early.heard, between.heard) == ([], [])

    in_environment(scenario, source=RELAY, system=Plain(hosts=["teller"]), record=tmp_path)
    assert sum(line["event"] == "unread" for line in logged(tmp_path)) == 2


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("print('hello')", "n1 wrote 'hello', which is no message .*; standard output is for messages alone"),
        ('print(\'{"src": "n2", "dest": "n3", "body": {}}\')', "n1 wrote a message from 'n2'; a node sends in its"),
        ("print('x' * 17_000_000, end='', flush=True)", "n1 wrote a line of more than 16 MiB; end each message with"),
    ],
)
def test_a_node_that_writes_what_is_no_message_blinds_the_harness(source: str, why: str) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        assert await environment.lost() == ""
        await environment.machines["n1"].start(program(source))
        async with asyncio.timeout(20):
            reason = await environment.watch()
        assert re.match(why, reason), reason
        assert "\n" not in reason
        assert await environment.lost() == reason

    in_environment(scenario, source=None)


def test_nothing_is_left_behind() -> None:
    left: list[Any] = []

    async def scenario(environment: ProcessesEnvironment) -> None:
        await environment.machines["n2"].pause()
        assert environment._folder is not None
        assert environment._keeper is not None
        left.append(environment._folder)
        left.extend(each._pipes.process for each in environment.machines.values() if each._pipes is not None)
        left.append(environment._keeper.pid)

    in_environment(scenario)
    folder, *processes = left
    assert not folder.exists()
    assert len(processes) == 4
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_an_environment_may_be_closed_before_it_is_open_and_twice() -> None:
    async def main() -> None:
        environment = ProcessesEnvironment(["n1"], Plain(), seed=1)
        await environment.close()
        with pytest.raises(EnvironmentFailure, match="call `open` first"):
            environment.network.cuts(("n1", "n2"))
        await environment.open(lambda line: None)
        await environment.close()
        await environment.close()

    asyncio.run(main())
