from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any

import pytest

from splitbrain.harness.environment import Conditions, Link
from splitbrain.harness.nemesis.families import families
from tests.harness.nemesis.striking import NODES, Striking, aims, with_nemesis

LINKS = [["n1", "n2"], ["n2", "n1"], ["n1", "n3"]]


@pytest.mark.parametrize(
    ("conditions", "touched"),
    [
        ({"loss": 0.3}, "lost"),
        ({"duplication": 0.3}, "duplicated"),
        ({"corruption": 0.3}, "corrupted"),
        ({"delay_s": [0.1, 0.1]}, "delayed"),
        ({"delay_s": [0.0, 0.1]}, "delayed"),
        ({"rate_bytes_s": 1000}, "delayed"),
        ({"hold": True}, "held"),
    ],
)
def test_a_strike_is_seen_by_the_packets_it_touched_and_its_end_by_probes(
    conditions: dict[str, Any], touched: str
) -> None:
    async def scenario(s: Striking) -> None:
        started = await s.start(links=LINKS, conditions=conditions)
        assert started["effective"] is True
        assert {what for what, count in started["packets"].items() if count} == {touched}
        assert started["detail"].startswith("3 of 3 links degraded; packets ")
        stopped = await s.stop(links=LINKS, conditions=conditions)
        assert (stopped["effective"], stopped["stood"]) == (True, True)
        assert stopped["packets"][touched] >= started["packets"][touched] > 0
        assert stopped["detail"].startswith("3 of 3 links as before; ")
        assert all(link.interference is None for link in await s.environment.network.observe())

    with_nemesis("packets", scenario)


def test_a_network_that_does_nothing_makes_a_strike_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(links: Collection[Link], conditions: Conditions, holder: str = "") -> None: ...

        s.environment.network.degrade = do_nothing  # type: ignore[method-assign]
        started = await s.start(links=LINKS, conditions={"loss": 0.5})
        assert started["effective"] is False
        assert started["detail"] == "0 of 3 links degraded; no packet was touched"

    with_nemesis("packets", scenario)


def test_conditions_that_touch_no_packet_have_no_effect() -> None:
    async def scenario(s: Striking) -> None:
        started = await s.start(links=LINKS, conditions={"loss": 0.0})
        assert started["effective"] is False
        assert started["detail"] == "3 of 3 links degraded; no packet was touched"

    with_nemesis("packets", scenario)


def test_of_links_that_are_all_cut_nothing_is_said() -> None:
    async def scenario(s: Striking) -> None:
        await s.environment.network.cut([("n1", "n2")], "partition-9")
        how = {"links": [["n1", "n2"]], "conditions": {"loss": 0.5}}
        assert "effective" not in await s.start(**how)
        assert (await s.stop(**how))["effective"] is True

    with_nemesis("packets", scenario)


def test_links_that_were_healed_from_outside_did_not_stand() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(links=LINKS, conditions={"loss": 0.5})
        await s.environment.network.heal()
        assert (await s.stop(links=LINKS, conditions={"loss": 0.5}))["stood"] is False

    with_nemesis("packets", scenario)


def test_two_strikes_heal_apart_and_the_last_stop_ends_them_all() -> None:
    async def scenario(s: Striking) -> None:
        hows = [{"links": [["n1", target]], "conditions": {"loss": 0.5}} for target in ("n2", "n3", "n4")]
        for number, how in enumerate(hows):
            await s.start(number, **how)
        await s.stop(1, **hows[1])
        degraded = {link.target for link in await s.environment.network.observe() if link.interference}
        assert degraded == {"n2", "n4"}
        assert (await s.stop_all())["effective"] is True
        assert not any(link.interference for link in await s.environment.network.observe())

    with_nemesis("packets", scenario)


def test_a_link_that_stays_silent_after_the_stop_is_not_healed() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(links=LINKS, conditions={"delay_s": [0.1, 0.1]})

        async def do_nothing(holder: str | None = None) -> None: ...

        s.environment.network.heal = do_nothing  # type: ignore[method-assign]
        stopped = await s.stop(links=LINKS, conditions={"delay_s": [0.1, 0.1]})
        assert stopped["effective"] is False
        assert stopped["detail"].startswith("0 of 3 links as before")

    with_nemesis("packets", scenario)


def test_shapes_take_turns_and_each_names_directed_links_that_it_holds() -> None:
    strikes = aims("packets")
    shapes = [how["shape"] for how in strikes]
    assert len(set(shapes[:7])) == 7 and {how["target"] for how in strikes} == {"one-node", "halves", "all", "some"}
    for how in strikes:
        links = [tuple(link) for link in how["links"]]
        assert links and len(set(links)) == len(links)
        assert all(a != b and {a, b} <= set(NODES) for a, b in links)
        assert set(families()["packets"].holds(how)) == {("link", a, b) for a, b in links}
        assert json.loads(json.dumps(how)) == how
        if how["target"] == "halves":
            half = {a for a, _ in links if ("n1", a) not in links and a != "n1"} | {"n1"}
            assert set(links) == {(a, b) for a in NODES for b in NODES if (a in half) != (b in half)}
        if how["target"] == "one-node":
            assert len(links) == 8 and any(all(node in link for link in links) for node in NODES)
    assert aims("packets") == strikes != aims("packets", seed=4)


def test_a_strike_is_as_long_as_its_probes_need_and_no_longer() -> None:
    async def scenario(s: Striking) -> None:
        began = asyncio.get_running_loop().time()
        await s.start(links=LINKS, conditions={"hold": True})
        # Virtual time. Two observations of about a millisecond each, and a pause between.
        assert asyncio.get_running_loop().time() - began < 0.1

    with_nemesis("packets", scenario)
