"""Suggestions: the known word that is nearest to an unknown one.

1. No suggestion is better than a wrong one: where nothing is near, nothing is suggested.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.7
"""Share of letters in common. Below it, `frobnicate` would be near to `rate`."""
PREFIX_LETTERS = 3
"""A shorter beginning fits too many words."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant by `word`, or None.

    A word that begins like exactly one known word is taken for its abbreviation.

    >>> nearest("partion", ["kill", "partition"]), nearest("conv", ["convergence", "counter"])
    ('partition', 'convergence')
    >>> nearest("frobnicate", ["rate", "seed"])
    """
    asked, spelled = word.lower(), {each.lower(): each for each in known}
    # Two swapped letters of a short word are a large share of it.
    close = [each for each in spelled if sorted(each) == sorted(asked)]
    close += difflib.get_close_matches(asked, spelled, 1, CUTOFF)
    if close:
        return spelled[close[0]]
    longer = [each for each in spelled if len(asked) >= PREFIX_LETTERS and each.startswith(asked)]
    return spelled[longer[0]] if len(longer) == 1 else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest word as the end of a message: `; did you mean kill?`, or nothing.

    >>> did_you_mean("kil", ["kill", "pause"])
    '; did you mean kill?'
    """
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""
