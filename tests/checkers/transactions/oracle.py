"""Brute force, from the definitions: every path, every cycle, every order of a handful of transactions.

`anomalies` gives the names that must be found and, other than for cycles, their counts. `orders` tries every serial order;
`snapshots` every order of beginnings and ends.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from splitbrain.checkers.histories.history import History

Pair = tuple[int, int]
INITIAL = ("initial",)


@dataclass
class Txn:
    """A transaction: micro-operations as [name, key, value] with keys and values as JSON text."""

    number: int
    process: int
    began: int
    ended: float
    outcome: str
    mops: list[tuple[str, Any, Any]] = field(default_factory=list)

    def writes(self, key: Any) -> list[Any]:
        return [value for name, k, value in self.mops if name != "r" and k == key]


def read_history(history: History) -> list[Txn]:
    found = []
    for number, operation in enumerate(history.operations):
        ok = operation.outcome == "ok"
        value = operation.completion.value if ok else operation.invocation.value
        # What crashed may take effect at any time.
        ended = operation.completion.index if operation.completion is not None and ok else float("inf")
        mops = []
        for name, key, held in value:
            if name == "r" and isinstance(held, list):
                shown: Any = tuple(json.dumps(each) for each in held)
            else:
                shown = None if held is None and name == "r" else json.dumps(held)
            mops.append((name, json.dumps(key), shown))
        found.append(Txn(number, operation.process, operation.invocation.index, ended, operation.outcome, mops))
    return found


def keys_of(txns: list[Txn]) -> list[Any]:
    return sorted({key for txn in txns for _, key, _ in txn.mops})


@dataclass
class Graph:
    """What follows from the values: edges, and anti-dependencies as (reader, version) with whoever wrote next."""

    committed: set[int]
    ww: set[Pair] = field(default_factory=set)
    wr: set[Pair] = field(default_factory=set)
    rw: dict[tuple[int, Any], set[int]] = field(default_factory=lambda: defaultdict(set))
    counts: Counter[str] = field(default_factory=Counter)


# Lists


def lists(txns: list[Txn]) -> Graph:
    ok = [txn for txn in txns if txn.outcome == "ok"]
    writer = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "append"}
    reads = [(txn, key, value or ()) for txn in ok for name, key, value in txn.mops if name == "r"]
    seen = {writer[key, each].number for _, key, value in reads for each in value if (key, each) in writer}
    graph = Graph({txn.number for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)})
    counts = graph.counts

    def writes_of(key: Any) -> list[tuple[Txn, Any]]:
        return [
            (txn, value)
            for txn in txns
            if txn.number in graph.committed
            for name, k, value in txn.mops
            if name == "append" and k == key
        ]

    for key in keys_of(txns):
        of_key = [(txn, value) for txn, k, value in reads if k == key]
        longest: tuple[Any, ...] = ()
        for _, value in of_key:
            if len(value) > len(longest):
                longest = value
        for txn, value in of_key:
            counts["duplicate-elements"] += len(set(value)) < len(value)
            counts["garbage-read"] += any((key, each) not in writer for each in value)
            counts["incompatible-order"] += longest[: len(value)] != value
            counts["G1a"] += any((key, each) in writer and writer[key, each].outcome == "fail" for each in value)
            if value and (key, value[-1]) in writer:
                last = writer[key, value[-1]]
                counts["G1b"] += last is not txn and last.writes(key)[-1] != value[-1]
        order = list(dict.fromkeys(longest))
        for place, each in enumerate(order):
            if (key, each) in writer and writer[key, each].outcome == "fail":
                later = [writer[key, e] for e in order[place + 1 :] if (key, e) in writer]
                counts["dirty-update"] += any(txn.outcome == "ok" for txn in later)
        chain = [e for e in order if (key, e) in writer and writer[key, e].number in graph.committed]
        shown = {each for _, value in of_key for each in value}
        unseen = [txn.number for txn, value in writes_of(key) if value not in shown]
        place = {
            each: chain.index(each) if each in chain else len(chain) for each in chain + [v for _, v in writes_of(key)]
        }
        shown_elsewhere = shown - set(order)
        counts["cyclic-versions"] += any(
            place[later] < place[earlier]
            for txn in txns
            if txn.number in graph.committed
            for earlier, later in itertools.combinations([v for v in txn.writes(key) if v not in shown_elsewhere], 2)
        )
        for one, two in itertools.pairwise(chain):
            graph.ww.add((writer[key, one].number, writer[key, two].number))
        if chain:
            graph.ww |= {(writer[key, chain[-1]].number, each) for each in unseen}
        for txn, value in of_key:
            prefix = longest[: len(value)] == value
            if prefix:
                known = [each for each in value if each in chain]
                after = len(set(known))
            elif value[-1] in order:
                upto = order[: order.index(value[-1]) + 1]
                # In the longest as it was read, where repeated elements count.
                upto = list(dict.fromkeys(longest[: longest.index(value[-1]) + 1]))
                after = len([each for each in upto if each in chain])
            else:
                if (key, value[-1]) in writer and writer[key, value[-1]].number in graph.committed:
                    graph.wr.add((writer[key, value[-1]].number, txn.number))
                continue
            if after:
                graph.wr.add((writer[key, chain[after - 1]].number, txn.number))
            following = {writer[key, chain[after]].number} if after < len(chain) else set(unseen)
            graph.rw[txn.number, (key, after)] |= following - {txn.number}
    for txn in ok:
        counts["internal"] += _list_contradicts(txn)
        counts["future-read"] += any(
            name == "r" and any(n == "append" and k == key and v in (value or ()) for n, k, v in txn.mops[place:])
            for place, (name, key, value) in enumerate(txn.mops)
        )
    counts["lost-update"] = _lost_updates(ok, lambda value: value or ())
    return graph


def _list_contradicts(txn: Txn) -> bool:
    for place, (name, key, value) in enumerate(txn.mops):
        before = [(n, v) for n, k, v in txn.mops[:place] if k == key]
        if name != "r" or not before:
            continue
        last_read = max((at for at, (n, _) in enumerate(before) if n == "r"), default=None)
        mine = tuple(v for n, v in before[(-1 if last_read is None else last_read) + 1 :])
        value = value or ()
        if last_read is not None:
            if value != (before[last_read][1] or ()) + mine:
                return True
        elif value[len(value) - len(mine) :] != mine if len(mine) <= len(value) else True:
            return True
    return False


def _lost_updates(ok: list[Txn], normal: Any) -> int:
    groups: Counter[Any] = Counter()
    for txn in ok:
        for key in keys_of([txn]):
            mine = [(name, value) for name, k, value in txn.mops if k == key]
            if mine[0][0] == "r" and any(name != "r" for name, _ in mine):
                groups[key, normal(mine[0][1])] += 1
    return sum(size > 1 for size in groups.values())


# Registers


def registers(txns: list[Txn], keys_are: str) -> Graph:
    ok = [txn for txn in txns if txn.outcome == "ok"]
    _from_the_beginning(txns)
    writer = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "w"}
    reads = [(txn, key, value) for txn in ok for name, key, value in txn.mops if name == "r"]
    seen = {writer[key, value].number for _, key, value in reads if (key, value) in writer}
    graph = Graph({txn.number for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)})
    counts = graph.counts
    for txn, key, value in reads:
        counts["garbage-read"] += value is not None and (key, value) not in writer
        if (key, value) in writer:
            by = writer[key, value]
            counts["G1a"] += by.outcome == "fail"
            counts["G1b"] += by is not txn and by.writes(key)[-1] != value
    for txn in ok:
        counts["internal"] += any(
            name == "r" and (before := [v for _, k, v in txn.mops[:place] if k == key]) and before[-1] != value
            for place, (name, key, value) in enumerate(txn.mops)
        )
        counts["future-read"] += any(
            name == "r" and ("w", key, value) in txn.mops[place:] for place, (name, key, value) in enumerate(txn.mops)
        )
    counts["lost-update"] = _lost_updates(ok, lambda value: INITIAL if value is None else value)
    committed = [txn for txn in txns if txn.number in graph.committed]
    for key in keys_of(txns):
        order = _version_order(committed, key, keys_are, counts)
        by = {value: txn.number for txn in committed for value in txn.writes(key)}
        first = {value for value in by if not any(two == value and one in by for one, two in order)}
        order |= {(INITIAL, value) for value in first}
        for one, two in order:
            if one in by and two in by:
                graph.ww.add((by[one], by[two]))
        for txn in committed:
            found = _found(txn, key)
            if found is None or not found[1]:
                continue
            version = found[0]
            if version in by:
                graph.wr.add((by[version], txn.number))
            graph.rw[txn.number, (key, version)] |= {by[two] for one, two in order if one == version and two in by}
    for pair, following in graph.rw.items():
        following.discard(pair[0])
    return graph


def _from_the_beginning(txns: list[Txn]) -> None:
    """Put null for the value that a key can have started as, if there is one."""
    for key in keys_of(txns):
        written = {value for txn in txns for value in txn.writes(key)}
        read = {value for txn in txns if txn.outcome == "ok" for name, k, value in txn.mops if (name, k) == ("r", key)}
        odd = read - written
        done = min((txn.ended for txn in txns if txn.outcome == "ok" and txn.writes(key)), default=float("inf"))
        readers = [txn for txn in txns if txn.outcome == "ok" and any(("r", key, value) in txn.mops for value in odd)]
        if len(odd) != 1 or odd == {None} or any(txn.began > done for txn in readers):
            continue
        mine = [[(name, value) for name, k, value in txn.mops if k == key] for txn in readers]
        (value,) = odd
        if all(set(each[: each[::-1].index(("r", value)) * -1 or None]) == {("r", value)} for each in mine):
            for txn in readers:
                txn.mops = [(n, k, None if (n, k, v) == ("r", key, value) else v) for n, k, v in txn.mops]


def _found(txn: Txn, key: Any) -> tuple[Any, bool] | None:
    """What it found on the key, and whether by reading it. None if it did not meet the key, or nobody knows."""
    mine = [(name, value) for name, k, value in txn.mops if k == key]
    if not mine:
        return None
    if mine[0][0] == "r" and txn.outcome == "ok":
        return (INITIAL if mine[0][1] is None else mine[0][1]), True
    return (txn.writes(key)[0], False) if txn.writes(key) else None


def _left(txn: Txn, key: Any) -> Any:
    found = _found(txn, key)
    return txn.writes(key)[-1] if txn.writes(key) else found and found[0]


def _version_order(committed: list[Txn], key: Any, keys_are: str, counts: Counter[str]) -> set[tuple[Any, Any]]:
    met = [txn for txn in committed if _found(txn, key) is not None]
    found = {txn.number: _found(txn, key)[0] for txn in met}  # type: ignore[index]
    left = {txn.number: _left(txn, key) for txn in met}
    rules: list[set[tuple[Any, Any]]] = [set()] if keys_are == "own" else [set(), set()]
    for txn in met:
        rules[0] |= set(itertools.pairwise(txn.writes(key)))
        if keys_are != "own" and _found(txn, key)[1] and txn.writes(key):  # type: ignore[index]
            rules[1].add((found[txn.number], txn.writes(key)[0]))
    if keys_are in ("sequential", "linearizable"):
        rules.append(set())
        for process in {txn.process for txn in met}:
            for one, two in itertools.pairwise(txn for txn in met if txn.process == process):
                rules[-1].add((left[one.number], found[two.number]))
    if keys_are == "linearizable":
        before = {(left[one.number], found[two.number]) for one in met for two in met if one.ended < two.began} - {
            (version, version) for version in [*found.values(), *left.values()]
        }
        versions = {version for pair in before for version in pair}
        if nx.is_directed_acyclic_graph(nx.DiGraph(list(before))):
            before = {
                (one, two)
                for one, two in before
                if not any((one, v) in before and (v, two) in before for v in versions - {one, two})
            }
        rules.append(before)
    everything = {(INITIAL, version) for version in [*found.values(), *left.values()]}
    order: set[tuple[Any, Any]] = set()
    for rule in rules:
        rule = {(one, two) for one, two in rule if one != two}
        circles = nx.DiGraph([(one, two) for one, two in everything | order | rule if one != two])
        if not nx.is_directed_acyclic_graph(circles):
            counts["cyclic-versions"] += 1
            break
        order |= rule
    return order


# Cycles


def cycles(txns: list[Txn], graph: Graph) -> set[str]:
    committed = [txn for txn in txns if txn.number in graph.committed]
    nodes = [txn.number for txn in committed]
    process = {
        (one.number, two.number)
        for one in committed
        for two in committed
        if one.process == two.process and one.began < two.began
    }
    realtime = {(one.number, two.number) for one in committed for two in committed if one.ended < two.began}
    ww = {(one, two) for one, two in graph.ww if one != two}
    wr = {(one, two) for one, two in graph.wr if one != two}
    rw = {unit: writers - {unit[0]} for unit, writers in graph.rw.items()}
    done: dict[str, set[Any]] = {kind: set() for kind in ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")}
    names = set()
    for level, given in (("", set[Pair]()), ("-process", process), ("-realtime", realtime)):
        found: dict[str, set[Any]] = {}
        reached = _reached(ww | given, nodes)
        found["G0"] = {(one, two) for one, two in ww if one in reached[two]}
        dependencies = ww | wr | given
        reached = _reached(dependencies, nodes)
        found["G1c"] = {(one, two) for one, two in wr if one in reached[two]}
        found["G-single"] = {unit for unit, writers in rw.items() if any(unit[0] in reached[each] for each in writers)}
        free = {node for node in nodes if node not in reached[node]}
        inner = {(one, two) for one, two in dependencies if one in free and two in free}
        live = {
            unit: writers & free
            for unit, writers in rw.items()
            if unit[0] in free and unit not in found["G-single"] | done["G-nonadjacent"]
        }
        found["G-nonadjacent"] = _nonadjacent(inner, live)
        rest = {
            unit: writers
            for unit, writers in live.items()
            if unit not in found["G-nonadjacent"] and unit not in done["G2-item"]
        }
        edges = {(unit[0], writer) for unit, writers in rest.items() for writer in writers}
        reached = _reached(inner | edges, nodes)
        found["G2-item"] = {unit for unit, writers in rest.items() if any(unit[0] in reached[each] for each in writers)}
        for kind, those in found.items():
            if those - done[kind]:
                names.add(kind + level)
            done[kind] |= those
    return names


def _reached(edges: set[Pair], nodes: list[int]) -> dict[int, set[int]]:
    """By node, all that some path of one step or more leads to."""
    reached: dict[int, set[int]] = {node: {two for one, two in edges if one == node} for node in nodes}
    for middle in nodes:
        for node in nodes:
            if middle in reached[node]:
                reached[node] |= reached[middle]
    return reached


def _nonadjacent(inner: set[Pair], live: dict[Any, set[int]]) -> set[Any]:
    edges = {(unit[0], writer) for unit, writers in live.items() for writer in writers}
    if not edges:
        return set()
    some = nx.DiGraph(list(inner | edges))
    bad: list[set[int]] = []
    for part in nx.strongly_connected_components(some):
        if len(part) == 1:
            continue
        for cycle in nx.simple_cycles(some.subgraph(part)):
            steps = [pair not in inner for pair in zip(cycle, cycle[1:] + cycle[:1], strict=True)]
            if not any(one and two for one, two in zip(steps, steps[1:] + steps[:1], strict=True)):
                bad.append(part)
                break
    return {unit for unit, writers in live.items() for part in bad if unit[0] in part and writers & part}


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


# Orders


def _serially(order: tuple[Txn, ...]) -> bool:
    state: dict[Any, Any] = {}
    for txn in order:
        for name, key, value in txn.mops:
            if name == "append":
                state[key] = (*state.get(key, ()), value)
            elif name == "w":
                state[key] = value
            elif txn.outcome == "ok" and (state.get(key) or None) != (value or None):
                return False
    return True


def _choices(txns: list[Txn]) -> Iterator[list[Txn]]:
    sure = [txn for txn in txns if txn.outcome == "ok"]
    maybe = [txn for txn in txns if txn.outcome == "info"]
    for size in range(len(maybe) + 1):
        for some in itertools.combinations(maybe, size):
            yield sorted([*sure, *some], key=lambda txn: txn.number)


def orders(history: History) -> set[str]:
    """Of "serializable", "strong-session-serializable" and "strict-serializable", those that some order has."""
    found: set[str] = set()
    for chosen in _choices(read_history(history)):
        for order in itertools.permutations(chosen):
            pairs = list(itertools.combinations(order, 2))
            strict = all(two.ended > one.began for one, two in pairs)
            session = all(one.process != two.process or two.ended > one.began for one, two in pairs)
            shown = {"serializable"}
            shown |= {"strong-session-serializable"} if session else set()
            shown |= {"strict-serializable"} if strict else set()
            if not shown <= found and _serially(order):
                found |= shown
            if len(found) == 3:
                return found
    return found


def adya(history: History) -> set[str]:
    """Of four models, those that a history of registers has with some order of each key's versions, by their phenomena."""
    txns = read_history(history)
    _from_the_beginning(txns)
    ok = [txn for txn in txns if txn.outcome == "ok"]
    reads = [(txn, at, key, value) for txn in ok for at, (name, key, value) in enumerate(txn.mops) if name == "r"]
    by = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "w"}
    if any(value is not None and (key, value) not in by for _, _, key, value in reads):
        return set()
    seen = {by[key, value].number for _, _, key, value in reads if value is not None}
    committed = [txn for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)]
    writers = [(txn, by[key, value], at, key, value) for txn, at, key, value in reads if value is not None]
    clean = all(
        writer.outcome != "fail" and (writer is txn or writer.writes(key)[-1] == value)
        and ("w", key, value) not in txn.mops[at:]
        for txn, writer, at, key, value in writers
    )  # fmt: skip
    steady = all(
        not (before := [v for _, k, v in txn.mops[:at] if k == key]) or before[-1] == value
        for txn, at, key, value in reads
    )
    orders_of = []
    for key in keys_of(txns):
        own = [pair for txn in committed for pair in itertools.combinations(txn.writes(key), 2)]
        every = itertools.permutations(value for txn in committed for value in txn.writes(key))
        orders_of.append([order for order in every if all(order.index(one) < order.index(two) for one, two in own)])
    found: set[str] = set()
    for choice in itertools.islice(itertools.product(*orders_of), 3000):
        ww, rw = set[Pair](), set[Pair]()
        wr = {(writer.number, txn.number) for txn, writer, *_ in writers}
        for key, order in zip(keys_of(txns), choice, strict=True):
            for one, two in itertools.pairwise(order):
                ww.add((by[key, one].number, by[key, two].number))
            for txn, _, k, value in reads:
                after = 0 if value is None else order.index(value) + 1 if value in order else len(order)
                if k == key and after < len(order):
                    rw.add((txn.number, by[key, order[after]].number))
        ww, wr, rw = ({pair for pair in edges if pair[0] != pair[1]} for edges in (ww, wr, rw))
        if not nx.is_directed_acyclic_graph(nx.DiGraph(list(ww))):
            continue
        found.add("read-uncommitted")
        reached = _reached(ww | wr, [txn.number for txn in txns])
        if not clean or any(node in those for node, those in reached.items()):
            continue
        found.add("read-committed")
        if not any(one in reached[two] for one, two in rw):
            found.add("consistent-view")
        if steady and nx.is_directed_acyclic_graph(nx.DiGraph(list(ww | wr | rw))):
            found.add("serializable")
    return found


