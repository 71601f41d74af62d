"""A faithful Dynamo (DeCandia et al., SOSP 2007) over UDP, small enough to read.

Start with `node.Node`, the state machine that is the whole store; `server` is the shell that gives it a socket, a
clock and a disk, and `client` is how to talk to it. Each of the paper's mechanisms is in a file of its name: `ring`,
`versions`, `coordinator`, `hinted_handoff`, `repair`, `merkle`, `anti_entropy`, `membership`, `gossip`, `sender`, `failure_detector`,
`write_buffer`, ... (docs/dynamo.md lists them by section).
"""

from splitbrain.store.client import Client, ClientCore, GetResult
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.errors import StoreError
from splitbrain.store.node import Node

__all__ = ["Client", "ClientCore", "Config", "ConfigError", "GetResult", "Member", "Node", "StoreError"]
