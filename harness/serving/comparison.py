"""Two runs beside each other: what differs in their configuration, their figures and verdicts, and from which event on
their histories do.

1. Settings are compared by name, those inside of others by their full name (`config.conflicts`). What is one run's
   alone differs as well.
2. The first event that differs is found line by line. Lines that read as the same object are the same.
3. A run that lacks a file is compared in what it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, Any

from splitbrain.harness.sealed_files import NoSuchFile, below, opened
from splitbrain.harness.serving.pulse import Pulse
from splitbrain.harness.serving.run_entry import RunEntry
from splitbrain.harness.serving.run_index import Found

LONGEST_BYTES = 1 << 20
"""Of a line that is read whole; a longer one is compared a piece at a time."""
SHOWN = 240
"""Characters of a value, on a page or a terminal."""
_PIECE = 1 << 20
_OF_THEIR_OWN = ("command", "started")
"""What says nothing that the other settings do not."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: its name, and what it is in each of the two; "" where there is none."""

    name: str
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two histories part.

    line: from 1. one, other: the lines, cut; "" where the history has ended. fields: what of the events differs.
    before: the last line that both have.
    """

    line: int
    one: str
    other: str
    fields: tuple[Difference, ...]
    before: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs. settings, verdicts: what differs. parting: None where the histories are the same, or `without_history`
    is not empty: it names those that have none. lines: how many events both have at their beginning.
    """

    one: RunEntry
    other: RunEntry
    settings: tuple[Difference, ...]
    verdicts: tuple[Difference, ...]
    figures: tuple[Difference, ...]
    parting: Parting | None
    lines: int
    without_history: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""

        def rows(differences: tuple[Difference, ...]) -> dict[str, list[str]]:
            return {each.name: [each.one, each.other] for each in differences}

        parting = self.parting
        return {
            "runs": [self.one.id, self.other.id],
            "settings": rows(self.settings),
            "verdicts": rows(self.verdicts),
            "figures": rows(self.figures),
            "same_events": self.lines,
            "first_difference": None
            if parting is None
            else {"line": parting.line, "events": [parting.one, parting.other], "fields": rows(parting.fields)},
            "without_history": list(self.without_history),
        }


def compared(one: tuple[RunEntry, Found], other: tuple[RunEntry, Found]) -> Comparison:
    """Compare two runs. O(bytes of both histories)."""
    entries, places = (one[0], other[0]), (one[1], other[1])
    without = tuple(entry.id for entry, place in zip(entries, places, strict=True) if not _has_history(place))
    parting, lines = (None, 0) if without else _parting(*places)
    return Comparison(
        *entries,
        _differences(*(_settings(place) for place in places)),
        _differences(*({"verdict": entry.verdict, **entry.checkers} for entry in entries)),
        _differences(*(_figures(entry) for entry in entries)),
        parting,
        lines,
        without,
    )


def pulse_of(place: Found) -> Pulse:
    """The pulse of a run's whole history; an empty one if it has none. O(bytes)."""
    pulse = Pulse()
    with suppress(NoSuchFile, OSError), opened(place.root, below(place.folder, "history.jsonl")) as file:
        while piece := file.read(_PIECE):
            pulse.feed(piece)
    return pulse


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[Difference, ...]:
    names = dict.fromkeys((*one, *other))
    pairs = ((name, one.get(name, ""), other.get(name, "")) for name in names)
    return tuple(Difference(name, here, there) for name, here, there in pairs if here != there)


def _settings(place: Found) -> dict[str, str]:
    try:
        with opened(place.root, below(place.folder, "run.json")) as file:
            run = json.loads(file.read())
    except (NoSuchFile, OSError, ValueError, RecursionError):
        return {}
    flat = dict(_flat("", run)) if isinstance(run, dict) else {}
    return {name: value for name, value in flat.items() if name not in _OF_THEIR_OWN}


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list):
        yield name, cut(", ".join(each if isinstance(each, str) else json.dumps(each) for each in value))
    else:
        yield name, cut(value if isinstance(value, str) else json.dumps(value))


def _figures(entry: RunEntry) -> dict[str, str]:
    shown = {
        "operations": None if entry.operations is None else f"{entry.operations:,}",
        "p99": None if entry.p99_ms is None else f"{entry.p99_ms:,.1f} ms",
        "availability": None if entry.ok_rate is None else f"{entry.ok_rate:.2%}",
    }
    return {name: figure for name, figure in shown.items() if figure is not None}


def _has_history(place: Found) -> bool:
    try:
        opened(place.root, below(place.folder, "history.jsonl")).close()
    except NoSuchFile:
        return False
    return True


def _parting(one: Found, other: Found) -> tuple[Parting | None, int]:
    """Where the histories part, and how many lines they share."""
    before = b""
    with (
        opened(one.root, below(one.folder, "history.jsonl")) as here,
        opened(other.root, below(other.folder, "history.jsonl")) as there,
    ):
        number = 0
        for number, (a, b) in enumerate(zip_longest(_lines(here), _lines(there), fillvalue=b""), 1):
            if a != b and (not a or not b or _object(a) != _object(b) or _object(a) is None):
                fields = _differences(_event(a), _event(b)) if a and b else ()
                return Parting(number, _shown(a), _shown(b), fields, _shown(before)), number - 1
            before = a
    return None, number


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(LONGEST_BYTES):
        yield line


def _object(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _event(line: bytes) -> dict[str, str]:
    event = _object(line)
    return dict(_flat("", event)) if isinstance(event, dict) else {"line": _shown(line)}


def _shown(line: bytes) -> str:
    return cut(line.decode("utf-8", "replace").strip())


def cut(text: str) -> str:
    """The text, without its end where it is longer than SHOWN."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
