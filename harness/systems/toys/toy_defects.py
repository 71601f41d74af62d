"""Mistakes on purpose, one at a time: each breaks one promise of one interface, and some break more.

1. A cluster has at most one, by the configuration key `defect`. Every node has the same.
2. `toy_mistakes` has the nodes that make them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from splitbrain.harness.systems.toys import toy_mistakes
from splitbrain.harness.systems.toys.toy_node import ToyNode


@dataclass(frozen=True, slots=True)
class ToyDefect:
    """One mistake.

    node: that makes it. wrong: what it does, in one sentence. seen: where the mistake is known from. workloads: those
    that find it.
    """

    node: type[ToyNode]
    wrong: str
    seen: str
    workloads: tuple[str, ...]


DEFECTS: Mapping[str, ToyDefect] = {
    "stale-reads": ToyDefect(
        toy_mistakes.StaleReads,
        "A node answers reads of a register with the value that it saw last, without asking the primary.",
        "etcd 0.4 and Consul 0.4 read from a leader without asking a quorum (Jepsen, 2014).",
        ("linearizable-register",),
    ),
    "periodic-flush": ToyDefect(
        toy_mistakes.PeriodicFlush,
        "The primary answers at once and syncs twice a second, so a crash takes back what was acknowledged.",
        "Elasticsearch 1.5 synced its log every five seconds and acknowledged at once (Jepsen, 2015).",
        ("linearizable-register", "append", "wr", "kafka", "queue", "g-set", "pn-counter"),
    ),
    "retry-runs-twice": ToyDefect(
        toy_mistakes.RetryRunsTwice,
        "The primary does not recognize a request that is sent again, and does it a second time.",
        "Kafka's producers before 0.11, which brought idempotent ones (KIP-98).",
        ("kafka", "queue", "pn-counter"),
    ),
    "fractured-transactions": ToyDefect(
        toy_mistakes.FracturedTransactions,
        "A transaction does its micro-operations one by one, and others come in between.",
        "Logged batches in Cassandra are not isolated; the fractured reads of Bailis and others (RAMP, SIGMOD 2014).",
        ("append", "wr"),
    ),
    "write-skew": ToyDefect(
        toy_mistakes.WriteSkew,
        "A transaction reads a snapshot, and is refused only if another one wrote a row that it writes too.",
        "Oracle's and, before 9.1, PostgreSQL's \"serializable\" was snapshot isolation (Berenson and others, 1995).",
        ("append", "wr"),
    ),
    "torn-transfers": ToyDefect(
        toy_mistakes.TornTransfers,
        "A transfer takes the money from one account first and gives it to the other one later.",
        "Reads in Percona XtraDB Cluster saw half of a transfer (Jepsen's bank test, 2015).",
        ("bank",),
    ),
    "local-order": ToyDefect(
        toy_mistakes.LocalOrder,
        "A node shows its own clients' writes at once and those of others later, so nodes see them in two orders.",
        "Parallel snapshot isolation allows it: Sovran and others, Walter (SOSP 2011).",
        ("long-fork",),
    ),
    "lagging-shard": ToyDefect(
        toy_mistakes.LaggingShard,
        "Half of the rows are read as of a moment ago, so a write can be seen without one that came before it.",
        "CockroachDB's transactions on different ranges (Jepsen's comments test, 2017).",
        ("causal-reverse",),
    ),
    "skips-records": ToyDefect(
        toy_mistakes.SkipsRecords,
        "A consumer that is more than a few records behind gets the newest ones only.",
        "Kafka's consumers with auto.offset.reset=latest, after their position was lost.",
        ("kafka",),
    ),
    "forgets-dequeues": ToyDefect(
        toy_mistakes.ForgetsDequeues,
        "Dequeues are not in the journal, so what was taken out is there again after a crash.",
        "RabbitMQ delivers again what it had delivered before a failure (Jepsen, 2014).",
        ("queue",),
    ),
    "forgets-ids": ToyDefect(
        toy_mistakes.ForgetsIds,
        "The counter behind ids is kept in memory only and starts again after a crash.",
        "Id generators that count since their start without a mark of the start, as Snowflake warns for its clock.",
        ("unique-ids",),
    ),
    "forgets-locks": ToyDefect(
        toy_mistakes.ForgetsLocks,
        "Who holds which lock is kept in memory only, so after a crash a lock that is held is given to another client.",
        "Redlock on servers that do not sync every write (Kleppmann, How to do distributed locking, 2016).",
        ("lock",),
    ),
    "tokens-start-over": ToyDefect(
        toy_mistakes.TokensStartOver,
        "Fencing tokens are counted in memory only and start again after a crash.",
        "Redlock has no number that only grows (Kleppmann, How to do distributed locking, 2016).",
        ("lock",),
    ),
    "early-expiry": ToyDefect(
        toy_mistakes.EarlyExpiry,
        "A lock is given to the next client when half of its lease is over.",
        "Leases timed by clocks of different rates (Gray and Cheriton, Leases, SOSP 1989, section 5).",
        ("lock",),
    ),
    "gossip-once": ToyDefect(
        toy_mistakes.GossipOnce,
        "A node keeps its messages itself and tells every other node once, without asking whether it heard.",
        "The naive solution of the fault-tolerant broadcast in Fly.io's Gossip Glomers, on Maelstrom.",
        ("broadcast",),
    ),
    "swapped-answers": ToyDefect(
        toy_mistakes.SwappedAnswers,
        "A node gives an answer to whoever has been waiting longest, whatever was asked.",
        "A cancelled request left its answer in a pooled connection of redis-py (OpenAI's incident of March 2023).",
        ("echo",),
    ),
}
