"""Reachability for many pairs at once, and real time by barriers, beside networkx."""

from __future__ import annotations

from random import Random

import networkx as nx
import numpy as np
import pytest

from splitbrain.checkers.transactions import reachability
from splitbrain.checkers.transactions.graph import Graph
from splitbrain.checkers.transactions.lists.list_append import analyse
from splitbrain.checkers.transactions.micro_operations import parse
from splitbrain.checkers.transactions.reachability import reaches
from tests.checkers.transactions import generate


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_reached_as_networkx_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "_BATCH", 3)
    random = Random(seed)
    size = random.randint(2, 40)
    names = random.sample(range(size), size)
    edges = [tuple(sorted(random.sample(range(size), 2))) for _ in range(random.randint(1, 2 * size))]
    graph = nx.DiGraph([(names[one], names[two]) for one, two in edges])
    graph.add_nodes_from(range(size))
    source, target = (np.array([names[edge[end]] for edge in edges]) for end in (0, 1))
    asked = np.array([(one, two) for one in range(size) for two in range(size)])
    time = np.array([random.randint(0, 9) for _ in range(size)])
    heard: list[str] = []
    found = reaches((source, target), time, (asked[:, 0], asked[:, 1]), heard.append)
    assert found.tolist() == [nx.has_path(graph, one, two) for one, two in asked.tolist()]
    assert heard


@pytest.mark.parametrize("seed", range(30))
def test_barriers_lead_from_every_transaction_to_those_that_began_after_it(seed: int) -> None:
    transactions = parse(generate.history(Random(seed), "list-append", transactions=7))
    graph = Graph.of(transactions, analyse(transactions))
    size, (source, target) = graph.order("-realtime")
    made = nx.DiGraph(list(zip(source.tolist(), target.tolist(), strict=True)))
    made.add_nodes_from(range(size))
    ended, begun = graph.completed.tolist(), graph.invoked.tolist()
    for one in range(len(graph)):
        for two in range(len(graph)):
            if one != two:
                assert nx.has_path(made, one, two) == (ended[one] < begun[two])
