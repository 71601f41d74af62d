"""Sessions: each client puts and reads through its own node, and never goes back in time.

1. Judged are the four session guarantees of each process (`checkers.sessions`): it reads its own writes, its reads are
   monotonic, and whoever sees a write sees what its writer had written and read before.
2. A sloppy quorum promises none of them: under a partition a stand-in takes a write that a later read need not meet.
   So strict quorums are asked for, with R + W > N, where any two meet.
3. Reads are repaired before they are answered. Otherwise a write that only one replica took (its coordinator died) may
   be read once and missed by the next read. It is on R replicas then; any two reads meet where 2R > N.
4. A disk that is lost takes acknowledged writes from a quorum. What happens from then on is not judged.

Terry and others, "Session guarantees for weakly consistent replicated data" (PDIS 1994); Dynamo (SOSP 2007), section
4.5.
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import split
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.workloads.registers import RegistersClient, Writing, Wrote
from splitbrain.workloads.resting_keys import resting_keys, uses

SCHEMAS = (
    Schema("put", invoked=Writing, ok=Wrote),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)
STRICT = {"sloppy": "false", "read_repair": "blocking", "n": "3", "r": "2", "w": "2"}
LOSING = ("wipe", "bit-flip", "absence")
"""Families of faults that take what a replica had stored."""


def _keys(plan: Plan) -> list[str]:
    return [*plan.keys("s"), *resting_keys("s", plan.whole("resting"))]


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("s"), _keys(plan)
    resting = uses(keys[len(busy) :], seed=split(plan.seed, "resting"))

    def put(number: int) -> Invocation:
        key = resting[number].key if number in resting else busy[number % len(busy)]
        return Invocation("put", {"write": number}, key)

    reads = numbered(lambda number: Invocation("read", key=busy[number % len(busy)]))
    others = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (3, numbered(put)), (5, reads), (1, others), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="sessions",
    summary="puts and reads by clients that stay with their node, strict quorums; no session may go back in time",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegistersClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, _keys(plan)),
    checkers={
        "sessions": {"until_fault": LOSING},
        "lost-writes": {},
        "convergence": {},
        "availability": {},
        "latency": {},
    },
    config={"keys": "2", "resting": "20"},
    settings=STRICT,
)
