"""Brute force, from the definitions: the anomalies of a handful of transactions.

`anomalies` gives the names that must be found and, other than for cycles, their counts.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.transactions.cycles_oracle import cycles
from tests.checkers.transactions.lists_oracle import lists
from tests.checkers.transactions.registers_oracle import registers
from tests.checkers.transactions.txns import read_history


def misnamed(name: str, example: dict[str, Any], history: History, model: str, keys_are: str) -> str | None:
    """What is wrong with a cycle that is shown as an example of an anomaly of that name, if anything."""
    txns = read_history(history)
    graph = lists(txns) if model == "list-append" else registers(txns, keys_are)
    numbers = {node["name"]: node["operation"] for node in example["nodes"]}
    steps = []
    for place, edge in enumerate(example["edges"]):
        one, two = txns[numbers[edge["from"]]], txns[numbers[edge["to"]]]
        pair = one.number, two.number
        kind = edge["type"]
        right = {
            "ww": pair in graph.ww,
            "wr": pair in graph.wr,
            "rw": any(reader == pair[0] and pair[1] in writers for (reader, _), writers in graph.rw.items()),
            "process": one.process == two.process and one.began < two.began,
            "realtime": one.ended < two.began,
        }[kind]
        following = example["edges"][(place + 1) % len(example["edges"])]
        if not right or following["from"] != edge["to"]:
            return f"{edge['from']} to {edge['to']} is no {kind}"
        steps.append(kind)
    if len(set(numbers.values())) != len(steps) or example["length"] != len(steps):
        return "not every transaction once"
    rws = steps.count("rw")
    neighbours = any(one == two == "rw" for one, two in zip(steps, steps[1:] + steps[:1], strict=True))
    kind = "G0" if "wr" not in steps else "G1c"
    if rws:
        kind = "G-single" if rws == 1 else "G2-item" if neighbours else "G-nonadjacent"
    level = "-realtime" if "realtime" in steps else "-process" if "process" in steps else ""
    return None if kind + level == name else f"it is a {kind + level}"


def anomalies(history: History, model: str, keys_are: str = "wfr") -> tuple[set[str], dict[str, int]]:
    """Names of all anomalies, and counts of those that are no cycles."""
    txns = read_history(history)
    graph = lists(txns) if model == "list-append" else registers(txns, keys_are)
    counts = {name: number for name, number in graph.counts.items() if number}
    return cycles(txns, graph) | set(counts), counts
