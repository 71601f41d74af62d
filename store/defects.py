"""Defects on purpose: well-known mistakes, each turned on by one setting, so that checkers can be shown catching them.

1. A cluster has at most one defect, by name, and only if it is started with `unsafe` (`config`).
2. A defect is one small mistake. Either a condition at the place where the right thing is done turns it on
   (`config.defect == NAME`), or it forces settings on every node, whatever else was given.
3. Every node of a cluster has the same defect, and says so in its log when it starts.

`docs/defects.md` tells which checker catches which; `tests/store/defects` has a run with each, beside one without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Family = Literal[
    "loses acknowledged writes",
    "invents siblings",
    "resurrects",
    "never converges",
    "stale longer than it should",
]

ACK_BEFORE_DURABLE = "ack-before-durable"
HINT_DELETED_BEFORE_ACK = "hint-deleted-before-ack"
ONE_WINNER_REPAIR = "one-winner-repair"
REUSED_DOT = "reused-dot"
LAST_WRITE_WINS = "last-write-wins"
SAME_COORDINATOR_OVERWRITE = "same-coordinator-overwrite"
DETECTOR_EDITS_RING = "detector-edits-ring"
OWNERSHIP_BEFORE_DATA = "ownership-before-data"
RETRY_WITHOUT_DEDUPLICATION = "retry-without-deduplication"
TRUNCATION_AT_2 = "truncation-at-2"
CONTEXT_OF_ONE_SIBLING = "context-of-one-sibling"
PHYSICAL_DELETE = "physical-delete"
EARLY_REAP = "early-reap"
NO_ANTI_ENTROPY = "no-anti-entropy"
MERKLE_IGNORES_CLOCK = "merkle-ignores-clock"
FALLBACK_NOT_FOUND = "fallback-not-found"
NO_READ_REPAIR = "no-read-repair"
BLIND_PUT_REPLACES = "blind-put-replaces"
DELETE_TAKES_SIBLINGS = "delete-takes-siblings"
PUT_COVERS_ALL = "put-covers-all"
NEWEST_SIBLING_ONLY = "newest-sibling-only"
SIBLING_LIMIT = "sibling-limit"
HINT_ACKED_FROM_MEMORY = "hint-acked-from-memory"
HINTS_DIE_WITH_OWNER = "hints-die-with-owner"
ACK_FROM_MEMORY = "ack-from-memory"
FULL_DISK_ACKNOWLEDGED = "full-disk-acknowledged"
MERGE_FORGETS_SEEN = "merge-forgets-seen"
STALLED_PUTS_DONE = "stalled-puts-done"
RESTART_REDOES_RETRIES = "restart-redoes-retries"
QUORUM_OF_ONE = "quorum-of-one"
SIBLINGS_MAX = 3
"""Siblings that `SIBLING_LIMIT` keeps of a key."""


@dataclass(frozen=True)
class Defect:
    """One mistake.

    wrong: what it does, in one sentence. seen: where the mistake is known from. forces: settings that it consists of,
    or that it can't do without.
    """

    name: str
    family: Family
    wrong: str
    seen: str
    forces: Mapping[str, object] = field(default_factory=dict)


_ALL = (
    Defect(
        ACK_BEFORE_DURABLE,
        "loses acknowledged writes",
        "A node says that a write is durable as soon as it has handed it to its disk, so a crash takes it back.",
        "Elasticsearch 1.5 synced its log every five seconds and acknowledged at once (Jepsen, 2015).",
    ),
    Defect(
        HINT_DELETED_BEFORE_ACK,
        "loses acknowledged writes",
        "A stand-in deletes a hint when it sends it, not when the owner has it durably.",
        "Dynamo, section 4.6, deletes only once the transfer has succeeded.",
    ),
    Defect(
        ONE_WINNER_REPAIR,
        "loses acknowledged writes",
        "Read repair pushes the newest version instead of the merged set, and so destroys its siblings.",
        'Dynamo, section 5, "updates those nodes with the latest version", taken at its word.',
    ),
    Defect(
        REUSED_DOT,
        "loses acknowledged writes",
        "A node that lost its disk makes dots under its old name again, and replicas take new writes for known ones.",
        "Riak issue 679.",
    ),
    Defect(
        LAST_WRITE_WINS,
        "loses acknowledged writes",
        "Of any two versions the one with the later wall clock wins, even over a write that has seen it.",
        "Riak and Cassandra under clock skew and partitions (Jepsen, 2013).",
        {"conflicts": "lww", "lww_clock": "wall"},
    ),
    Defect(
        SAME_COORDINATOR_OVERWRITE,
        "loses acknowledged writes",
        "Clocks count by server: of two concurrent puts through one coordinator one silently replaces the other.",
        "Dynamo, section 4.4, as written; Dotted Version Vectors (2010) were made against it.",
        {"clocks": "server-id"},
    ),
    Defect(
        DETECTOR_EDITS_RING,
        "loses acknowledged writes",
        "A node that suspects a peer takes it off the ring, so two sides of a partition disagree on who holds a key.",
        "Dynamo, section 4.8.1, asks for an explicit leave: an outage rarely means that a node is gone for good.",
    ),
    Defect(
        OWNERSHIP_BEFORE_DATA,
        "loses acknowledged writes",
        "A node that joins answers for its partitions before it has their keys, and the old owner deletes those.",
        "Riak before 1.0 moved ownership with the join and the data after it.",
    ),
    Defect(
        RETRY_WITHOUT_DEDUPLICATION,
        "invents siblings",
        "A put tried again at another coordinator becomes a second version, beside what has replaced the first.",
        "Any store whose versions don't carry the id of their request.",
    ),
    Defect(
        TRUNCATION_AT_2,
        "invents siblings",
        "Clocks keep two entries and forget the oldest, so a version no longer descends from what it replaced.",
        "Dynamo, section 4.4, cuts at ten entries; Riak's pruning has the same effect.",
        {"clock_limit": 2},
    ),
    Defect(
        CONTEXT_OF_ONE_SIBLING,
        "invents siblings",
        "A get returns all siblings with the context of only one, so a merge leaves the others standing beside it.",
        "Clients of Riak that put under one sibling's vector clock.",
    ),
    Defect(
        PHYSICAL_DELETE,
        "resurrects",
        "A delete removes the record and leaves no tombstone, so a replica that missed it brings the value back.",
        "Riak with delete_mode = immediate.",
    ),
    Defect(
        EARLY_REAP,
        "resurrects",
        "Tombstones are reaped while a replica that missed the delete is away.",
        "Cassandra, where a node is away for longer than gc_grace_seconds.",
    ),
    Defect(
        NO_ANTI_ENTROPY,
        "never converges",
        "Neither anti-entropy nor read repair runs, so what a replica lost stays lost there.",
        "Riak before 1.3 had no anti-entropy, and its read repair never met what nobody read.",
        {"anti_entropy_s": 0.0, "read_repair": "off"},
    ),
    Defect(
        MERKLE_IGNORES_CLOCK,
        "never converges",
        "Merkle trees hash values without clocks, so replicas that hold one value under two clocks compare as equal.",
        "Dynamo, section 4.7, doesn't say what the hash of a key covers.",
    ),
    Defect(
        FALLBACK_NOT_FOUND,
        "stale longer than it should",
        'A stand-in that holds nothing counts toward R, so its quick "not found" wins over homes that have the key.',
        "Riak with r=1 and notfound_ok.",
    ),
    Defect(
        NO_READ_REPAIR,
        "stale longer than it should",
        "A get that finds a stale replica leaves it stale.",
        "Dynamo, section 5, relieves anti-entropy by repairing on the way.",
        {"read_repair": "off"},
    ),
    Defect(
        BLIND_PUT_REPLACES,
        "loses acknowledged writes",
        "A put without a context replaces what is there, instead of becoming a sibling of it.",
        "Riak with allow_mult = false, its default before 2.0 (Jepsen, 2013).",
    ),
    Defect(
        DELETE_TAKES_SIBLINGS,
        "loses acknowledged writes",
        "A delete removes all siblings, those that its context does not cover too.",
        "A delete without a vector clock in Riak, against which its documentation warns.",
    ),
    Defect(
        PUT_COVERS_ALL,
        "loses acknowledged writes",
        "The context of a put covers siblings that it did not replace, so the client's next put removes them unseen.",
        "Version vectors by server, which Dotted Version Vectors (2010) were made against.",
    ),
    Defect(
        NEWEST_SIBLING_ONLY,
        "loses acknowledged writes",
        "A get returns the newest sibling only, with the context of all, so a put after it removes the others unseen.",
        "Timestamp based reconciliation, which Dynamo offers in section 6.",
    ),
    Defect(
        SIBLING_LIMIT,
        "loses acknowledged writes",
        "A replica keeps three siblings of a key, and drops the oldest beyond them.",
        "Riak 2.0's max_siblings, which refuses such a write for that reason.",
    ),
    Defect(
        HINT_ACKED_FROM_MEMORY,
        "loses acknowledged writes",
        "A stand-in says that a hint is durable while it has it in memory only.",
        "Voldemort, where the store of slops may be one in memory.",
    ),
    Defect(
        HINTS_DIE_WITH_OWNER,
        "loses acknowledged writes",
        "A stand-in throws the hints of a node away when that node leaves, instead of giving them to the new owners.",
        "Cassandra deletes the hints for a node that is removed.",
    ),
    Defect(
        ACK_FROM_MEMORY,
        "loses acknowledged writes",
        "Writes are acknowledged from the write buffer, with no copy on any disk.",
        "Dynamo, section 6.1, which keeps one durable copy for that reason; Redis with appendfsync everysec.",
        {"write_buffer": 1000, "dw": 0},
    ),
    Defect(
        FULL_DISK_ACKNOWLEDGED,
        "loses acknowledged writes",
        "A write that meets a full disk is acknowledged all the same.",
        'Databases that go on after a failed sync: "Can Applications Recover from fsync Failures?" (ATC 2020).',
    ),
    Defect(
        MERGE_FORGETS_SEEN,
        "invents siblings",
        "A merge of two replicas keeps every version that either has, those too that the other knows to be replaced.",
        "Sets that grow only, taken for sets with removal (Shapiro et al., 2011).",
    ),
    Defect(
        STALLED_PUTS_DONE,
        "invents siblings",
        "A node that did not run for a while does the puts that waited for it, which clients have taken elsewhere.",
        "Processes that pause and go on with what they were about to do (Kleppmann, 2016, on locks).",
    ),
    Defect(
        RESTART_REDOES_RETRIES,
        "invents siblings",
        "A node that has just started does a put that is tried again, though it may have done it before.",
        "Answers to requests that are kept in memory only, as in a session table that a snapshot leaves out.",
    ),
    Defect(
        QUORUM_OF_ONE,
        "stale longer than it should",
        "A get is answered by the first replica, whatever R is.",
        "etcd 0.4 and Consul read from one node without asking the others (Jepsen, 2014).",
        {"r": 1},
    ),
)
DEFECTS: Mapping[str, Defect] = {defect.name: defect for defect in _ALL}
