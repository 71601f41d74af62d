"""Session guarantees: what one client may rely on, whatever replica answers it.

A session is a process. A process whose operation ended as `info` is retired; its successor is a new session, which
nobody promised anything. Two kinds of history: registers with distinct writes (`write` and `read`, see
`distinct_writes`) and versioned registers (`put` and `read`, several siblings at once, see `writes`).

1. Each guarantee demands that a read of a key be not older than certain writes of that key:
   - read your writes: than those the session had itself written before and was told of (`ok`);
   - monotonic reads: than those the session had read before;
   - monotonic writes: if the session has seen a write, than those that that write's session had written before it and
     was told of, to the key that is read now: of this key or another, the later write brings the earlier ones along;
   - writes follow reads: if the session has seen a write, than those that that write's session had read before it,
     of the key that is read now.
   Reads are `ok` reads. A read that is `info` or failed shows nothing and isn't judged. `info` and failed writes are
   promised to nobody: no session has to see its own. Once read, an `info` write is like any other.

Versioned registers:

2. A read is not older than a write if it covers it: returned it, or a write that had (transitively) seen it. It has
   to cover each and every write demanded, as one sibling or another. Seen are all writes covered by the read itself or
   by an earlier read of the session, of whatever key.
3. Where "seen" isn't recorded, or a read or a "seen" names a write that nobody put to that key, what was covered is
   open within the bounds that `version_order` states. Demands that may be met are unprovable and never held against
   the store. Failed puts demand nothing even if they were read: that is a phantom, which `lost-writes` judges.
4. Writes that had seen one another in a circle have no order: unknown (and `causal` calls it invalid).

Registers with distinct writes: one value says nothing of what else the replica had, and a version's place must be
inferred.

5. What is known: a version is older than the one that a session writes after it had written or read the first, of that
   key. That is what a writer who passes on what it had seen makes of it, as Dynamo's clients do. Of keys, each has one
   order of its versions, the same for all sessions (Terry's servers apply conflicting writes in one order; a
   last-write-wins register does), which agrees with what is known.
6. Demanded are then the session's last write of the key; what its last read of the key returned, not counting those
   that returned null; and, for the last two guarantees, of each session whose writes were seen in earlier reads, by its
   latest write that was: its last write of the key before that, and what its last read of the key before that
   returned. What came before these is older, or would be if the session's own reads were monotonic.
7. A demand is violated if the read returned null or a version known to be older. Contradictory are demands none of
   which is, but which no order of the versions can meet together (they lie on a circle of "is older"); and, for writes
   follow reads, writes each of whose sessions had read the other, or its own, before it. Where nothing is violated, and
   contradictory only what several sessions demand together, that rests on the one order which 5 takes for granted (a
   causal memory needs none); the reason then says "contradictory" and not "violated".
8. A stray, a value that no write wrote or only a failed one, has no place in the order: what is demanded of such a
   read is unprovable.

Both:

9. Each guarantee is judged apart: held if something was demanded and all of it was met, violated, or unknown. Invalid
   if one of those asked for is violated or contradictory. Otherwise unknown if a demand is unprovable, or where nothing
   was demanded by any. Otherwise valid: those of which nothing was demanded are named. That each is held by itself does
   not mean that all can be held together: after `w x1; w y1` here and `r y1; w x2` there, no guarantee alone makes x1
   older than x2 for a session that reads x2 and then x1, but together they do (`causal` calls it WriteCORead).

A store with sloppy quorums promises none of these. Dynamo's reads and writes meet R + W > N replicas of whoever
answers first, and a partition or a coordinator that fell back on hinted handoff suffices to break all four: with this
checker one shows when. Writes follow reads of one key it does keep: a put's context covers what the client had read.

Sources: Terry, Demers, Petersen, Spreitzer, Theimer, Welch, "Session guarantees for weakly consistent replicated data"
(PDIS 1994), sections 2 and 3; Viotti and Vukolić, "Consistency in non-transactional distributed storage systems" (ACM
Computing Surveys 2016), section 3.4, whose visibility (read your writes, monotonic reads) and arbitration (monotonic
writes, writes follow reads) rules 1 and 5 combine, since neither can be seen without the other; Dynamo (SOSP 2007).
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.sessions import inferred, recorded
from splitbrain.checkers.sessions.guarantee_finding import GUARANTEES, Guarantee, GuaranteeFinding
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.distinct_writes import DistinctWrites
from splitbrain.checkers.versions.reads import VersionedReads, is_versioned
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.writes import Versions


def check(history: History, *, guarantees: tuple[Guarantee, ...] = GUARANTEES) -> Verdict:
    """Judge the session guarantees of a history by the rules above.

    guarantees: those to judge.
    Evidence: `registers` ("versioned" or "distinct writes"), and `guarantees`: by name its `verdict` ("held",
    "violated", "unknown"), the demands `checked`, `violations`, `contradictory`, `unprovable`, and, of those violated,
    a `witness` in words. The verdict's witness is the first guarantee's that is violated.
    Raises HistoryError for a value of the wrong shape or an operation that such registers don't have.
    O(n log n + n * sessions), times the chains of a key where versioned (`version_order`).
    """
    if is_versioned(history):
        kind = "versioned"
        try:
            reads = VersionedReads.of(Versions.of(history))
        except Circular as problem:
            return Verdict.unknown(f"there is no order to keep: {problem}", registers=kind)
        findings = {name: recorded.judge(reads, name) for name in guarantees}
    else:
        kind = "distinct writes"
        registers = DistinctWrites.of(history)
        findings = {name: inferred.judge(registers, name) for name in guarantees}
    evidence: dict[str, Any] = {"registers": kind, "guarantees": {}}
    for name, finding in findings.items():
        evidence["guarantees"][name] = finding.as_data()
        if finding.witness is not None:
            evidence["guarantees"][name]["witness"] = finding.witness.text
    return _verdict(findings, evidence)


def _verdict(findings: dict[Guarantee, GuaranteeFinding], evidence: dict[str, Any]) -> Verdict:
    broken = {name: finding for name, finding in findings.items() if finding.broken}
    if broken:
        witness = next(iter(broken.values())).witness
        assert witness is not None
        reasons = []
        for word, assumed in (("violated", False), ("contradictory if each key has one order of its versions", True)):
            some = [
                f"{name} ({count(finding.violations + finding.contradictory, 'time')})"
                for name, finding in broken.items()
                if finding.assumed == assumed
            ]
            if some:
                reasons.append(f"{word}: {listing(some)}")
        return Verdict.invalid("; ".join(reasons), witness, **evidence)
    unprovable = sum(finding.unprovable for finding in findings.values())
    if unprovable:
        whose = "that read's" if unprovable == 1 else "those reads'"
        reason = f"{count(unprovable, 'demand')} can't be judged: nobody knows what {whose} versions had seen"
        return Verdict.unknown(reason, **evidence)
    idle = [name for name, finding in findings.items() if not finding.checked]
    if len(idle) == len(findings):
        return Verdict.unknown(
            "nothing was demanded: no session read what it or another had written or read", **evidence
        )
    held = [f"{name} ({finding.checked:,})" for name, finding in findings.items() if finding.checked]
    reason = f"held{', each by itself' if len(findings) > 1 else ''}: {listing(held)}" + (
        f"; put to no test: {listing(idle)}" if idle else ""
    )
    return Verdict.valid(reason, **evidence)