def snapshots(history: History) -> bool:
    """Whether snapshots can explain it: a transaction reads what was there when it began, with its own writes, and no
    two that overlap write the same key."""
    return any(_some_snapshots(chosen, [], {}, {}) for chosen in _choices(read_history(history)))


def _some_snapshots(left: list[Txn], open_: list[Txn], began: dict[int, dict[Any, Any]], state: dict[Any, Any]) -> bool:
    if not left and not open_:
        return True
    for txn in left:
        if _fits(txn, state):
            rest = [each for each in left if each is not txn]
            if _some_snapshots(rest, [*open_, txn], {**began, txn.number: state}, state):
                return True
    for txn in open_:
        written = {key for name, key, _ in txn.mops if name != "r"}
        if any(began[txn.number].get(key) != state.get(key) for key in written):
            continue
        now = dict(state)
        for name, key, value in txn.mops:
            if name == "append":
                now[key] = (*now.get(key, ()), value)
            elif name == "w":
                now[key] = value
        if _some_snapshots(left, [each for each in open_ if each is not txn], began, now):
            return True
    return False


def _fits(txn: Txn, snapshot: dict[Any, Any]) -> bool:
    now = dict(snapshot)
    for name, key, value in txn.mops:
        if name == "append":
            now[key] = (*now.get(key, ()), value)
        elif name == "w":
            now[key] = value
        elif txn.outcome == "ok" and (now.get(key) or None) != (value or None):
            return False
    return True
