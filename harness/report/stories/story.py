"""What a story is: a sentence that a stranger understands, a drawing, and what to look at in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import Columns
from splitbrain.harness.report.faults import Band
from splitbrain.harness.report.witness import Anomaly


@dataclass(frozen=True)
class Story:
    """headline: what went wrong, where, and why, in a sentence. drawing: an SVG, or None if there is nothing to draw.
    legend: what its marks mean. reasons: numbered, each a pair of what it explains and why.
    """

    headline: str
    drawing: Markup | None = None
    legend: str = ""
    reasons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Told:
    """What a story is told from. name: of the drawing, unique on the page. verdict: the checker's fields."""

    name: str
    anomaly: Anomaly
    history: History
    table: Columns
    faults: Sequence[Band]
    model: str = ""

    def sentence(self) -> str:
        """The witness's own first sentence, for what has no better one."""
        return first_sentence(self.anomaly.text) or self.anomaly.reason


_MANY = re.compile(r"(\b\d+, \d+)((?:, \d+){2,})(?: and (\d+)( more)?)?")


def shorter_lists(text: str) -> str:
    """The text with long lists of numbers cut to two.

    >>> shorter_lists("read 1, 2, 3, 4 and 5 from k; put 7, 8 and 9"), shorter_lists("read 1, 2, 3, 4 and 6 more")
    ('read 1, 2 and 3 more from k; put 7, 8 and 9', 'read 1, 2 and 8 more')
    """

    def cut(found: re.Match[str]) -> str:
        left = found[2].count(",") + (int(found[3]) if found[4] else found[3] is not None)
        return f"{found[1]} and {left} more"

    return _MANY.sub(cut, text)


def first_sentence(text: str, limit: int = 420) -> str:
    """The first sentence of a text, or as many of its clauses as fit.

    >>> first_sentence("a read b; c is gone: 0.5 s. Then d.")
    'A read b; c is gone: 0.5 s.'
    """
    # The faults of the time are drawn, and listed further down.
    first = shorter_lists(text.strip().partition("\n")[0].partition("; meanwhile ")[0])
    end = next((at + 1 for at, letter in enumerate(first) if letter == "." and first[at + 1 : at + 2] in (" ", "")), 0)
    sentence = first[:end] if end else first
    if len(sentence) > limit:
        cut = max(sentence.rfind(mark, 0, limit) for mark in ("; ", ", ", ": ", " "))
        sentence = sentence[: max(cut, limit // 2)] + " …"
    sentence = sentence[:1].upper() + sentence[1:]
    return sentence if not sentence or sentence.endswith((".", "…", "!", "?")) else sentence.rstrip(":;,") + "."
