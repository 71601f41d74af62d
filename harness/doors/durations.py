"""Durations on the command line: `90s`, `30m`, `8h`, or a number of seconds."""

from __future__ import annotations

from typing import Any

import click

from splitbrain.harness.spans import seconds_of


class Duration(click.ParamType[float]):
    """A duration, in seconds once it is read."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no duration; write it as 90s, 30m or 8h", param, ctx)
        return seconds
