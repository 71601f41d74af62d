"""Keys of registers: what may be taken for granted of the order of a key's versions, and which stores keep to it.

1. Each rule (`registers` has what they say) takes those before it as well: own, wfr, sequential, linearizable.
2. The store that was promised says which may be taken: the last that every history of its consistency model keeps to.
   - own: every store; without it versions have no meaning.
   - wfr: from read committed up. If what a transaction wrote came before what it had read there, it and the writer of
     that would be a G1c.
   - sequential: from strong session snapshot isolation up, linearizable: from strong snapshot isolation up. There a
     transaction's snapshot has all that its process (or whoever was over before it began) wrote, or saw.
3. So what is found by a rule speaks only against models whose stores keep to it: that registers are not linearizable
   is no news of a store that may read uncommitted data. A user who names a rule vouches for it: the verdict holds if
   the rule does, and other models are still ruled out only by rules that they keep to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from splitbrain.checkers.transactions.consistency_models import weaker

Keys = Literal["own", "wfr", "sequential", "linearizable"]

KEPT_FROM: Mapping[Keys, str] = {
    "own": "read-uncommitted",
    "wfr": "read-committed",
    "sequential": "strong-session-snapshot-isolation",
    "linearizable": "strong-snapshot-isolation",
}
"""By rule, the least first, the weakest consistency model whose histories keep to it."""


def kept_by(consistency: str) -> Keys:
    """The last rule that every history with that consistency model keeps to.

    >>> kept_by("serializable"), kept_by("strict-serializable")
    ('wfr', 'linearizable')
    """
    models = weaker(consistency)
    kept: list[Keys] = [rule for rule, model in KEPT_FROM.items() if model in models]
    return kept[-1] if kept else "own"


def up_to(keys: Keys) -> list[Keys]:
    """The rules that are taken with this one, the least first, itself last."""
    rules = list(KEPT_FROM)
    return rules[: rules.index(keys) + 1]
