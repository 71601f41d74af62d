"""Clock truncation: a bound on the entries of a key's clock.

1. A clock has at most `limit` entries, or one for each actor of a live version if those are more. Entries of live
   versions are never dropped, so truncation loses no write.
2. Of the other entries the oldest is dropped first. An entry is dated by the last write that added to it or replaced a
   version of it, later than all entries that this write saw. Ties are broken by actor, alike on every replica.
3. What was dropped stays dropped. `Ages.cut` is the newest entry that was ever dropped, and no entry that is as old
   comes back from a replica that still has it. So replicas that keep exchanging states end with equal ones, byte for
   byte.
4. With its entry a state forgets that it has replaced a version. A replica that missed both brings that version back as
   a *false sibling*. The order of merges decides whether a replica that did remember is heard first. So merging stays
   commutative and idempotent, and is no longer associative.
5. The identities of writes (`identities`) go with the versions that carry them. So a put that two coordinators took is
   one version as long as it stands, and the second may come back as a false sibling of what replaced the first.
6. A node gives up an actor whose entry is dropped (`Replica.put`): it would count from 1 again.

Dynamo (SOSP 2007), section 4.4, truncates at ten entries. There every version has a clock of its own. Here the versions
of a key share one clock, and the limit is on that.
"""

from __future__ import annotations

from splitbrain.store.versions.dotted import STAMP_MAX, Ages, Dot, Seen, VersionSet

_NONE = Ages()


def merged_ages(left: VersionSet, right: VersionSet) -> Ages:
    """Merge the ages of two states. O(actors)."""
    mine, theirs = left.ages or _NONE, right.ages or _NONE
    dates = dict(mine.dates)
    for actor, date in theirs.dates.items():
        dates[actor] = max(date, dates.get(actor, 0))
    return Ages(dates, max(mine.cut, theirs.cut))


def written_ages(before: VersionSet, after: VersionSet, dot: Dot, stamp: int) -> Ages:
    """The ages after a write under that dot, and of that stamp, that led from one state to the other. O(actors)."""
    ages = before.ages or _NONE
    date = min(max([stamp, *(date + 1 for date in ages.dates.values())]), STAMP_MAX)
    # If the entries of what it replaced kept their age they might be dropped at once. The next replica would then bring
    # the replaced versions back, at every attempt to merge them.
    replaced = {v.actor for v in before.versions} - {v.actor for v in after.versions}
    return Ages({**ages.dates, **dict.fromkeys(replaced, date), dot[0]: date}, ages.cut)


def truncate(state: VersionSet, ages: Ages, limit: int) -> VersionSet:
    """Set the state's ages, and cut its clock to `limit` entries. O(actors log actors)."""
    seen = state.seen
    actors = {*seen.clock, *(actor for actor, _ in seen.cloud)}
    standing = {version.actor for version in state.versions}
    others = sorted((ages.dates.get(actor, 0), actor) for actor in actors - standing)
    excess = min(len(actors) - limit, len(others))
    cut = max(ages.cut, others[excess - 1]) if excess > 0 else ages.cut
    kept = standing | {entry[1] for entry in others if entry > cut}
    if len(kept) < len(actors):
        clock = {actor: counter for actor, counter in seen.clock.items() if actor in kept}
        seen = Seen(clock, tuple(dot for dot in seen.cloud if dot[0] in kept))
    dates = {actor: date for actor, date in sorted(ages.dates.items()) if actor in kept}
    # No identities of writes that were replaced: a version that went by its identity would leave an entry of an old
    # date, which is dropped, and the version would be back at the next merge.
    return VersionSet(seen, state.versions, Ages(dates, cut))
