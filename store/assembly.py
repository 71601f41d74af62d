"""The assembly: which parts a node has, what each one holds, and the order in which they are made.

What each part is for, and which others it is given, from the ground up:

- `timers`, `present`: callbacks to come, and the moment the node is in.
- `wire`, `rpc`: sealed datagrams, and requests to and from other nodes over them.
- `replica`: the records on this disk, and changes on their way to it. `buffer`: writes that only memory holds.
- `ownership`: the tokens of the ring that this node answers for.
- `membership`: the history of joins and leaves, and the ring that follows from it.
- `detector`: an opinion about each peer. `background`: slices of work that wait until clients can spare the time.
- `core`: all of the above, given to every part below.
- `load`: how much this node bears. `gossip` (load): what nodes tell each other. `admission` (gossip): joins and leaves.
- `handoff`: hints for replicas that could not be reached. `anti_entropy`: Merkle trees of what this node hosts.
- `tombstone_gc` (handoff): tombstones that may go.
- `cleanup` (handoff): what is stored of keys that are not this node's.
- `sender` (cleanup, handoff): tokens on their way from this node. `receiver` (cleanup): tokens on their way to it.
- `reclaim` (sender, receiver): tokens that nobody holds.
- `reception` (handoff): clients' requests under way.
- `replica_service` (handoff, load): answers to other nodes' reads and writes.

1. A part is given those that it needs, and they are made before it.
2. Two pairs need each other. The detector tells the handoff of a peer that returned, and whoever finds that a peer
   knows another ring tells the gossip. Each pair shares a `Signal`: one side sends it, the other is connected to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from splitbrain.store.actions import Action, Address, Bits, Halt, Instant, Note, Reader, Send
from splitbrain.store.config import Config, Member
from splitbrain.store.coordination.reception import Reception
from splitbrain.store.coordination.replica_service import ReplicaService
from splitbrain.store.gossip.admission import Admission
from splitbrain.store.gossip.gossip import Gossip
from splitbrain.store.gossip.load import Load
from splitbrain.store.membership.failure_detector import Detector
from splitbrain.store.membership.membership import Membership
from splitbrain.store.ownership.cleanup import Cleanup
from splitbrain.store.ownership.receiver import Receiver
from splitbrain.store.ownership.reclaim import Reclaim
from splitbrain.store.ownership.sender import Sender
from splitbrain.store.parts import Core, Signal
from splitbrain.store.repair.anti_entropy import AntiEntropy
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.repair.tombstone_gc import TombstoneGc
from splitbrain.store.scheduling.background import Background
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.storage.replica import Replica
from splitbrain.store.storage.tokens import TokenOwnership
from splitbrain.store.storage.write_buffer import WriteBuffer
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.rejections import Rejections
from splitbrain.store.wire.rpc import Rpc


@dataclass(frozen=True)
class Parts:
    """A node's parts, as the list above has them. out: the actions that they ask for, in order."""

    out: list[Action]
    wire: Wire
    core: Core
    load: Load
    gossip: Gossip
    admission: Admission
    handoff: Handoff
    anti_entropy: AntiEntropy
    tombstone_gc: TombstoneGc
    cleanup: Cleanup
    sender: Sender
    receiver: Receiver
    reclaim: Reclaim
    reception: Reception
    replica_service: ReplicaService


def assemble(
    name: str,
    members: list[Member],
    config: Config,
    *,
    secret: bytes,
    cluster: str,
    reader: Reader,
    bits: Bits,
    seeds: Iterable[Address],
    fresh: bool,
) -> Parts:
    """Make a node's parts. Arguments and errors are those of `node.Node`; members are sorted."""
    out: list[Action] = []
    present, timers = Present(Instant(0.0, 0)), Timers()
    returned, ring_differs = Signal(), Signal()

    def halt(text: str) -> None:
        out.append(Halt(text))

    def note(text: str) -> None:
        out.append(Note(text))

    wire = Wire(secret, cluster, name, bits)
    rpc = Rpc(wire, timers, present, bits, out)
    # Storage: with a write buffer, a crash forgets dots that are out there already.
    replica = Replica(reader, name, config, bits, out, fresh=fresh or config.write_buffer > 0)
    membership = Membership(name, members, config, reader, replica, note)
    core = Core(
        name=name,
        secret=secret,
        config=config,
        membership=membership,
        ownership=TokenOwnership(reader, replica),
        replica=replica,
        buffer=WriteBuffer(config, replica, timers, present),
        rpc=rpc,
        detector=Detector(membership.others(), returned.send, config.gossip_s),
        timers=timers,
        present=present,
        counters=Counter(),
        background=Background(timers, present, config.background_p99_ms / 1000),
        note=note,
        halt=halt,
        sync=ring_differs.send,
    )
    # Membership.
    membership.on_change.append(lambda before: core.detector.watch(membership.others()))
    load = Load(replica, core.background)
    gossip = Gossip(core, seeds, bits)
    gossip.load = lambda: load.report(core.now)
    ring_differs.connect(gossip.sync)
    admission = Admission(core, gossip)
    # Repair.
    handoff = Handoff(core)
    returned.connect(handoff.push)
    anti_entropy = AntiEntropy(core, bits)
    tombstone_gc = TombstoneGc(core, handoff)
    # Ownership.
    cleanup = Cleanup(core, handoff, reader)
    sender = Sender(core, cleanup, reader, drained=lambda: handoff.drained)
    receiver = Receiver(core, cleanup, reader)
    reclaim = Reclaim(core, sender, receiver)
    # Coordination.
    reception = Reception(core, handoff)
    replica_service = ReplicaService(core, handoff, load)
    # What the network brings besides requests.
    rejections = Rejections(lambda to, datagram: out.append(Send(to, datagram)), note)
    rpc.on_answer = core.detector.heard
    rpc.on_refused = lambda reason, datagram, source: rejections.refused(reason, datagram, source, core.now)
    rpc.on_rejection = lambda source, text: rejections.heard(source, text, core.now)
    return Parts(
        out=out,
        wire=wire,
        core=core,
        load=load,
        gossip=gossip,
        admission=admission,
        handoff=handoff,
        anti_entropy=anti_entropy,
        tombstone_gc=tombstone_gc,
        cleanup=cleanup,
        sender=sender,
        receiver=receiver,
        reclaim=reclaim,
        reception=reception,
        replica_service=replica_service,
    )
