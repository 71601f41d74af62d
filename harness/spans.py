"""Spans of time as people write them: `90s`, `30m`, `8h`, or a number of seconds."""

from __future__ import annotations

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float | None:
    """The span in seconds; None if it is none.

    >>> seconds_of("30m"), seconds_of("90"), seconds_of("soon"), seconds_of("-1s")
    (1800.0, 90.0, None, None)
    """
    text = text.strip()
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        seconds = float(number) * _SECONDS[unit]
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
