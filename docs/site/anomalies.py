"""One small history for each anomaly, and its drawing: the page `anomalies` is made of them when the site is built.

1. Every history is judged by the checker that it stands for, with the options that stand there: the page shows what
   that says. A test holds that each verdict is invalid, and of the kind that the anomaly is called by.
2. An operation is (process, start, end, f, key, what was asked, what was answered), times in milliseconds. An end of
   None: it never completed. `FAILED` as the answer: it certainly did not happen.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain import History, Verdict, check, read

FAILED = object()
Step = tuple[int, float, float | None, str, str | None, Any, Any]


@dataclass(frozen=True)
class Anomaly:
    """An anomaly. kind: as the checker calls it. says: what it is, in a sentence. source: who described it. steps: a
    history that shows it. options: the checker's. extra: events of no client, with their times in ms.
    """

    title: str
    checker: str
    kind: str
    says: str
    source: str
    steps: Sequence[Step]
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Sequence[tuple[float, Mapping[str, Any]]] = ()

    @property
    def slug(self) -> str:
        """Its name in addresses."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def command(self) -> str:
        """Judges the history as the page does."""
        words = ["splitbrain", "check", f"{self.slug}.jsonl", "--checker", self.checker]
        for name, value in self.options.items():
            flag = name in ("model", "consistency")
            words += [f"--{name}", str(value)] if flag else ["--option", f"{name}={json.dumps(value)}"]
        return shlex.join(words)

    def lines(self) -> str:
        """The history as JSONL."""
        moments: list[tuple[float, int, dict[str, Any]]] = []
        for process, start, end, f, key, asked, answered in self.steps:
            known = {"process": process, "f": f} | ({} if key is None else {"key": key})
            moments.append((start, len(moments), known | {"type": "invoke", "value": asked}))
            if end is not None:
                kind, value = ("fail", asked) if answered is FAILED else ("ok", answered)
                moments.append((end, len(moments), known | {"type": kind, "value": value}))
        moments += [(at, -1, {"process": "nemesis", "type": "info", **event}) for at, event in self.extra]
        moments.sort(key=lambda each: each[:2])
        events = [{"index": at, "time": int(ms * 1e6), **event} for at, (ms, _, event) in enumerate(moments)]
        return "".join(f"{json.dumps(event)}\n" for event in events)

    def history(self) -> History:
        return read(self.lines().encode().splitlines(keepends=True))

    def verdict(self) -> Verdict:
        return check(self.checker, self.history(), **self.options)


def kind_of(verdict: Verdict) -> str:
    """What a checker calls the anomaly that it found."""
    data = verdict.witness.data if verdict.witness is not None else None
    return str(data.get("kind") or data.get("anomaly")) if isinstance(data, Mapping) else ""


_ELLE = "Kingsbury and Alvaro, “Elle”, VLDB 2020"
_ADYA = "Adya, “Weak Consistency”, 1999"
_TERRY = "Terry et al., “Session Guarantees for Weakly Consistent Replicated Data”, 1994"


def _txn(process: int, start: float, end: float | None, asked: str, answered: Any = None) -> Step:
    """A transaction on lists: `x+1` appends 1 to x, `x` reads it. answered: by read, the lists; or FAILED."""
    words = asked.split()
    want = [["append", each[0], int(each[2:])] if "+" in each else ["r", each, None] for each in words]
    if answered is FAILED:
        return process, start, end, "txn", None, want, FAILED
    lists = iter(answered or ())
    got = [each if each[0] == "append" else ["r", each[1], next(lists)] for each in want]
    return process, start, end, "txn", None, want, got


def _write(process: int, start: float, end: float, key: str, value: int) -> Step:
    return process, start, end, "write", key, value, value


def _read(process: int, start: float, end: float, key: str, value: Any) -> Step:
    return process, start, end, "read", key, None, value


