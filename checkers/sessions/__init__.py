"""Session guarantees (Terry and others 1994) for registers with distinct writes and for versioned registers.

- `guarantees`: the rules and the checker. Begin here.
- `inferred`: judges distinct writes, where the order of versions must be inferred
- `recorded`: judges versioned registers, where writers record what they had seen
- `guarantee_finding`: the outcome of one guarantee
"""

from splitbrain.checkers.sessions.guarantees import check

__all__ = ["check"]
