"""Session guarantees (Terry and others 1994), of registers with distinct writes and of versioned registers.

`guarantees` has the rules and the checker. `inferred` judges where the order of versions has to be inferred,
`versioned` where writers say what they had seen.
"""

from splitbrain.checkers.sessions.guarantees import check

__all__ = ["check"]
