"""Simulation: virtual time, a network, disks and machines, all from one seed.

`run_simulated(main)` runs `await main()` on a VirtualLoop, in which SimulatedEnvironment is the place to run. Begin
reading at `loop`. `programs` runs what was written for asyncio, unchanged. `cluster` runs nodes without that loop,
steered by hand: for tests and benchmarks.
"""

from splitbrain.harness.simulation.loop import DeadlockError, VirtualLoop, run_simulated
from splitbrain.harness.simulation.network import LinkConditions
from splitbrain.harness.simulation.simulated_environment import SimulatedEnvironment

__all__ = ["DeadlockError", "LinkConditions", "SimulatedEnvironment", "VirtualLoop", "run_simulated"]
