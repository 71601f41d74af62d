"""Causal consistency of registers with distinct writes and of versioned registers.

- `causal_consistency`: the rules and the checker. Begin here.
- `past`: the causal past of each operation, as vector clocks
- `patterns`: the bad patterns of Bouajjani and others (2017)
- `versioned_rows`: the same patterns where reads return siblings
- `edges`: causal order as a graph, and cycles of it in words
- `pattern_finding`: how often each pattern was found
"""

from splitbrain.checkers.causal.causal_consistency import check

__all__ = ["check"]
