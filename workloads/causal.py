"""Causal: whoever sees a write sees all that came before it, of any key.

1. Clients read some keys and put others, so what they write depends on what they had read elsewhere. Judged is causal
   consistency of all keys together (`checkers.causal`).
2. Keys of a Dynamo know nothing of one another, and a sloppy quorum promises no order at all. But where every get meets
   every earlier put and get of its key, there is one for all keys. So strict quorums are asked for, with R + W > N and
   2R > N, and reads that are repaired before they are answered: what one read has seen, no later one misses.
3. A disk that is lost takes acknowledged writes from a quorum. What happens from then on is not judged.

Lloyd and others, "Don't settle for eventual" (SOSP 2011), section 3; Dynamo (SOSP 2007), section 4.5.
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.workloads.registers import RegistersClient, Writing, Wrote
from splitbrain.workloads.sessions import LOSING, STRICT

SCHEMAS = (
    Schema("put", invoked=Writing, ok=Wrote),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("k")

    def some_key(f: str, number: int) -> str:
        return choose(draw(split(split(plan.seed, f), number)), keys)

    puts = numbered(lambda number: Invocation("put", {"write": number}, some_key("put", number)))
    reads = numbered(lambda number: Invocation("read", key=some_key("read", number)))
    return mix(plan.seed, (3, puts), (6, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="causal",
    summary="puts and reads across keys, strict quorums; whoever sees a write must see what came before it",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegistersClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, plan.keys("k")),
    checkers={"causal": {"until_fault": LOSING}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    config={"keys": "12"},
    settings=STRICT,
)
