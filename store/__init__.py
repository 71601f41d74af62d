"""A faithful Dynamo (DeCandia et al., SOSP 2007) over UDP, small enough to read.

Begin with `node.Node`, the state machine that is the whole store. `server` is the shell that gives it a socket, a clock
and a disk; `connecting` is how to talk to it, and `blocking` for scripts. Each of the paper's mechanisms has a file of
its name:

    versions/      what a value is: dots, clocks, contexts, resolvers (section 4.4).
    ring/          which nodes hold a key (sections 4.2, 4.3, 6.2).
    storage/       what this node has on disk, and which tokens it holds (sections 5, 6.1).
    membership/    who is in the ring, and which nodes answer (section 4.8).
    gossip/        how changes and heartbeats spread; joins and leaves (sections 4.8.1, 4.8.2).
    coordination/  gets and puts (sections 4.5, 5, 6.4).
    repair/        how replicas converge (sections 4.6, 4.7, 5).
    ownership/     how tokens move between nodes (section 4.9).
    wire/          datagrams, messages, requests and replies.
    scheduling/    timers, and background work that yields to clients (section 6.5).
    cli/           the command `splitbrain-store`.

docs/dynamo.md lists the files by the paper's sections. The package exports what a user of the store needs.
"""

from splitbrain.store.blocking import BlockingClient, connect_blocking
from splitbrain.store.client import Client, GetResult
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.connecting import connect
from splitbrain.store.errors import StoreError
from splitbrain.store.node import Node
from splitbrain.store.versions.crdts import GrowSet, ORSet, PNCounter
from splitbrain.store.versions.resolvers import Resolved, Resolver, Sibling, crdt, lww, merge, siblings

# fmt: off
__all__ = [
    "BlockingClient", "Client", "ClientCore", "Config", "ConfigError", "GetResult", "GrowSet", "Member", "Node",
    "ORSet", "PNCounter", "Resolved", "Resolver", "Sibling", "StoreError", "connect", "connect_blocking", "crdt", "lww",
    "merge", "siblings",
]
# fmt: on
