"""Session guarantees: what one client may rely on, whichever replica answers.

A session is a process. A process whose operation ended as `info` is retired. Its successor is a new session with no
guarantee about the old one. There are two kinds of history. Registers with distinct writes have `write` and `read`, see
`distinct_writes`. Versioned registers have `put` and `read`, and a read may return several siblings, see `writes`.

1. Each guarantee demands that a read of a key is not older than certain writes of that key:
   - read your writes: the writes that the session had acknowledged (`ok`) before;
   - monotonic reads: the writes that the session had read before;
   - monotonic writes: when the session has seen a write, the earlier acknowledged writes of that write's session. The
     seen write may be of any key: the later write brings the earlier ones along;
   - writes follow reads: when the session has seen a write, the writes that that write's session had read before it.
   Reads are `ok` reads. A read that is `info` or failed shows nothing and isn't judged. `info` and failed writes are
   not demanded of their own session. Once read, an `info` write is like any other.

Versioned registers:

2. A read is not older than a write that it covers. It covers a write if it returned it, or returned one that had seen
   it, directly or through others. It must cover every write demanded, by one sibling or another. A session has seen all
   writes that this read or an earlier read of the session covers, of any key.
3. What a write had seen may be unrecorded, or a read or a "seen" may name a write that nobody put to that key. Coverage
   is then open within the bounds that `version_order` states. Demands that may be met are unprovable and never held
   against the store. Failed puts demand nothing even if they were read; `lost-writes` reports those as phantoms.
4. Writes that had seen one another in a cycle have no order: unknown. (`causal` calls it invalid.)

Registers with distinct writes return one value, which doesn't say what else the replica had. A version's place must be
inferred.

5. A version is known to be older than one that a session wrote after writing or reading the first, for the same key.
   That holds where writers pass on what they had seen, as Dynamo's clients do. Each key has one order of its versions,
   the same for all sessions. Terry's servers apply conflicting writes in one order, and so does a last-write-wins
   register. This order agrees with what is known.
6. The demands are then as follows. For read your writes, the session's last write of the key. For monotonic reads, what
   its last read of the key returned, except null. For the last two guarantees, take each session whose writes were seen
   in earlier reads, and its latest write that was seen. Demanded is that session's last write of the key before it, and
   what its last read of the key before it returned. Anything before these is older, or would be if the session's own
   reads were monotonic.
7. A demand is violated if the read returned null or a version known to be older. Other demands are contradictory if no
   order of the versions can meet them together, because they lie on a cycle of "is older". For writes follow reads,
   writes are also contradictory if each one's session had read the other, or its own, before it. If nothing is
   violated, and only demands of several sessions contradict one another, the finding rests on the one order that rule 5
   assumes. A causal memory needs no such order. The reason then says "contradictory" and not "violated".
8. A stray, a value that no write wrote or only a failed one, has no place in the order. Demands of such a read are
   unprovable.

Both kinds:

9. Each guarantee is judged by itself: held if something was demanded and all of it was met, violated, or unknown. The
   verdict is invalid if a guarantee asked for is violated or contradictory. Otherwise it is unknown if a demand is
   unprovable, or if nothing was demanded at all. Otherwise it is valid, and names the guarantees that were not tested.
   Guarantees that hold one by one need not hold together. After `w x1; w y1` here and `r y1; w x2` there, no guarantee
   alone makes x1 older than x2 for a session that reads x2 and then x1. Together they do: `causal` calls it
   WriteCORead.

A store with sloppy quorums promises none of these. In Dynamo the first R or W of N replicas to answer decide. A
partition, or a coordinator that fell back on hinted handoff, suffices to break all four; this checker shows when.
Dynamo does keep writes follow reads of one key: a put's context covers what the client had read.

Sources:

- Terry, Demers, Petersen, Spreitzer, Theimer, Welch, "Session guarantees for weakly consistent replicated data" (PDIS
  1994), sections 2 and 3.
- Viotti and Vukolić, "Consistency in non-transactional distributed storage systems" (ACM Computing Surveys 2016),
  section 3.4. Their visibility covers read your writes and monotonic reads, their arbitration monotonic writes and
  writes follow reads. Rules 1 and 5 combine the two, since neither can be observed without the other.
- Dynamo (SOSP 2007).
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.faults import first_fault
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.sessions import inferred, recorded
from splitbrain.checkers.sessions.guarantee_finding import GUARANTEES, Guarantee, GuaranteeFinding
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.distinct_writes import DistinctWrites
from splitbrain.checkers.versions.reads import VersionedReads, is_versioned
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.writes import Versions


@needs_real_time
def check(
    history: History, *, guarantees: tuple[Guarantee, ...] = GUARANTEES, until_fault: tuple[str, ...] = ()
) -> Verdict:
    """Judge the session guarantees of a history by the rules above.

    guarantees: those to judge. until_fault: families of faults that the promise does not cover, such as "wipe": only
    reads that were over before the first of them began are judged.
    Evidence: `registers` ("versioned" or "distinct writes") and `guarantees`. Those have by name the `verdict` ("held",
    "violated", "unknown"), the demands `checked`, `violations`, `contradictory` and `unprovable`, and, if violated, a
    `witness` in words. The verdict's witness is that of the first guarantee that is violated. Raises HistoryError for a
    value of the wrong shape or an operation that such registers don't have. O(n log n + n * sessions), for versioned
    registers times the chains of a key (`version_order`).
    """
    if is_versioned(history):
        kind = "versioned"
        try:
            reads = VersionedReads.of(Versions.of(history).until(first_fault(history, until_fault)))
        except Circular as problem:
            return Verdict.unknown(f"there is no order to keep: {problem}", registers=kind)
        findings = {name: recorded.judge(reads, name) for name in guarantees}
    else:
        kind = "distinct writes"
        registers = DistinctWrites.of(history.until(first_fault(history, until_fault)))
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
        reason = f"{count(unprovable, 'demand')} can't be judged: what {whose} versions had seen was not recorded"
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
