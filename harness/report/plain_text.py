"""Text of a history as the page shows it: what would reorder or hide its neighbours is written out.

1. A mark that turns the direction of reading (U+202E) would turn the page's own words too, so it is shown by its
   number. So are control characters, but for a tab and a newline.
2. A key is known to the page by one text, the same in every table, link and chart. A very long one is cut, and ends in
   a digest, so that different keys stay different.
"""

from __future__ import annotations

import hashlib
import re

KEY_LIMIT = 200
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|(?P<half>[\ud800-\udfff])"
)
REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with its invisible characters written out.

    >>> print(visible("a\u202eb"))
    a\u202eb
    """
    if text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: "\ufffd" if found["half"] else f"\\u{ord(found[0]):04x}", text)


def shown_key(key: str) -> str:
    """The key's text on the page.

    >>> shown_key("cart-7"), len(shown_key("k" * 500)), shown_key("k" * 500) == shown_key("k" * 501)
    ('cart-7', 209, False)
    """
    text = visible(key)
    if len(text) <= KEY_LIMIT:
        return text
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[:KEY_LIMIT]}…{digest}"
