"""Drawings as SVG that a page can hold: text stays text, colours are the style sheet's, and nothing is a script.

1. Every string is escaped on its way in, and what would reorder it is written out.
2. Colours and fonts are classes, so that a drawing follows the page: light, dark, print.
3. A drawing says what it shows in its title and description, for those who can't see it.
4. The same parts give the same markup. Names within a drawing begin with its own, since a page holds many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup, escape

from splitbrain.harness.report.plain_text import visible

LETTER: Final = 6.9
"""The breadth of a letter of 12 px, rather too much than too little: no browser is asked for it."""


def fitting(text: str, breadth: float, letter: float = LETTER) -> str:
    """The text, or as much of it as fits into a breadth in px."""
    most = max(int(breadth / letter), 2)
    return text if len(text) <= most else text[: most - 1] + "…"


def lines(text: str, breadth: float, letter: float = LETTER) -> list[str]:
    """The text in lines of a breadth in px, broken between words where that can be.

    >>> lines("T1 read x2 without the 300 that T2 appended", 140)
    ['T1 read x2 without', 'the 300 that T2', 'appended']
    """
    most = max(int(breadth / letter), 8)
    found: list[str] = []
    for word in text.split():
        if found and len(found[-1]) + 1 + len(word) <= most:
            found[-1] += " " + word
        else:
            found.extend(word[at : at + most] for at in range(0, len(word), most))
    return found


@dataclass
class Drawing:
    """An SVG in the making. name: what ids within it begin with. height grows with what is put."""

    name: str
    width: float
    height: float = 0.0
    _parts: list[Markup] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start", full: str = "") -> None:
        """Words with their baseline at y. full: what the pointer is told, if that is more."""
        title = Markup("<title>{}</title>").format(visible(full)) if full and full != words else Markup("")
        self._put(
            '<text x="{}" y="{}" class="{}" text-anchor="{}">{}{}</text>', x, y, kind, anchor, visible(words), title
        )
        self._reach(y + 6)

    def box(
        self, x: float, y: float, width: float, height: float, kind: str, full: str = "", round_: float = 2
    ) -> None:
        """A rectangle."""
        title = Markup("<title>{}</title>").format(visible(full)) if full else Markup("")
        self._put(
            '<rect x="{}" y="{}" width="{}" height="{}" rx="{}" class="{}">{}</rect>',
            *(x, y, max(width, 0.5), height, round_, kind, title),
        )
        self._reach(y + height)

    def fault(self, x: float, y: float, width: float, height: float, paint: str, full: str = "") -> None:
        """A rectangle shaded and hatched as a family of faults."""
        self.box(x, y, width, height, f"fault {paint}", full, 0)
        self._put(
            '<rect x="{}" y="{}" width="{}" height="{}" fill="url(#{}-{})" class="hatch"/>',
            *(x, y, max(width, 0.5), height, self.name, paint),
        )

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str) -> None:
        """A straight line."""
        self._put('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>', x, y, to_x, to_y, kind)
        self._reach(max(y, to_y))

    def path(self, d: str, kind: str, *, arrow: bool = False) -> None:
        """A path, perhaps with a head at its end. d: made of numbers only."""
        head = Markup(' marker-end="url(#{}-head)"').format(self.name) if arrow else Markup("")
        self._put('<path d="{}" class="{}"{}/>', d, kind, head)

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """A disc."""
        self._put('<circle cx="{}" cy="{}" r="{}" class="{}"/>', x, y, radius, kind)

    def cross(self, x: float, y: float, size: float, kind: str) -> None:
        """An upright x."""
        a, b, c, d = x - size, y - size, x + size, y + size
        self.path(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}M{c:.1f} {b:.1f}L{a:.1f} {d:.1f}", kind)

    def markup(self, title: str, description: str) -> Markup:
        """The finished drawing."""
        size = f"{self.width:.0f} {self.height + 8:.0f}"
        head = Markup(
            '<svg class="story" role="img" viewBox="0 0 {}" aria-labelledby="{}-title {}-desc">'
            '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}'
        ).format(size, *[self.name] * 3, visible(title), self.name, visible(description), self._definitions())
        return Markup("").join([head, *self._parts, Markup("</svg>")])

    def _definitions(self) -> Markup:
        found = Markup(
            '<defs><marker id="{0}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto-start-reverse"><path d="M0 0.5L8 4L0 7.5z" class="head"/></marker>'
        ).format(self.name)
        for paint, d in HATCHES.items():
            found += Markup(
                '<pattern id="{}-{}" width="7" height="7" patternUnits="userSpaceOnUse"><path d="{}" class="mesh {}"/>'
                "</pattern>"
            ).format(self.name, paint, d, paint)
        return found + Markup("</defs>")

    def _put(self, form: str, *values: object) -> None:
        self._parts.append(
            Markup(form).format(*(round(each, 1) if isinstance(each, float) else escape(each) for each in values))
        )

    def _reach(self, y: float) -> None:
        self.height = max(self.height, y)


HATCHES: Final = {
    "partition": "M-1 8L8 -1",
    "kill": "M-1 8L8 -1M-1 -1L8 8",
    "pause": "M3.5 0V7",
    "packets": "M3 3h1v1h-1z",
    "clock": "M0 3.5H7",
    "disk": "M-1 -1L8 8",
    "membership": "M3.5 0V7M0 3.5H7",
    "other": "M0 0",
}
"""By how a fault is painted (`faults.PAINTS`): the same hatches as in the style sheet and on the charts."""
