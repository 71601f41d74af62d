"""The settings of the reference store with which its promises hold, for runs that draw them.

1. R + W > N throughout: the workloads that judge staleness and sessions rest on it. Many choices have one durable copy
   of two: what more of them would make up for shows there. With one copy of one (`SINGLE`) nothing can make up for it.
2. Siblings are kept and clocks are not cut. What `conflicts=lww`, `clocks=server-id` or a `clock_limit` lose is lost
   by choice, and finding it is no finding.
3. A setting that is a mistake on purpose (`store.defects`) is none of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FRAGILE = {"n": "2", "r": "2", "w": "1"}
SINGLE = {"n": "1", "r": "1", "w": "1", "sloppy": "true"}
"""One copy: whatever handles it wrongly loses it."""
REAPING = {"n": "3", "r": "2", "w": "2", "read_repair": "off", "anti_entropy_s": "5", "tombstone_grace_s": "0.5"}
"""Replicas meet by anti-entropy alone, and deletes are soon forgotten."""
SPACE: Sequence[Sequence[Mapping[str, str]]] = (
    (
        FRAGILE,
        SINGLE,
        SINGLE,
        {"n": "4", "r": "2", "w": "3"},
        SINGLE,
        {"n": "3", "r": "1", "w": "3", "sloppy": "true"},
        SINGLE,
        {"n": "2", "r": "1", "w": "2", "sloppy": "true"},
        REAPING,
        {"n": "5", "r": "3", "w": "3"},
        FRAGILE,
        {"n": "3", "r": "3", "w": "1"},
    ),
    ({}, {}, {"strategy": "1"}, {"strategy": "2"}),
    ({}, {}, {"sloppy": "false"}),
    ({}, {"read_repair": "blocking"}, {"read_repair": "off"}),
    ({}, {"anti_entropy_s": "1"}, {"anti_entropy_s": "5"}),
    ({}, {}, {"gossip_s": "0.2"}),
    ({}, {}, {"tombstone_grace_s": "0.5"}, {"tombstone_grace_s": "3"}),
    ({}, {}, {"request_timeout_s": "0.3"}),
    ({}, {}, {"partitions": "8"}, {"partitions": "256"}),
    ({}, {}, {"write_buffer": "100", "flush_s": "0.2", "dw": "2"}),
)

MARKS = (
    ("hints_kept", "hints_delivered"),
    ("hints_kept",),
    ("puts_begun",),
    ("read_repairs", "keys_moved", "tokens_given", "keys_received"),
)
"""Counters of a node whose growth is worth a strike at that moment: `docs/store.md` says what they count."""
