"""Toys: the simplest systems that keep what the interfaces promise, each with well-known mistakes on demand.

`toy_objects` is what the primary keeps: registers, queues, a log, a bank, locks. `toy_node` is the protocol between
clients, nodes and the primary. `toy_defects` lists the mistakes. `toy_client` is the connection, `toy_system` starts
nodes; `simulated_toy` and `toy_server` run a node in simulation and on a real machine. Begin reading at `toy_node`.
"""

from splitbrain.harness.systems.toys.toy_system import SYSTEM, Toys

__all__ = ["SYSTEM", "Toys"]
