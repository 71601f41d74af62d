"""What a process prints and logs: it goes to its machine's log.

1. `print` to standard output or error, and records of `logging` that a stream handler would write, are lines of the
   machine's log, in order.
2. Handlers that were there before, but for plain stream handlers, are the harness's own (a test runner's, say). They
   see no record of a process, and don't change where it goes.
"""

from __future__ import annotations

import builtins
import logging
import sys
from typing import Any

from splitbrain.harness.simulation.programs.by_process import Function, by_process, running_process
from splitbrain.harness.simulation.programs.process_loop import ProcessLoop


def _print(real: Function) -> Function:
    def inside(
        process: ProcessLoop, *values: Any, sep: Any = None, end: Any = None, file: Any = None, **more: Any
    ) -> None:
        if file is None or file in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            process.log((" " if sep is None else sep).join(map(str, values)))
        else:
            real(*values, sep=sep, end=end, file=file, **more)

    return by_process(real, inside)


def _emit(real: Function) -> Function:
    """`StreamHandler.emit`."""

    def emit(self: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
        process = running_process()
        if process is None or isinstance(self, logging.FileHandler):
            real(self, record)
        else:
            process.log(self.format(record))

    return emit


def _call_handlers(real: Function) -> Function:
    """`Logger.callHandlers`, without the harness's."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    foreign = {id(handler) for logger in loggers for handler in getattr(logger, "handlers", ())}

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if running_process() is None:
            real(self, record)
            return
        found = False
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in logger.handlers:
                if type(handler) is logging.StreamHandler or id(handler) not in foreign:
                    found = True
                    if record.levelno >= handler.level:
                        handler.handle(record)
            logger = logger.parent if logger.propagate else None
        if not found and logging.lastResort is not None and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)

    return call_handlers


def output() -> list[tuple[Any, str, Any]]:
    """Who holds it, by what name, and what stands in for it."""
    return [
        (builtins, "print", _print(builtins.print)),
        (logging.StreamHandler, "emit", _emit(logging.StreamHandler.emit)),
        (logging.Logger, "callHandlers", _call_handlers(logging.Logger.callHandlers)),
    ]
