"""Observations of the simulated network while other things go on."""

from __future__ import annotations

import asyncio

from splitbrain.harness.environment import Conditions
from splitbrain.harness.simulation.network import SimulatedNetwork
from tests.harness.simulation.test_network import with_network


def test_two_may_observe_at_once_and_a_link_that_is_healed_meanwhile_is_not_taken_for_a_silent_one() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        await network.degrade([("n1", "n2")], Conditions(delay_s=(0.5, 0.5)), "slow")
        await network.cut([("n2", "n3")], "cut")
        looks = [asyncio.create_task(network.observe()) for _ in range(2)]
        await asyncio.sleep(0.1)
        await network.heal("cut")
        first, second = await asyncio.gather(*looks)
        assert [(o.cut, o.heard) for o in first if (o.source, o.target) == ("n2", "n3")] == [(True, False)]
        assert all(link.heard and not link.cut for link in second)

    with_network(scenario)
