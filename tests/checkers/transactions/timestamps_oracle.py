"""Brute force, from the definitions: what timestamps say that each transaction must have read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.transactions.consistency_models import ORDERED

Moment = tuple[int, int]
"""A timestamp, and 1 for after what was committed then, 0 for before."""


@dataclass
class _Txn:
    process: int
    began: int
    ended: int
    mops: list[list[Any]]
    point: Moment
    commit: int | None

    def writes(self, key: Any) -> list[Any]:
        return [value for name, k, value in self.mops if name != "r" and k == key]

    @property
    def over(self) -> Moment:
        return self.point if self.commit is None else (self.commit, 1)


def verdict(history: History, consistency: str) -> str:
    snapshots, level = ORDERED[consistency]
    txns, crashed, malformed = _txns(history, snapshots)
    wrong, unplaced, reads = malformed, 0, 0
    lists = any(name == "append" for txn in txns for name, _, _ in txn.mops) or any(
        isinstance(value, list) for txn in txns for name, _, value in txn.mops if name == "r"
    )
    for txn in txns:
        for at, (name, key, value) in enumerate(txn.mops):
            if name != "r":
                continue
            reads += 1
            before = [each for each in txns if each is not txn and each.commit is not None and each.writes(key)]
            seen = sorted((each for each in before if each.over <= txn.point), key=lambda each: each.over)
            held = [value for each in seen for value in (each.writes(key) if lists else each.writes(key)[-1:])]
            own = [each for other, k, each in txn.mops[:at] if other != "r" and k == key]
            right = [*held, *own]
            shown = list(value or ()) if lists else ([] if value is None else [value])
            if not lists:
                right = right[-1:]
            if _same(shown, right):
                continue
            odd = [each for each in shown if json.dumps([key, each]) in crashed]
            if odd and (
                (lists and _same([each for each in shown if each not in odd], right)) or (not lists and not own)
            ):
                unplaced += 1
            else:
                wrong = True
    for one in txns:
        for two in txns:
            if one is two:
                continue
            shared = {key for _, key, _ in one.mops if one.writes(key) and two.writes(key)}
            if snapshots and shared and two.point < one.over <= two.over:
                wrong = True
            if not snapshots and one.commit is not None and one.commit == two.commit:
                wrong = True
            before_ = one.ended < two.began and (level == "-realtime" or (level and one.process == two.process))
            if before_ and one.over > two.point:
                wrong = True
    if wrong:
        return "invalid"
    return "valid" if txns and reads and not unplaced else "unknown"


def _txns(history: History, snapshots: bool) -> tuple[list[_Txn], set[str], bool]:
    found, crashed, malformed = [], set[str](), False
    for operation in history.operations:
        done = operation.completion
        if operation.outcome != "ok" or done is None:
            if operation.outcome == "info":
                crashed |= {json.dumps([key, value]) for name, key, value in operation.invocation.value if name != "r"}
            continue
        mops, start, commit = done.value["txn"], done.value.get("start"), done.value.get("commit")
        if any(name != "r" for name, _, _ in mops):
            point = (commit, 0) if not snapshots else (start, 1 if start < commit else 0)
            malformed |= snapshots and start > commit
        else:
            at = start if start is not None and (snapshots or commit is None) else commit
            point, commit = (at, 1), None
        found.append(_Txn(operation.process, operation.invocation.index, done.index, mops, point, commit))
    return found, crashed, malformed


def _same(one: list[Any], two: list[Any]) -> bool:
    return json.dumps(one) == json.dumps(two)
