"""Causal consistency, of registers with distinct writes and of versioned registers.

`consistency` has the rules and the checker, `past` causal pasts, `patterns` the bad patterns of Bouajjani and others
(2017), `versioned` what becomes of them where reads return siblings.
"""

from splitbrain.checkers.causal.causal_consistency import check

__all__ = ["check"]
