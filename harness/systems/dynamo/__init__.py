"""The reference store as a system under test.

`store_system` starts it on machines of any kind and connects clients to it. `simulated_node` runs its core in
simulation. `store_image` says what a node in a container is made of. The entry point names `SYSTEM`.
"""

from splitbrain.harness.systems.dynamo.store_system import SYSTEM, Dynamo

__all__ = ["SYSTEM", "Dynamo"]
