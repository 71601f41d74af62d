"""Single EDN tokens: what one means, and how one value is written. `edn` has the rules."""

from __future__ import annotations

import re
from typing import Any

_escape = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_integer = re.compile(r"([+-]?(?:0|[1-9][0-9]*))N?")
_hexadecimal = re.compile(r"([+-]?)0[xX]([0-9a-fA-F]+)N?")
_decimal = re.compile(r"([+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)M?")
_ratio = re.compile(r"[+-]?[0-9]+/[0-9]+")
_keyword = re.compile(r"[A-Za-z_][A-Za-z0-9_.*+!?-]*")
_unwritable = re.compile(r'[\x00-\x1f"\\\x7f]')

SYMBOLIC = {"##Inf": float("inf"), "##-Inf": float("-inf"), "##NaN": float("nan")}
_CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r", "formfeed": "\f", "backspace": "\b"}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}
_ESCAPED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


class NotEdn(ValueError):
    """A token that can't be read, and why."""


def atom(token: str) -> Any:
    """What a keyword, symbol, number or character means. Raises NotEdn."""
    first = token[0]
    if first == ":":
        if len(token) == 1 or token[1] == ":":
            raise NotEdn(f"{shown(token)} is no keyword")
        return token[1:]
    if first == "\\":
        return _character(token[1:])
    if first.isdigit() or (first in "+-" and token[1:2].isdigit()):
        return _number(token)
    if token in SYMBOLIC:
        return SYMBOLIC[token]
    if first in "^@`~'" or not first.isprintable():
        raise NotEdn(f"{shown(token)} is no EDN")
    return token


def string(content: str) -> str:
    """The content of a string without its escapes. Raises NotEdn."""
    if "\\" not in content:
        return content
    text = _escape.sub(_meant, content)
    try:
        # Java writes a character beyond 16 bits as two escapes.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise NotEdn("a string has half of a surrogate pair") from None


def keyword(name: str) -> str:
    """The name as a keyword if it can be one, else as a string. Reading either gives the same name."""
    return f":{name}" if _keyword.fullmatch(name) else scalar(name)


def scalar(value: Any) -> str:
    """A value that holds no others, as EDN. Raises TypeError for a type that JSON lacks."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return next((name for name, known in SYMBOLIC.items() if repr(known) == repr(value)), repr(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + _unwritable.sub(_escaped, value) + '"'
    raise TypeError(f"{type(value).__name__} can't be written as EDN; give what JSON has")


def shown(token: str) -> str:
    """A token as it appears in an error."""
    text = token if token.isprintable() else ascii(token)[1:-1]
    return text if len(text) <= 40 else text[:37] + "..."


def _number(token: str) -> Any:
    try:
        if found := _integer.fullmatch(token):
            return int(found[1])
        if found := _decimal.fullmatch(token):
            return float(found[1])
        if found := _hexadecimal.fullmatch(token):
            return int(found[1] + found[2], 16)
    except ValueError:  # Python refuses thousands of digits.
        raise NotEdn(f"{shown(token)} has too many digits") from None
    if _ratio.fullmatch(token):
        return token
    raise NotEdn(f"{shown(token)} is no number")


def _character(name: str) -> str:
    if len(name) == 1 and not name.isspace():
        return name
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if re.fullmatch("u[0-9a-fA-F]{4}", name) and not "d800" <= name[1:].lower() < "e000":
        return chr(int(name[1:], 16))
    raise NotEdn(f"\\{shown(name)} is no character")


def _meant(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2] not in _ESCAPES:
        raise NotEdn(f"a string has \\{shown(found[2])}, which is no escape")
    return _ESCAPES[found[2]]


def _escaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[0]) or f"\\u{ord(found[0]):04x}"
