"""Causal consistency: whoever sees something sees what it followed from.

Two kinds of history: registers with distinct writes (`write` and `read`, see `distinct_writes`) and versioned
registers (`put` and `read`, several siblings at once, see `writes`).

1. An operation is causally before another (CO) if its session (its process: one that was retired by an `info` has no
   successor) invoked it earlier, if it is a write that the other read, or had seen, or through others so related.
   Operations are `ok` reads, `ok` writes, and `info` writes that were read: those happened. Failed and unread `info`
   writes bind nobody.
2. ThinAirRead: a read returned what no write wrote to that key, or only a failed one. CyclicCO: an operation is
   causally before itself. Either is invalid at every level, and after the latter nothing else is looked for.

Registers with distinct writes, null being what a key holds before any write:

3. WriteCOInitRead: a read returned null, and a write of its key is causally before it. WriteCORead: a read returned a
   value whose write is causally before another write of the key, and that before the read.
4. `cc`, causal consistency: none of the above. Each read alone can be explained by some order of the writes before it.
5. `ccv`, causal convergence: moreover, one order of all writes explains every read, as where the last write wins.
   Conflict order (CF): a write causally before a read of its key comes before the one that this read returned.
   CyclicCF: a circle of CO and CF.
6. `cm`, causal memory: moreover, each session's reads are explained by one order, its own. Happened before (HB) of a
   session is CO and, as CF, what the session's reads say, where what follows counts as before in turn. CyclicHB: a
   circle of it. WriteHBInitRead: a read of the session returned null, and a write of its key happened so before it.
   ccv and cm are both stronger than cc, and neither than the other. They are looked for only where cc holds.

Versioned registers, whatever the level, since siblings need no arbitration:

7. A read must cover each write of its key that is causally before it: return it, or a write that had (transitively)
   seen it. WriteCOInitRead: it doesn't, and returned nothing; WriteCORead: it doesn't, and returned something.
8. Where "seen" isn't recorded, what was covered is open within the bounds that `version_order` states. A read that
   may or may not cover what it must is unprovable. A failed put needs to be covered by nobody; that it was read is 2.

Both:

9. Invalid if a pattern was found. Otherwise unknown if reads are unprovable, if nothing was written (`ok`, or read), if
   nothing was read, or if no key was both: what nobody wrote is null to everybody. Otherwise valid.

A store with sloppy quorums isn't causally consistent, nor meant to be: a read that meets only replicas that missed a
write is enough. With this checker one shows when it happens.

Sources: Bouajjani, Enea, Guerraoui, Hamza, "On verifying causal consistency" (POPL 2017), sections 3 to 5, whose names
and patterns these are; Ahamad, Neiger, Burns, Kohli, Hutto, "Causal memory" (Distributed Computing 1995); Lloyd and
others, "Don't settle for eventual" (SOSP 2011), section 3, for versions and convergence.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.causal import patterns, versioned_rows
from splitbrain.checkers.causal.pattern_finding import Level
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.distinct_writes import DistinctWrites
from splitbrain.checkers.versions.reads import is_versioned

_NAMES = {"cc": "causally consistent", "ccv": "causally convergent", "cm": "a causal memory"}


def check(history: History, *, level: Level = "cc") -> Verdict:
    """Judge whether a history is causally consistent, by the rules above.

    level: "cc", what all definitions agree on; "ccv" or "cm". Of versioned registers there is but one.
    Evidence: `registers` ("versioned" or "distinct writes"), `level`, `reads`, `reads_of_written` (of keys that were
    written), `writes` that happened, `unprovable`, and `patterns`: by name of those looked for, how many reads
    (ThinAirRead, and all called Write...), operations on a circle (CyclicCO, CyclicCF) or sessions (CyclicHB) show it.
    Raises HistoryError for a value of the wrong shape or an operation that such registers don't have.
    O(n * sessions * log n) time, 4 bytes a session and operation; cm: the same for each session, or a few times that.
    """
    if is_versioned(history):
        finding, kind = versioned_rows.judge(history), "versioned"
    else:
        finding, kind = patterns.judge(DistinctWrites.of(history), level), "distinct writes"
    evidence: dict[str, Any] = {
        "registers": kind,
        "level": level,
        "reads": finding.reads,
        "reads_of_written": finding.reads_of_written,
        "writes": finding.writes,
        "unprovable": finding.unprovable,
        "patterns": dict(finding.counts),
    }
    if finding.found:
        assert finding.witness is not None
        told = [f"{pattern} ({number:,})" for pattern, number in finding.counts.items() if number]
        return Verdict.invalid(f"not {_NAMES[level]}: {listing(told)}", finding.witness, **evidence)
    if finding.unprovable:
        whose = "its" if finding.unprovable == 1 else "their"
        reason = f"{count(finding.unprovable, 'read')} can't be judged: nobody knows what {whose} versions had seen"
        return Verdict.unknown(reason, **evidence)
    if not finding.writes or not finding.reads:
        return Verdict.unknown(f"nothing was {'read' if finding.writes else 'written'}", **evidence)
    if not finding.reads_of_written:
        return Verdict.unknown("no key that was written was read", **evidence)
    told_of = f"{count(finding.reads, 'read')} of {count(finding.writes, 'write')}"
    return Verdict.valid(f"{told_of} {'is' if finding.reads == 1 else 'are'} {_NAMES[level]}", **evidence)
