"""Log patterns: what a node's own log must never say.

1. The logs are given by name ("n1/server.log") with their text; this reads no file. A line ends with a newline, and
   lines are counted from 1.
2. The pattern is a regular expression of RE2's. It matches a line if it is found anywhere in it; lines are matched one
   at a time, so ^ and $ are a line's ends.
3. Invalid if a line matches. Unknown without logs, or without a pattern. Otherwise valid.
4. No line takes longer than its length allows: a hostile node writes lines made for a pattern like (a+)+$, on which
   Python's `re` backtracks for ever. So there is no looking ahead or back, and no reference to a group.

Source: jepsen.checker/log-file-pattern (Jepsen 0.3), which runs grep over the files. RE2: Russ Cox, "Regular Expression
Matching Can Be Simple And Fast" (2007).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_SHOWN = 200  # Characters of a line: some log a whole request in one.
_NONE: Mapping[str, str] = MappingProxyType({})


def check(history: History, *, pattern: str = "", logs: Mapping[str, str] = _NONE) -> Verdict:
    """Search logs for what must not be there.

    pattern: the regular expression. logs: text by name, in the order in which they are searched.
    Evidence: `logs`, `lines`, how many there are; `matching_lines`; `by_log` {name: matching lines} of those that have
    any; `matches`, the first 100 [{log, line, text}], texts cut off at 200 characters.
    Raises ValueError naming the position at which the pattern is no regular expression, or what can't be matched in
    linear time. O(text).
    """
    search = _searching(pattern)
    if not pattern:
        return Verdict.unknown("no pattern was given to look for")
    if not logs:
        return Verdict.unknown("no logs were given to search")
    found: list[dict[str, Any]] = []
    by_log: dict[str, int] = {}
    lines = 0
    for name, text in logs.items():
        # Not splitlines(): that takes a form feed for an end of line too, and then no editor agrees on the number.
        split = text.removesuffix("\n").split("\n") if text else []
        lines += len(split)
        for number, line in enumerate(split, 1):
            shown = line.removesuffix("\r")
            if search(shown):
                by_log[name] = by_log.get(name, 0) + 1
                if len(found) < _LISTED:
                    found.append({"log": name, "line": number, "text": shown[:_SHOWN]})
    matching = sum(by_log.values())
    evidence: dict[str, Any] = {
        "logs": len(logs),
        "lines": lines,
        "matching_lines": matching,
        "by_log": by_log,
        "matches": found,
    }
    if found:
        reason = f"{count(matching, 'line')} of {listing(by_log)} matched {pattern!r:.200}"
        first = found[0]
        text = f"{first['log']}, line {first['line']:,}: {first['text']}"
        return Verdict.invalid(reason, Witness(text, (), {"kind": "log pattern", "matches": found}), **evidence)
    return Verdict.valid(f"no line of {lines:,} in {count(len(logs), 'log')} matched {pattern!r:.200}", **evidence)


def _searching(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is found in a line. Raises ValueError."""
    import re2  # A megabyte that nobody else needs.

    refused = f"log-patterns: {pattern!r:.200}"
    try:
        re.compile(pattern)  # It says where a pattern is wrong; RE2 says only what.
    except (re.error, RecursionError, OverflowError) as problem:
        raise ValueError(f"{refused} is no regular expression: {problem}") from None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(errors="surrogatepass"), options)
    except re2.error as problem:
        why = " ".join(str(each.decode() if isinstance(each, bytes) else each) for each in problem.args)
        raise ValueError(
            f"{refused} can't be matched in linear time ({why}); write it without lookaround and references to groups"
        ) from None
    return lambda line: compiled.search(line.encode(errors="replace")) is not None
