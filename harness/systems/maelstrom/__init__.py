"""Maelstrom: any program that speaks Maelstrom's JSON over standard input and output, as a system under test.

`maelstrom_system` starts nodes, `maelstrom_client` is the connection, `rpc` a request and its answer. `error_codes` is
what a node may refuse with. `kv_services` and `service_hosts` are the services that nodes may use.
"""

from splitbrain.harness.systems.maelstrom.maelstrom_system import SYSTEM, Maelstrom

__all__ = ["SYSTEM", "Maelstrom"]
