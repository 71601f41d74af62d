"""The store's claims over many more seeds than the suite has time for.

    python -m tests.store.proof [changes|outages|crashes] N [FIRST]

changes: the ring changes under load (`test_sender`). outages: `test_outages`. crashes: a kill -9 at N of the commits of
many runs, with and without a change of the membership (`test_crash_points`, `test_crash_transfer`). Prints the seeds that
fail, and exits with 1 if any does. SPLITBRAIN_PROOF_JOBS: processes (default: as many as there are cores).
"""

from __future__ import annotations

import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.store import test_outages
from tests.store.ownership import test_crash_transfer, test_sender
from tests.store.storage import test_crash_points

CHUNK = 5


def changes(seed):
    nodes = random.Random(seed).randint(5, 12)
    if seed % 2:
        box, load, _ = test_sender.run(seed, ["join", "leave", "both"], nodes)
        assert not load.ledger.hidden, load.ledger.hidden
    else:
        box, load, _ = test_sender.run(seed, ["replace", "join", "leave", "both"], nodes, loss=0.05)
        assert box.config.sloppy or not load.ledger.hidden, load.ledger.hidden


def outages(seed):
    test_outages.run(seed, ("down", "wiped", "cut off")[seed % 3])


def crashes(seed):
    rng = random.Random(seed)
    if rng.random() < 0.5:
        test_crash_transfer.Scenario(rng.randrange(1000), rng.randint(1, 300), rng.randrange(4)).run().check()
    else:
        cut = rng.random() < 0.3
        nodes = rng.choice([4, 5] if cut else [3, 4, 5])
        test_crash_points.Scenario(nodes, rng.randint(1, 210), rng.randrange(4), cut).run().check()


CLAIMS = {"changes": changes, "outages": outages, "crashes": crashes}


def failures(claim, seeds):
    """What went wrong, by seed."""
    found = {}
    for seed in seeds:
        try:
            CLAIMS[claim](seed)
        except Exception as problem:
            found[seed] = f"{type(problem).__name__}: {problem}"[:300]
    return found


def main(arguments):
    if not arguments or arguments[0] not in CLAIMS:
        print(__doc__, file=sys.stderr)
        return 64
    claim, count = arguments[0], int(arguments[1]) if len(arguments) > 1 else 500
    first = int(arguments[2]) if len(arguments) > 2 else 0
    jobs = int(os.environ.get("SPLITBRAIN_PROOF_JOBS", os.cpu_count() or 1))
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    failed = 0
    with ProcessPoolExecutor(jobs) as executor:
        for found in executor.map(failures, [claim] * len(chunks), chunks):
            failed += len(found)
            for seed, problem in found.items():
                print(f"{claim} {seed}: {problem}", flush=True)
    print(f"{claim}: {count} seeds from {first}, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
