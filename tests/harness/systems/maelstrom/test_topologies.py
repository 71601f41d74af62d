"""Topologies: connected, and neighbours are each other's."""

from __future__ import annotations

import pytest

from splitbrain.harness.systems.maelstrom.topologies import TOPOLOGIES


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 12, 25])
def test_every_node_reaches_every_other_and_neighbours_are_mutual(name: str, size: int) -> None:
    nodes = [f"n{number}" for number in range(1, size + 1)]
    topology = TOPOLOGIES[name](nodes)
    assert list(topology) == nodes
    for node, neighbours in topology.items():
        assert node not in neighbours
        assert len(set(neighbours)) == len(neighbours)
        assert all(node in topology[other] for other in neighbours)
    reached, found = set(), ["n1"]
    while found:
        node = found.pop()
        if node not in reached:
            reached.add(node)
            found += topology[node]
    assert reached == set(nodes)
    if name == "grid":
        assert max(map(len, topology.values())) <= 4
