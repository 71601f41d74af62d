"""Causal consistency: whoever sees a write also sees everything that the write depends on.

There are two kinds of history. Registers with distinct writes have `write` and `read`, see `distinct_writes`. Versioned
registers have `put` and `read`, and a read may return several siblings, see `writes`.

1. One operation is causally before another (CO) in three cases: the same session invoked it earlier, it is a write that
   the other read or had seen, or other operations relate the two in these ways. A session is a process; one that was
   retired by an `info` has no successor. Operations are `ok` reads, `ok` writes, and `info` writes that were read:
   those happened. Failed writes and unread `info` writes are left out.
2. ThinAirRead: a read returned what no write wrote to that key, or only a failed one. CyclicCO: an operation is
   causally before itself. Either is invalid at every level. After the latter nothing else is searched for.

Registers with distinct writes, where null is what a key holds before any write:

3. WriteCOInitRead: a read returned null, and a write of its key is causally before it. WriteCORead: a read returned a
   value whose write is causally before another write of the key, which is causally before the read.
4. `cc`, causal consistency: none of the above. Some order of the writes before a read explains that read.
5. `ccv`, causal convergence: cc, and one order of all writes explains every read, as under last-write-wins. Conflict
   order (CF): a write causally before a read of its key precedes the write that this read returned. CyclicCF: a cycle
   of CO and CF.
6. `cm`, causal memory: cc, and for each session one order of the writes explains its reads. Happened-before (HB) of a
   session is CO with, as in CF, what the session's reads imply, applied until nothing new follows. CyclicHB: a cycle of
   HB. WriteHBInitRead: a read of the session returned null, and a write of its key happened before it. Both ccv and cm
   are stronger than cc, and neither is stronger than the other. They are searched for only where cc holds.

Versioned registers, at every level, since siblings need no arbitration:

7. A read must cover each write of its key that is causally before it. It covers a write if it returned it, or returned
   one that had seen it, directly or through others. WriteCOInitRead: it doesn't, and returned nothing. WriteCORead: it
   doesn't, and returned something.
8. Where "seen" isn't recorded, coverage is open within the bounds that `version_order` states. A read that may or may
   not cover what it must is unprovable. No read has to cover a failed put. Reading one is a ThinAirRead.

Both kinds:

9. Invalid if a pattern was found. Otherwise unknown if reads are unprovable, if nothing was written (`ok`, or read), if
   nothing was read, or if no key was both written and read: a key that nobody wrote is null to every reader. Otherwise
   valid.

A store with sloppy quorums isn't causally consistent and isn't meant to be: a read that reaches only replicas that
missed a write is enough. This checker shows when it happens.

Sources:

- Bouajjani, Enea, Guerraoui, Hamza, "On verifying causal consistency" (POPL 2017), sections 3 to 5, for the patterns
  and their names.
- Ahamad, Neiger, Burns, Kohli, Hutto, "Causal memory" (Distributed Computing 1995).
- Lloyd and others, "Don't settle for eventual" (SOSP 2011), section 3, for versions and convergence.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.causal import patterns, versioned_rows
from splitbrain.checkers.causal.pattern_finding import Level
from splitbrain.checkers.histories.faults import first_fault
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.distinct_writes import DistinctWrites
from splitbrain.checkers.versions.reads import is_versioned
from splitbrain.checkers.versions.writes import Versions

_NAMES = {"cc": "causally consistent", "ccv": "causally convergent", "cm": "a causal memory"}


@needs_real_time
def check(history: History, *, level: Level = "cc", until_fault: tuple[str, ...] = ()) -> Verdict:
    """Judge whether a history is causally consistent, by the rules above.

    level: "cc", which all definitions share; "ccv" or "cm". Versioned registers have one level only. until_fault:
    families of faults that the promise does not cover, such as "wipe": only reads that were over before the first of
    them began are judged.
    Evidence: `registers` ("versioned" or "distinct writes"), `level`, `reads`, `reads_of_written` (of keys that were
    written), `writes` that happened, `unprovable`, and `patterns`. Those say by name, for each pattern searched for,
    how many reads show it (ThinAirRead, and all called Write...), operations on a cycle (CyclicCO, CyclicCF) or
    sessions (CyclicHB). Raises HistoryError for a value of the wrong shape or an operation that such registers don't
    have. O(n * sessions * log n) time, 4 bytes a session and operation; cm: the same for each session, or a few times
    that.
    """
    if is_versioned(history):
        versions = Versions.of(history).until(first_fault(history, until_fault))
        finding, kind = versioned_rows.judge(versions), "versioned"
    else:
        registers = DistinctWrites.of(history.until(first_fault(history, until_fault)))
        finding, kind = patterns.judge(registers, level), "distinct writes"
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
        found = [f"{pattern} ({number:,})" for pattern, number in finding.counts.items() if number]
        return Verdict.invalid(f"not {_NAMES[level]}: {listing(found)}", finding.witness, **evidence)
    if finding.unprovable:
        whose = "its" if finding.unprovable == 1 else "their"
        reason = f"{count(finding.unprovable, 'read')} can't be judged: what {whose} versions had seen was not recorded"
        return Verdict.unknown(reason, **evidence)
    if not finding.writes or not finding.reads:
        return Verdict.unknown(f"nothing was {'read' if finding.writes else 'written'}", **evidence)
    if not finding.reads_of_written:
        return Verdict.unknown("no key that was written was read", **evidence)
    judged = f"{count(finding.reads, 'read')} of {count(finding.writes, 'write')}"
    return Verdict.valid(f"{judged} {'is' if finding.reads == 1 else 'are'} {_NAMES[level]}", **evidence)
