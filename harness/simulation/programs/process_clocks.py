"""A process's clocks and calendar: `time` and `datetime` as its machine shows them.

1. The monotonic clocks are the machine's, and the calendar's is wrong by as much as the machine's is.
2. `datetime` and `date` are classes in C, whose methods can't be replaced. So the classes are; what they make are
   instances of the real ones, and those are their instances.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

from splitbrain.harness.simulation.programs.by_process import Function, by_process, running_process
from splitbrain.harness.simulation.programs.process_loop import ProcessLoop

_DATETIME, _DATE = datetime.datetime, datetime.date
_LOCALTIME = time.localtime


def wall_s(process: ProcessLoop) -> float:
    """Seconds since 1970."""
    return process.machine.wall_ns() / 1e9


def _monotonic_ns(process: ProcessLoop) -> int:
    return round(process.machine.now() * 1e9)


def _at_moment(real: Function) -> Function:
    """A function of a moment, which is the present one if none is given."""
    return by_process(real, lambda process, secs=None: real(wall_s(process) if secs is None else secs))


def _at_fields(real: Function, before: int) -> Function:
    """The same of a moment's fields, before which come so many arguments."""

    def inside(process: ProcessLoop, *args: Any) -> Any:
        return real(*args) if len(args) > before else real(*args, _LOCALTIME(wall_s(process)))

    return by_process(real, inside)


class _OfReal(type):
    """The class of a class that has another one's instances, which is its first base."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__bases__[0])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__bases__[0])


class MachineDatetime(datetime.datetime, metaclass=_OfReal):
    """`datetime.datetime`, which knows the machine's present."""

    def __new__(cls, *args: Any, **options: Any) -> Any:
        return _DATETIME(*args, **options)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        process = running_process()
        return _DATETIME.now(tz) if process is None else _DATETIME.fromtimestamp(wall_s(process), tz)

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


class MachineDate(datetime.date, metaclass=_OfReal):
    """`datetime.date`, which knows the machine's present."""

    def __new__(cls, *args: Any, **options: Any) -> Any:
        return _DATE(*args, **options)

    @classmethod
    def today(cls) -> Any:
        return MachineDatetime.now().date()


def clocks() -> list[tuple[Any, str, Any]]:
    """Who holds it, by what name, and what stands in for it."""
    readings: dict[str, Callable[[ProcessLoop], Any]] = {
        "time": wall_s,
        "time_ns": lambda process: process.machine.wall_ns(),
        "monotonic": lambda process: process.machine.now(),
        "monotonic_ns": _monotonic_ns,
        "perf_counter": lambda process: process.machine.now(),
        "perf_counter_ns": _monotonic_ns,
        "process_time": lambda process: process.machine.now(),
        "process_time_ns": _monotonic_ns,
    }
    return [
        *((time, name, by_process(getattr(time, name), inside)) for name, inside in readings.items()),
        *((time, name, _at_moment(getattr(time, name))) for name in ("localtime", "gmtime", "ctime")),
        (time, "asctime", _at_fields(time.asctime, 0)),
        (time, "strftime", _at_fields(time.strftime, 1)),
        (datetime, "datetime", MachineDatetime),
        (datetime, "date", MachineDate),
    ]
