"""How deep values may be nested. Checkers compare and print values by recursion, which must not end a check halfway.

1. Brackets and braces count, an event's own included. Those inside strings do not.
2. One limit holds for all formats. It is far beyond what histories hold, and far below what recursion can take.
"""

from __future__ import annotations

import re

DEEPEST = 200
TOO_DEEP = f"nested deeper than {DEEPEST} levels"
SHORT = 2 * DEEPEST
"""No line of so many characters opens and closes more brackets than may be: it need not be looked at."""
_strings = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_others = bytes(set(range(256)) - set(b"[]{}"))
_alike = bytes.maketrans(b"{}", b"[]")


def too_deep(line: bytes) -> bool:
    """Whether a line of JSON, or of EDN that is written like it, is nested too deep. O(n) for what histories hold.

    Brackets that are not closed in the line do not count.
    """
    if len(line) <= SHORT or line.count(b"[") + line.count(b"{") <= DEEPEST:
        return False
    brackets = _strings.sub(b"", line).translate(_alike, _others)
    for _ in range(DEEPEST):
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            return False
        brackets = inner
    return b"[]" in brackets