ANOMALIES: Sequence[Anomaly] = (
    Anomaly(
        "Stale read", "linearizable", "not linearizable",
        "A read returns a value that was overwritten before the read began.",
        "Herlihy and Wing, “Linearizability”, 1990",
        [_write(0, 0, 10, "x", 1), _write(0, 15, 25, "x", 2), _read(1, 30, 40, "x", 1)],
        {"model": "register"},
    ),
    Anomaly(
        "Lost write", "lost-writes", "lost",
        "A write was acknowledged, and no read after the last heal holds it, nor anything that had seen it.",
        "Kingsbury, “Call me maybe: Riak”, 2013",
        [(0, 0, 10, "add", "s", 1, 1), (1, 5, 20, "add", "s", 2, 2), (2, 30, 40, "read", "s", None, [2])],
        extra=[(25, {"f": "stage", "value": "recovered"}), (27, {"f": "stage", "value": "final-reads"})],
    ),
    Anomaly(
        "False sibling", "siblings", "false siblings",
        "A read returns two versions as concurrent, although the writer of one had seen the other.",
        "DeCandia et al., “Dynamo”, SOSP 2007, section 4.4",
        [
            (0, 0, 10, "put", "k", {"write": 1}, {"write": 1, "seen": []}),
            (1, 15, 25, "put", "k", {"write": 2}, {"write": 2, "seen": [1]}),
            (2, 30, 40, "read", "k", None, [1, 2]),
        ],
    ),
    Anomaly(
        "G0, write cycle", "transactions", "G0",
        "Two transactions overwrite each other: on one object the first comes before the second, on another after it.",
        _ADYA,
        [_txn(0, 0, 20, "x+1 y+1"), _txn(1, 5, 25, "x+2 y+2"), _txn(2, 30, 40, "x y", [[1, 2], [2, 1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "G1a, aborted read", "transactions", "G1a",
        "A transaction reads what a transaction wrote that was aborted.",
        _ADYA,
        [_txn(0, 0, 10, "x+1", FAILED), _txn(1, 15, 25, "x", [[1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "G1b, intermediate read", "transactions", "G1b",
        "A transaction reads what another wrote on the way, and not what it left.",
        _ADYA,
        [_txn(0, 0, 20, "x+1 x+2"), _txn(1, 5, 15, "x", [[1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "G1c, circular information flow", "transactions", "G1c",
        "Two transactions have each read what the other one wrote.",
        _ADYA,
        [_txn(0, 0, 20, "x+1 y", [[1]]), _txn(1, 5, 25, "y+1 x", [[1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "Lost update", "transactions", "lost-update",
        "Two transactions read the same version and both write the object, the later one unaware of the first.",
        _ELLE,
        [_txn(0, 0, 20, "x x+1", [[]]), _txn(1, 5, 25, "x x+2", [[]]), _txn(2, 30, 40, "x", [[1, 2]])],
        {"consistency": "snapshot-isolation"},
    ),
    Anomaly(
        "G-single, read skew", "transactions", "G-single",
        "A transaction sees a part of what another one did, and not the rest.",
        _ADYA,
        [_txn(0, 0, 20, "x+1 y+1"), _txn(1, 5, 25, "x y", [[], [1]]), _txn(2, 30, 40, "x y", [[1], [1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "G2-item, write skew", "transactions", "G2-item",
        "Two transactions each read what the other one then overwrites: neither could have come first.",
        _ADYA,
        [_txn(0, 0, 20, "x y x+1", [[], []]), _txn(1, 5, 25, "x y y+2", [[], []]), _txn(2, 30, 40, "x y", [[1], [2]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "Internal inconsistency", "transactions", "internal",
        "A transaction does not see what it wrote itself.",
        _ELLE,
        [_txn(0, 0, 20, "x+1 x", [[]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "Incompatible order", "transactions", "incompatible-order",
        "Two reads of one list disagree about the order of what both hold.",
        _ELLE,
        [_txn(0, 0, 10, "x+1"), _txn(1, 0, 10, "x+2"), _txn(0, 15, 25, "x", [[1, 2]]), _txn(1, 15, 25, "x", [[2, 1]])],
        {"consistency": "serializable"},
    ),
    Anomaly(
        "Long fork", "long-fork", "long fork",
        "Two reads saw two independent writes in opposite orders.",
        "Sovran et al., “Transactional storage for geo-replicated systems”, SOSP 2011",
        [
            (0, 0, 20, "txn", None, [["w", 0, 1]], [["w", 0, 1]]),
            (1, 0, 20, "txn", None, [["w", 1, 1]], [["w", 1, 1]]),
            (2, 5, 25, "txn", None, [["r", 0, None], ["r", 1, None]], [["r", 0, 1], ["r", 1, None]]),
            (3, 5, 25, "txn", None, [["r", 0, None], ["r", 1, None]], [["r", 0, None], ["r", 1, 1]]),
        ],
    ),
    Anomaly(
        "Causal reverse", "causal-reverse", "causal reverse",
        "A read saw a write, and lacks another that was over before that one began.",
        "Kingsbury, “Jepsen: CockroachDB beta-20160829”, 2017",
        [(0, 0, 10, "write", None, 1, 1), (1, 15, 25, "write", None, 2, 2), (2, 20, 40, "read", None, None, [2])],
    ),
    Anomaly(
        "Read your writes", "sessions", "read your writes",
        "A client does not see what it wrote itself.",
        _TERRY,
        [_write(0, 0, 10, "x", 1), _write(0, 15, 25, "x", 2), _read(1, 30, 40, "x", 2), _read(0, 45, 55, "x", 1)],
        {"guarantees": ["read your writes"]},
    ),
    Anomaly(
        "Monotonic reads", "sessions", "monotonic reads",
        "A client sees a value, and later an older one.",
        _TERRY,
        [_write(0, 0, 10, "x", 1), _write(0, 15, 25, "x", 2), _read(1, 30, 40, "x", 2), _read(1, 45, 55, "x", 1)],
        {"guarantees": ["monotonic reads"]},
    ),
    Anomaly(
        "Monotonic writes", "sessions", "monotonic writes",
        "Somebody sees a client's later write, and not the earlier one.",
        _TERRY,
        [_write(0, 0, 10, "x", 1), _write(0, 15, 25, "y", 1), _read(1, 30, 40, "y", 1), _read(1, 45, 55, "x", None)],
        {"guarantees": ["monotonic writes"]},
    ),
    Anomaly(
        "Writes follow reads", "sessions", "writes follow reads",
        "Somebody sees a write, and not what its writer had read before it.",
        _TERRY,
        [
            _write(0, 0, 10, "x", 1), _read(1, 15, 25, "x", 1), _write(1, 30, 40, "y", 1),
            _read(2, 45, 55, "y", 1), _read(2, 60, 70, "x", None),
        ],
        {"guarantees": ["writes follow reads"]},
    ),
    Anomaly(
        "Causal violation", "causal", "WriteCOInitRead",
        "A read misses what was there, by a chain of reads and writes, before what its client had seen.",
        "Bouajjani et al., “On verifying causal consistency”, POPL 2017",
        [
            _write(0, 0, 10, "x", 1), _read(1, 15, 25, "x", 1), _write(1, 30, 40, "y", 1),
            _read(2, 45, 55, "y", 1), _read(2, 60, 70, "x", None),
        ],
    ),
    Anomaly(
        "Staleness", "staleness", "stale",
        "A read is further behind the newest write than was promised, in versions or in time.",
        "Bailis et al., “Probabilistically bounded staleness”, VLDB 2012",
        [
            _write(0, 0, 10, "x", 1), _write(0, 15, 25, "x", 2), _write(0, 30, 40, "x", 3), _read(1, 45, 55, "x", 1),
        ],
        {"max_k": 1},
    ),
    Anomaly(
        "Money out of nothing", "bank", "wrong-total",
        "A read of all accounts has another total than there ever was.",
        "Kingsbury, “Call me maybe: MariaDB Galera Cluster”, 2015",
        [
            (0, 0, 20, "transfer", None, {"from": 0, "to": 1, "amount": 10}, {"from": 0, "to": 1, "amount": 10}),
            (1, 5, 15, "read", None, None, {"0": 40, "1": 50}),
        ],
        {"accounts": [0, 1], "total": 100},
    ),
    Anomaly(
        "Lost message", "total-queue", "lost",
        "What was put into a queue, and acknowledged, never comes out.",
        "Kingsbury, “Jepsen: RabbitMQ”, 2014",
        [(0, 0, 10, "enqueue", "q", 1, 1), (0, 15, 25, "enqueue", "q", 2, 2), (1, 30, 40, "drain", "q", None, [2])],
    ),
    Anomaly(
        "Duplicate id", "unique-ids", "duplicated",
        "Two requests for an id of their own got the same.",
        "Jepsen's checker of that name",
        [
            (0, 0, 10, "generate", None, None, 5), (1, 5, 15, "generate", None, None, 6),
            (0, 20, 30, "generate", None, None, 6),
        ],
    ),
    Anomaly(
        "Impossible count", "counter", "misread",
        "A counter reads what no choice of the additions around the read adds up to.",
        "Jepsen's checker of that name",
        [(0, 0, 10, "add", "c", 1, 1), (1, 5, 15, "add", "c", 2, 2), (2, 20, 30, "read", "c", None, 2)],
    ),
    Anomaly(
        "Lock held by two", "lock", "overlap",
        "A client got a lock while another one held it.",
        "Kleppmann, “How to do distributed locking”, 2016",
        [
            (0, 0, 10, "acquire", "l", {"lease_ms": 15_000}, {"lease_ms": 15_000}),
            (1, 15, 25, "acquire", "l", {"lease_ms": 15_000}, {"lease_ms": 15_000}),
            (0, 30, 40, "release", "l", None, None),
        ],
    ),
    Anomaly(
        "Message that never arrives", "broadcast", "lost",
        "A message was acknowledged, and a node never shows it.",
        "Kingsbury and Fly.io, “Gossip Glomers”, 2023",
        [
            (0, 0, 10, "broadcast", None, 1, 1), (1, 5, 15, "broadcast", None, 2, 2),
            (2, 30, 40, "read", None, None, [2]),
        ],
        extra=[(25, {"f": "stage", "value": "recovered"}), (27, {"f": "stage", "value": "final-reads"})],
    ),
)  # fmt: skip
