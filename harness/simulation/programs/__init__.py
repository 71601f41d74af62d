"""Programs written for asyncio, unchanged, on simulated machines.

Begin reading at `asyncio_program`. `process_loop` is a process's event loop, `dispatch` what it finds in the standard
library; `sockets`, the transports and `tcp` are its network.
"""

from splitbrain.harness.simulation.programs.asyncio_program import asyncio_program
from splitbrain.harness.simulation.programs.refusals import NotSimulatedError

__all__ = ["NotSimulatedError", "asyncio_program"]
