"""A hostile hour, shortened: `python -m tests.store.wire.hostile_run 1000000` fires that many datagrams at one node.

Exits with 1 if the node crashes, stores anything, answers with more than it was sent, grows, or stops serving.
"""

from __future__ import annotations

import gc
import random
import sys
import time

from splitbrain.store.config import Config
from tests.store.box import Box
from tests.store.wire.hostile import Siege, contents, held, record

EVERY = 500
WARM = 20_000
"""After so many, everything that is ever kept is there."""


def main(number: int, seed: int) -> int:
    box = Box(3, seed=seed, config=Config(partitions=8))
    recorded = record(box)
    client = box.client("n1")
    for i in range(30):
        put = client.put(b"key%d" % i, b"v" * (i * 200))
        client.put(b"key%d" % i, b"w", put.context)
    box.run_for(3)
    siege = Siege(box, "n1", random.Random(seed), list(recorded))
    box.wiretap = lambda *way: True
    host = box.hosts["n1"]
    node = host.node
    assert node is not None
    before, view = contents(host.engine), node.inspect().core.membership.view
    served = 0

    def serve() -> None:
        nonlocal served
        assert client.get(b"key7").values == [b"w"], "a client was not served"
        served += 1

    began = time.perf_counter()
    siege.run(min(number, WARM), EVERY, serve)
    gc.collect()
    blocks, sizes = sys.getallocatedblocks(), held(node)
    siege.run(number - min(number, WARM), EVERY, serve)
    took_s = time.perf_counter() - began
    gc.collect()
    grown = sys.getallocatedblocks() - blocks
    unchanged = contents(host.engine) == before and node.inspect().core.membership.view == view
    bounded = all(size <= sizes[name] + 20 for name, size in held(node).items()) and grown < 20_000
    print(f"{number:,} datagrams, {siege.received_bytes / 1e6:,.0f} MB, {number / took_s:,.0f} a second")
    for name, count in sorted(siege.attacks.items()):
        print(f"  {name:16} {count:>10,}")
    refused = dict(sorted(node.inspect().core.rpc.counters.items()))
    print("counted by the node:", ", ".join(f"{name} {count:,}" for name, count in refused.items()))
    print(f"answered: {siege.answered_bytes:,} bytes in rejections and hellos, none larger than what it answers")
    print(f"served meanwhile: {served:,} gets, all right")
    print(f"records and membership: {'unchanged' if unchanged else 'CHANGED'}")
    print(f"memory: {grown:+,} blocks after the first {WARM:,}; kept: {held(node)}")
    print(f"log: {len(host.log)} lines")
    return 0 if unchanged and bounded else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
