"""Staleness: while nothing fails, no read may miss what was acknowledged.

1. The first puts go to keys that rest from then on, one to each; they are read through every node all the time. The
   other puts, and some reads, go to a few busy keys. With R + W > N each read meets each write before it, as long as
   replicas answer for themselves.
2. A sloppy quorum promises nothing while a node is away, or cut off: others stand in for it. So a read is judged only
   in quiet times (`checkers.eventual.quiet_times`). Then it may miss nothing that was acknowledged while it was quiet,
   nor what had `QUIET_S` without a fault to come to every home replica.
3. The moment in which a cut heals is the worst: a node still suspects those that it can reach again, and forgets that
   at their first answer. So each node is asked for some resting keys at once when a fault has ended (`AT_ONCE`).
4. A disk that is lost takes acknowledged writes from a quorum. What happens from then on is not judged.

Dynamo (SOSP 2007), section 4.5; Bailis and others, "Probabilistically bounded staleness" (VLDB 2012).
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered, sequence, sleep
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.workloads.registers import RegistersClient, Writing, Wrote
from splitbrain.workloads.resting_keys import resting_keys
from splitbrain.workloads.sessions import LOSING

QUIET_S = 3.0
"""A detector trusts a node again within a second or two, and hints are delivered then."""
AT_ONCE = 4
"""How many keys: of five nodes, two in five are no home of a key with three replicas. These must ask others."""
SCHEMAS = (
    Schema("put", invoked=Writing, ok=Wrote),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


def _keys(plan: Plan) -> list[str]:
    return [*plan.keys("t"), *resting_keys("t", plan.whole("resting"))]


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("t"), _keys(plan)
    resting = keys[len(busy) :]

    first = numbered(lambda number: Invocation("put", {"write": number}, resting[number]), len(resting))
    puts = numbered(lambda number: Invocation("put", {"write": len(resting) + number}, busy[number % len(busy)]))

    def read_through(number: int) -> Invocation:
        lap, at = divmod(number, len(resting))
        return Invocation("read", key=resting[at], node=plan.nodes[(lap + at) % len(plan.nodes)])

    reads = numbered(lambda number: Invocation("read", key=busy[number % len(busy)]))
    rest = mix(plan.seed, (2, puts), (1, reads), (6, numbered(read_through)), (1, replica_polls(plan, keys)))
    return sequence(first, rest)


def _healed(plan: Plan, heals: int) -> list[Invocation]:
    """Reads of some resting keys through every node, other ones each time."""
    resting = resting_keys("t", plan.whole("resting"))
    begin = heals * AT_ONCE
    return [
        Invocation("read", key=resting[(begin + number) % len(resting)], node=node)
        for number in range(AT_ONCE)
        for node in plan.nodes
    ]


WORKLOAD = Workload(
    name="staleness",
    summary="puts and reads through every node; while nothing fails, no read may miss an acknowledged write",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegistersClient(connection),
    generator=_generator,
    healed=_healed,
    final=lambda plan: sequence(sleep(QUIET_S), converge_then_read(plan, _keys(plan))),
    checkers={
        "staleness": {"max_k": 0, "quiet_s": QUIET_S, "until_fault": LOSING},
        "lost-writes": {},
        "convergence": {},
        "availability": {},
        "latency": {},
    },
    config={"keys": "3", "resting": "20"},
)
