"""Keys of registers: what may be assumed of the order of a key's versions, and which models guarantee it.

1. Each rule (`register_versions` defines them) includes those before it: own, wfr, sequential, linearizable.
2. The promised consistency model decides how far to go: to the last rule that every history of the model satisfies.
   - own: every model. Without it versions have no meaning.
   - wfr: read committed and stronger. If what a transaction wrote came before what it had read there, it and the writer
     of that would be a G1c.
   - sequential: strong session snapshot isolation and stronger. linearizable: strong snapshot isolation and stronger.
     There a transaction's snapshot has all that its process wrote or saw, or anyone who was over before it began.
3. So what is found by a rule speaks only against models that guarantee the rule. That registers are not linearizable is
   no news of a store that may read uncommitted data.
4. A user who names a rule vouches for it. The verdict then holds if the rule does. Other models are still ruled out
   only by rules that they guarantee.
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
    """The last rule that every history with that consistency model satisfies.

    >>> kept_by("serializable"), kept_by("strict-serializable")
    ('wfr', 'linearizable')
    """
    models = weaker(consistency)
    kept: list[Keys] = [rule for rule, model in KEPT_FROM.items() if model in models]
    return kept[-1] if kept else "own"


def up_to(keys: Keys) -> list[Keys]:
    """The rules that this one includes, the weakest first, itself last."""
    rules = list(KEPT_FROM)
    return rules[: rules.index(keys) + 1]
