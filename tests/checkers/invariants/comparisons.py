"""The invariants' checkers beside their oracles, on random histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from splitbrain.checkers.invariants import (
    bank,
    broadcast,
    causal_reverse,
    counter,
    kafka,
    lock,
    long_fork,
    total_queue,
    unique_ids,
)
from tests.checkers.against_oracle import Options, against_oracle
from tests.checkers.comparison import Comparison
from tests.checkers.invariants import (
    bank_histories,
    bank_oracle,
    broadcast_histories,
    broadcast_oracle,
    causal_reverse_histories,
    causal_reverse_oracle,
    counter_histories,
    counter_oracle,
    kafka_histories,
    kafka_oracle,
    lock_histories,
    lock_oracle,
    long_fork_histories,
    long_fork_oracle,
    total_queue_histories,
    total_queue_oracle,
    unique_ids_histories,
    unique_ids_oracle,
)


def _bank_options(random: Random) -> Options:
    given: list[Options] = [{}, {"total": 10}, {"accounts": (0, 1, 2)}, {"total": 10, "accounts": ("0", "1", "2")}]
    return random.choice(given)


def _surplus(evidence: Mapping[str, Any]) -> Options:
    return {"surplus": evidence["unexpected"] + evidence["phantom"] + evidence["duplicated"]}


def _bank_kinds(evidence: Mapping[str, Any]) -> Options:
    return {"kinds": {kind: summary["count"] for kind, summary in evidence["errors"].items()}}


def _impossible(evidence: Mapping[str, Any]) -> Options:
    return {"impossible": evidence["unexpected"] + evidence["phantom"]}


COMPARISONS: Sequence[Comparison] = (
    against_oracle("counter", counter.check, counter_oracle.counter, counter_histories.counter),
    against_oracle(
        "total-queue", total_queue.check, total_queue_oracle.total_queue, total_queue_histories.total_queue, _surplus
    ),
    against_oracle("unique-ids", unique_ids.check, unique_ids_oracle.unique_ids, unique_ids_histories.unique_ids),
    against_oracle("bank", bank.check, bank_oracle.bank, bank_histories.bank, _bank_kinds, _bank_options),
    against_oracle(
        "long-fork", long_fork.check, long_fork_oracle.long_fork, long_fork_histories.long_fork, _impossible
    ),
    against_oracle(
        "causal-reverse",
        causal_reverse.check,
        causal_reverse_oracle.causal_reverse,
        causal_reverse_histories.causal_reverse,
        _impossible,
    ),
    against_oracle("kafka", kafka.check, kafka_oracle.kafka, kafka_histories.kafka),
    against_oracle("lock", lock.check, lock_oracle.lock, lock_histories.lock),
    against_oracle("broadcast", broadcast.check, broadcast_oracle.broadcast, broadcast_histories.broadcast, _surplus),
)
