"""Resting keys: keys that get a few operations each, and are then left alone.

1. A busy key hides what becomes of it: the next put has seen what was lost, and replaces it. What a resting key loses
   stays lost until the final reads ask for it. So does what came back to it.
2. Resting key number k begins at the workload's write number 2 * k * k. So some begin at any time of a run, however
   long it is, and there are not too many in the end: each is polled and read through every node.
3. A key gets 1 to 5 operations, up to `APART` writes of the workload apart unless it asks for other gaps. A seed
   decides.
4. One key in two returns: its last operation comes long after those before it (`LATE`). Meanwhile a node may have gone
   away that holds what came before, and nothing tells it of the last one but what repairs replicas in the background.
5. Every other key is `unread` until the final reads. A read repairs what it meets, and would hide what hints and
   anti-entropy fail to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from splitbrain.harness.seeds import choose, draw, log_uniform, split

USES = (1, 2, 3, 4, 5)
APART = 100
"""A second, more or less: a fault may begin in between."""
LATE = (100.0, 1500.0)
"""How many writes before it a key's last operation waits, if it returns: log-uniform, some seconds to a minute."""


class Use(NamedTuple):
    """One operation on a resting key. begun: how many came before it. left: how many follow it. returns: rule 4, of its
    key.
    """

    key: str
    begun: int
    left: int
    returns: bool


def resting_keys(prefix: str, count: int) -> list[str]:
    """The names of so many of them: the prefix, "-rest-", and a number from 0."""
    return [f"{prefix}-rest-{number}" for number in range(count)]


def read_before_the_end(keys: Sequence[str]) -> list[str]:
    """The resting keys that may be read during the load: every other one (rule 5)."""
    return list(keys[::2])


def uses(keys: Sequence[str], *, seed: int, apart: int = APART) -> Mapping[int, Use]:
    """What the workload's writes do for resting keys, by the number of the write. apart: at most, of a key. O(keys)."""
    found: dict[int, Use] = {}
    for number, key in enumerate(keys):
        rng = draw(split(seed, key))
        at, count = 2 * number * number, choose(rng, USES)
        returns = count > 1 and rng.random() < 0.5
        for begun in range(count):
            if returns and begun == count - 1:
                at += int(log_uniform(rng, *LATE))
            while at in found:
                at += 1
            found[at] = Use(key, begun, count - 1 - begun, returns)
            at += 1 + int(rng.random() * apart)
    return found
