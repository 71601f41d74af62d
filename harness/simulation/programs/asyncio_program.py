"""Any asyncio program as a simulated one: `Program(..., simulate=asyncio_program(main))`.

1. The program is unchanged: its sockets, clocks, randomness, log and files are the machine's (`process_loop`,
   `dispatch`, `simulated_files`).
2. Killed, it is gone at once: no task goes on, no finally block runs, nothing is sent. Paused, it stands still.
3. It ends as under `asyncio.run`: when `main` returns, its other tasks are cancelled. An exception out of `main`, and
   SystemExit out of anything, end it too, and are in its log.
4. All processes of a run share one Python: what a module keeps in its globals, every node sees, and it survives kills.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from splitbrain.harness.simulation.programs import dispatch
from splitbrain.harness.simulation.programs.process_loop import ProcessLoop, without_addresses
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine


def asyncio_program(main: Callable[..., Awaitable[Any]], *args: Any) -> Callable[[SimulatedMachine], AsyncioProcess]:
    """What `Program.simulate` wants, from the coroutine function that `asyncio.run` would be given.

    main: called with `args` at each start.
    """
    return lambda machine: AsyncioProcess(machine, main, args)


class AsyncioProcess:
    """One life of the program on a machine. Implements `environment.SimulatedProcess`."""

    def __init__(self, machine: SimulatedMachine, main: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._machine = machine
        self._main = main
        self._args = args
        self._loop: ProcessLoop | None = None
        self._exited = False

    def start(self) -> None:
        """Begin to run it."""
        # Last in, first out: should nobody kill it, it is dead before the standard library is itself again.
        self._machine.loop.at_close(dispatch.install())
        self._machine.loop.at_close(self.stop)
        self._loop = ProcessLoop(self._machine, self._ended)
        self._loop.begin(self._main, self._args)

    def stop(self) -> None:
        """It is dead."""
        if self._loop is None:
            return
        if self._exited:
            self._machine.files.leave()
        else:
            self._machine.files.crash()
        self._machine.loop.at_close(self._loop.die())
        self._loop = None

    def _ended(self, problem: BaseException | None) -> None:
        assert self._loop is not None
        self._exited = True
        self._loop.exit()
        match problem:
            case None:
                self._machine.exit("exited")
            case SystemExit():
                self._machine.exit(f"exited: {problem.code}")
            case asyncio.CancelledError():
                self._machine.exit("exited: main was cancelled")
            case _:
                text = "".join(traceback.format_exception(problem)).rstrip()
                self._machine.exit(f"died:\n{without_addresses(text)}")
