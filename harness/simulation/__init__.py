"""Simulation: virtual time, a network, disks and machines, all from one seed.

run_simulated(main)    runs `await main()` on a VirtualLoop; in it, SimulatedEnvironment is the place to run
"""

from harness.simulation.environment import SimulatedEnvironment
from harness.simulation.loop import DeadlockError, VirtualLoop, run_simulated
from harness.simulation.network import LinkConditions

__all__ = ["DeadlockError", "LinkConditions", "SimulatedEnvironment", "VirtualLoop", "run_simulated"]
