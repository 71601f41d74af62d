"""A pytest test: clients add integers to sets while the network is cut, and nothing acknowledged may be lost.

    pytest -m jepsen test_siblings.py
    pytest -m jepsen test_siblings.py --env docker

The first test passes. The second fails, as it should: with last write wins, acknowledged writes are lost. The failure
names one of them, and ends in the command that replays the run.
"""

import pytest


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_siblings_lose_nothing(cluster):
    cluster.run("sets").require_valid()


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_last_write_wins_loses_nothing(cluster):
    cluster.run("sets", config={"conflicts": "lww"}).require_valid()
