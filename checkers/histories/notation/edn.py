"""EDN, the notation of Jepsen's histories, to plain Python values and back.

1. nil, true, false, integers and strings become what they look like. A keyword or symbol becomes a plain string,
   without its colon. A character becomes a string of length one.
2. Lists, vectors and sets become lists, in the order written. Maps become dicts; a key that comes twice is refused, as
   Clojure does. Keys are strings and integers. Any other key is its EDN text, so that JSON can hold it.
3. A decimal (`1.5M`) becomes a float. A ratio (`22/7`) stays text, because no JSON number is exact.
4. A tag is dropped and its value kept (`#inst "2015"`, `#jepsen.history.Op{...}`). `#_` discards what follows.
5. Hexadecimal integers are read too: Clojure prints them for objects. Any other Clojure syntax that is not EDN is
   refused.
6. Only memory limits nesting, unless the reader is given a limit.

The format: https://github.com/edn-format/edn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from splitbrain.checkers.histories.notation.edn_scalars import SYMBOLIC, NotEdn, atom, keyword, scalar, shown, string
from splitbrain.checkers.histories.repeated_keys import told

_ATOM = r"""[^ \t\r\n\f\v,;"()\[\]{}\\]*+"""
_tokens = re.compile(
    rf"""
    [ \t\r\n\f\v,]*+
    ( ;[^\n]*+
    | "[^"\\]*+(?:\\.[^"\\]*+)*+"
    | \#[_{{] | [\[\](){{}}"]
    | \\(?:.{_ATOM})?
    | \#{_ATOM}
    | [^\ \t\r\n\f\v,;"()\[\]{{}}\\\#]{_ATOM}
    | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_rest_of_string = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)

_CONSTANTS: dict[str, Any] = {"nil": None, "true": True, "false": False}
_CLOSERS = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_REMEMBERED = 1 << 16  # Atoms: keywords and small numbers come again and again, times and indices never.


class EdnError(ValueError):
    """Text that is not EDN. line, column: from 1. incomplete: more text might have made it EDN."""

    def __init__(self, line: int, column: int, problem: str, *, incomplete: bool = False) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.line, self.column, self.problem, self.incomplete = line, column, problem, incomplete


class _Frame:
    """An open bracket, or a tag or discard that waits for its value.

    opener: the token; "" for a tag. items: the list to append the next value to; None where that takes more.
    """

    __slots__ = ("collected", "items", "line", "namespace", "opener", "spliced")

    def __init__(self, opener: str, line: int, *, namespace: str | None = None, spliced: bool = False) -> None:
        self.opener, self.line, self.namespace, self.spliced = opener, line, namespace, spliced
        self.collected: list[Any] = []
        self.items = self.collected if opener in _CLOSERS and namespace is None and not spliced else None


class Reader:
    """Takes text a line at a time and yields each value as soon as it is complete.

    splice: yield the elements of a top-level vector or list, not the vector. deepest: refuse deeper nesting.
    """

    def __init__(self, *, splice: bool = False, deepest: int | None = None) -> None:
        self._splice, self._deepest = splice, deepest
        self._line = 0
        self._stack: list[_Frame] = []
        self._string: list[str] | None = None
        self._string_line = 0
        self._atoms = dict(_CONSTANTS)

    @property
    def between(self) -> bool:
        """Whether the next line starts a value."""
        stack = self._stack
        return self._string is None and (not stack or (len(stack) == 1 and stack[0].spliced))

    @property
    def finished(self) -> bool:
        """Whether nothing is open, so that the text may end here."""
        return self._string is None and not self._stack

    @property
    def opened(self) -> int:
        """The line on which the outermost open value begins."""
        frames = [frame for frame in self._stack if not frame.spliced] or self._stack
        return frames[0].line if frames else self._string_line

    def held(self) -> Iterator[Any]:
        """The values read so far inside what is still open."""
        for frame in self._stack:
            yield from frame.collected

    def swallowed(self, pattern: re.Pattern[str]) -> bool:
        """Whether a string is open, and one of its lines after the first begins with the pattern."""
        return any(map(pattern.match, (self._string or [])[1:]))

    def skip(self, lines: int) -> None:
        """Count lines that were read elsewhere."""
        self._line += lines

    def feed(self, text: str) -> Iterator[tuple[int, Any]]:
        """Read the next line and yield its values, with the line on which each begins. O(n) for n characters.

        text: one line, with or without its end. It is read as the values are taken: take them all. Raises EdnError.
        """
        self._line += 1
        start = 0
        if self._string is not None:
            start = self._end_of_string(text)
            if not start:
                return
            yield from self._close_string(text)
        yield from self._read_tokens(text, start)

    def _read_tokens(self, text: str, start: int) -> Iterator[tuple[int, Any]]:
        """Read a line from `start` on, outside any string."""
        stack, atoms = self._stack, self._atoms
        items = stack[-1].items if stack else None
        number, token = -1, ""
        try:
            for number, token in enumerate(_tokens.findall(text, start)):
                line = self._line
                if token in atoms:
                    value = atoms[token]
                elif token[:1] == '"' and token != '"':
                    value = string(token[1:-1])
                elif token in _CLOSERS:
                    items = self._open(token)
                    continue
                elif token in (")", "]", "}"):
                    frame = self._close(token)
                    items = stack[-1].items if stack else None
                    if frame.spliced:
                        continue
                    value, line = _collected(frame), frame.line
                elif token == '"':
                    # The rest of the line belongs to the string, even where it looks like other tokens.
                    self._string, self._string_line = [text[_offset(text, start, number) + 1 :]], line
                    return
                elif _is_atom(token):
                    value = self._atom(token)
                else:
                    items = self._prefix(token, items)
                    continue
                if items is not None:
                    items.append(value)
                else:
                    yield from self._deliver(self._in_namespace(token, value), line)
                    items = stack[-1].items if stack else None
        except NotEdn as problem:
            column = _offset(text, start, number) + 1
            # A token at the end of a text may be incomplete.
            incomplete = text.endswith(token) and token[-1:] not in tuple('()[]{}"') and token != ""
            raise EdnError(self._line, column, str(problem), incomplete=incomplete) from None

    def _close_string(self, text: str) -> Iterator[tuple[int, Any]]:
        """Deliver the string that ended in this line. An error in it is reported at the beginning of the line."""
        assert self._string is not None
        content, self._string = "".join(self._string), None
        try:
            yield from self._deliver(string(content), self._string_line)
        except NotEdn as problem:
            raise EdnError(self._line, 1, str(problem), incomplete=False) from None

    def _atom(self, token: str) -> Any:
        """What a keyword, symbol, number or character means; remembered for the next time."""
        value = atom(token)
        if len(self._atoms) >= _REMEMBERED:
            self._atoms.clear()
            self._atoms.update(_CONSTANTS)
        self._atoms[token] = value
        return value

    def _prefix(self, token: str, items: list[Any] | None) -> list[Any] | None:
        """Take a token that is no value: a comment, tag or discard. Returns the list to append the next value to."""
        if not token or token[0] == ";":
            return items
        self._stack.append(_prefix(token, self._line))
        return None

    def _in_namespace(self, token: str, value: Any) -> Any:
        """The value; if it is the keyword of a map with a namespace, its qualified name."""
        frame = self._stack[-1] if self._stack else None
        if token[0] == ":" and frame is not None and frame.namespace and len(frame.collected) % 2 == 0:
            return _qualified(value, frame.namespace)
        return value

    def _end_of_string(self, text: str) -> int:
        """Where the text continues after the end of the open string, or 0 if it does not end in this text."""
        assert self._string is not None
        found = _rest_of_string.match(text)
        end = found.end() if found else 0
        self._string.append(text[:end])
        if text[end : end + 1] == '"':
            return end + 1
        self._string.append(text[end:])
        return 0

    def _deliver(self, value: Any, line: int) -> Iterator[tuple[int, Any]]:
        """Append a value to what encloses it, or yield it if nothing does."""
        stack = self._stack
        while stack and stack[-1].opener == "":
            if stack.pop().namespace:
                raise NotEdn("a namespace needs a map")
        if stack and stack[-1].opener == "#_":
            stack.pop()
        elif not stack or stack[-1].spliced:
            yield line, value
        else:
            stack[-1].collected.append(value)

    def _open(self, token: str) -> list[Any] | None:
        stack = self._stack
        # Tags and spliced vectors are no level of any value.
        if (
            self._deepest is not None
            and len(stack) >= self._deepest
            and sum(frame.opener in _CLOSERS and not frame.spliced for frame in stack) >= self._deepest
        ):
            raise NotEdn(f"nested deeper than {self._deepest} levels")
        namespace = None
        if token == "{" and stack and stack[-1].opener == "" and stack[-1].namespace:
            namespace = stack.pop().namespace
        spliced = self._splice and token in "([" and all(frame.opener == "" for frame in stack)
        if spliced:
            stack.clear()
        stack.append(_Frame(token, self._line, namespace=namespace, spliced=spliced))
        return stack[-1].items

    def _close(self, token: str) -> _Frame:
        stack = self._stack
        if not stack:
            raise NotEdn(f"{token} closes nothing")
        frame = stack[-1]
        if frame.opener not in _CLOSERS:
            raise NotEdn(f"{token} where a value must follow {frame.opener or 'a tag'}")
        if _CLOSERS[frame.opener] != token:
            raise NotEdn(f"{token} can't close the {frame.opener} of line {frame.line}")
        return stack.pop()


def read(text: str) -> Any:
    """The one value that a text holds. O(n). Raises EdnError, also if there is none or several.

    >>> read("{:f :cas, :value [1 2]} ; a comment")
    {'f': 'cas', 'value': [1, 2]}
    """
    values = read_all(text)
    if len(values) != 1:
        raise EdnError(1, 1, f"{len(values)} values where one must be")
    return values[0]


def read_all(text: str, *, deepest: int | None = None) -> list[Any]:
    """All values that a text holds; deepest: refuse deeper nesting. O(n). Raises EdnError."""
    reader = Reader(deepest=deepest)
    lines = text.split("\n")
    values = [value for line in lines for _, value in reader.feed(line + "\n")]
    if not reader.finished:
        problem = f"the text ends inside what line {reader.opened} opens"
        raise EdnError(len(lines), len(lines[-1]) + 1, problem, incomplete=True)
    return values


def write(value: Any) -> str:
    """A JSON-able value as EDN on one line: dicts are maps whose keys are keywords where they can be. O(n).

    >>> write({"write": 17, "seen": [3, None], "7": "a"})
    '{:write 17, :seen [3 nil], "7" "a"}'

    Raises TypeError for a value of another type.
    """
    pieces: list[str] = []
    # What remains to be written, in reverse: values, and text as (text,).
    waiting: list[Any] = [value]
    while waiting:
        match waiting.pop():
            case (text,) as piece if type(piece) is tuple:
                pieces.append(text)
            case list(items):
                pieces.append("[")
                waiting.append(("]",))
                for position in range(len(items) - 1, -1, -1):
                    waiting.append(items[position])
                    if position:
                        waiting.append((" ",))
            case dict(entries):
                pieces.append("{")
                waiting.append(("}",))
                for position, (key, entry) in reversed(list(enumerate(entries.items()))):
                    name = keyword(key) if isinstance(key, str) else scalar(key)
                    waiting += [entry, (f"{', ' if position else ''}{name} ",)]
            case other:
                pieces.append(scalar(other))
    return "".join(pieces)


def _collected(frame: _Frame) -> Any:
    items = frame.collected
    if frame.opener != "{":
        return items
    if len(items) % 2:
        raise NotEdn(f"the map of line {frame.line} has a key without a value")
    keys = items[::2]
    if not all(type(key) is str or type(key) is int for key in keys):
        keys = [key if type(key) in (str, int) else write(key) for key in keys]
    made = dict(zip(keys, items[1::2], strict=True))
    if len(made) < len(keys):
        raise NotEdn(told(str(next(key for key in keys if keys.count(key) > 1))))
    return made


def _is_atom(token: str) -> bool:
    """Whether a token that is neither bracket nor string is a value, not a comment, tag or discard."""
    return token in SYMBOLIC or token[:1] not in ("", ";", "#")


def _prefix(token: str, line: int) -> _Frame:
    if token == "#_":
        return _Frame(token, line)
    if token.startswith("#:") and len(token) > 2 and token[2] != ":":
        return _Frame("", line, namespace=token[2:])
    if len(token) > 1 and token[1].isalpha():
        return _Frame("", line)
    raise NotEdn(f"{shown(token)} is no tag")


def _qualified(name: str, namespace: str) -> str:
    if name.startswith("_/"):
        return name[2:]
    return name if "/" in name else f"{namespace}/{name}"


def _offset(text: str, start: int, number: int) -> int:
    """Where the token of that number begins."""
    return next(islice(_tokens.finditer(text, start), number, None)).start(1)
