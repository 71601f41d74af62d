"""A checker of one's own: no name is granted to two users.

    pip install -e usernames
    splitbrain check usernames/granted-twice.jsonl --checker granted-once

It is invalid: users 1 and 2 were both told that the name `ada` is theirs. A checker is a function from a history to a
verdict. It says `invalid` with a witness, `unknown` if it saw too little, and `valid` only if there was something to
see. What follows the history are its options, for `--option`.

1. An `ok` claim was granted. One that failed was not. One that crashed may have been, but nobody was told so.
2. Invalid if a name was granted more than once. Unknown if fewer than two users asked for any one name.
"""

from splitbrain import Checker, History, Operation, Verdict, Witness


def granted_once(history: History, *, names: list[str] | None = None) -> Verdict:
    """names: judge these alone; None: all."""
    claims: dict[str, list[Operation]] = {}
    for operation in history.operations:
        if operation.f == "claim" and (names is None or operation.key in names):
            claims.setdefault(str(operation.key), []).append(operation)
    granted = {name: [claim for claim in asked if claim.outcome == "ok"] for name, asked in claims.items()}
    twice = {name: owners for name, owners in granted.items() if len(owners) > 1}
    figures = {"names": len(granted), "granted": sum(map(len, granted.values())), "granted_twice": sorted(twice)}
    if twice:
        name, owners = min(twice.items())
        reason = f"{len(twice)} of {len(granted)} names were granted to more than one user"
        return Verdict.invalid(reason, _witness(name, owners), **figures)
    if all(len(asked) < 2 for asked in claims.values()):
        return Verdict.unknown("no name was claimed by two users", **figures)
    return Verdict.valid(f"each of {len(granted)} names was granted to one user at most", **figures)


def _witness(name: str, owners: list[Operation]) -> Witness:
    lines = [f"{name} was granted to {len(owners)} users:"]
    events = []
    for claim in owners:
        assert claim.completion is not None
        begun, ended = claim.invocation.time / 1e9, claim.completion.time / 1e9
        lines.append(f"  user {claim.value} by process {claim.process}, from {begun:.3f} s to {ended:.3f} s")
        events += [claim.invocation.index, claim.completion.index]
    return Witness("\n".join(lines), tuple(sorted(events)))


GRANTED_ONCE = Checker("granted-once", "no name is granted to two users", granted_once)
