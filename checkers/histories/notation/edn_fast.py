"""A fast path for plain EDN: one operation a line is rewritten to JSON by a few replacements, and C code decodes it.

1. The translation keeps the order of the tokens. Brackets stay, keywords become strings, nil becomes null. A separator
   becomes a comma, or a colon after a key. JSON allows a separator in one place only, so a wrong translation is not
   valid JSON. Where the translator is not sure it refuses, and the full reader takes the lines.
2. So it may refuse good EDN, but never reads anything different from the full reader.
"""

from __future__ import annotations

import re

# Placeholders that EDN can't have outside strings: for a string that was taken out, and for the end of a key.
_STRING, _COLON = b"\x00", b"\x02"
_SEPARATORS = bytes.maketrans(b" \n" + _COLON, b",,:")
_NAME = rb":([A-Za-z_][A-Za-z0-9_.*+!?/-]*)"
_keys = re.compile(rb"([{,]) ?" + _NAME + b" ")
_names = re.compile(_NAME + rb"(?=[ ,\]}\n])")
_in_context = re.compile(rb"(\{|, )?" + _NAME + rb"(?=([ ,\]}\n]))")
_nils = re.compile(rb"nil(?=[ ,\]}])")
_TAGGED = b"#jepsen.history.Op{"
_LEARNT_MOST = 64  # Histories name a dozen fields and functions; where keywords are data, a pass for each is slower.


class Translator:
    """Learns the keywords that occur, in context: replacing a known one is ten times as fast as finding it."""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}
        self._names: dict[bytes, bytes] = {}

    def operations(self, lines: list[bytes]) -> bytes | None:
        """The maps on these lines, one on each, as a JSON array; None if they may be anything else. O(n).

        Only decoding it tells whether it is valid JSON.
        """
        text = b"".join(lines)
        if b"\\" in text or _STRING in text or _COLON in text or b"null" in text:
            return None
        text = text.replace(b"\n ", b"\n").replace(b"\n" + _TAGGED, b"\n{").removeprefix(b" ")
        if text.startswith(_TAGGED):
            text = b"{" + text[len(_TAGGED) :]
        if not text.startswith(b"{") or text.count(b"\n{") != len(lines) - 1 or text.count(b"}\n") != len(lines):
            return None
        if b'"' not in text:
            return self._translated(text)
        parts = text.split(b'"')
        code = self._translated(_STRING.join(parts[::2])) if len(parts) % 2 else None
        if code is None:
            return None
        parts[::2] = code.split(_STRING)
        return b'"'.join(parts)

    def _translated(self, text: bytes) -> bytes | None:
        for context, name in self._keys.items():
            text = text.replace(context, name)
        for context, name in self._names.items():
            text = text.replace(context, name)
        if b":" in text:
            self._learn(text)
            text = _names.sub(rb'"\1"', _keys.sub(rb'\1"\2"' + _COLON, text))
            if b":" in text:
                return None
        text = text.replace(b" nil]", b" null]").replace(_COLON + b"nil,", _COLON + b"null,")
        if b"nil" in text:
            text = _nils.sub(b"null", text)
        return b"[" + text.replace(b", ", b",").translate(_SEPARATORS)[:-1] + b"]"

    def _learn(self, text: bytes) -> None:
        for before, name, after in _in_context.findall(text):
            if len(self._keys) + len(self._names) >= _LEARNT_MOST:
                return
            if before and after == b" ":
                self._keys[before + b":" + name + after] = before.strip() + b'"' + name + b'"' + _COLON
            else:
                self._names[b":" + name + after] = b'"' + name + b'"' + after
