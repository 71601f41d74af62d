"""The whole check: parts, what is said where nothing can be said, and the same words every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from splitbrain.checkers.histories.event import Event, encode
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, check
from splitbrain.checkers.verdict import Outcome, Verdict
from tests.checkers.linearizability.objects import KINDS, history
from tests.checkers.linearizability.several_keys import STALE, numbered
from tests.checkers.linearizability.timeline import recorded

ROOT = Path(__file__).parents[3]


# Parts.


def test_parts_are_judged_separately_and_counted() -> None:
    verdict = check(recorded(STALE), model="register")
    assert verdict.outcome is Outcome.INVALID
    assert {field: verdict.evidence[field] for field in ("model", "operations", "parts", "linearizable", "not_linearizable", "undecided")} == {
        "model": "register",
        "operations": 7,
        "parts": 3,
        "linearizable": 1,
        "not_linearizable": 2,
        "undecided": 0,
    }  # fmt: skip
    assert set(verdict.evidence["by_part"]) == {"a", "c"}
    assert verdict.evidence["by_part"]["a"]["operations"] == 3


def test_the_witness_is_of_the_key_that_went_wrong_first() -> None:
    verdict = check(recorded(STALE), model="register")
    assert verdict.witness is not None
    assert {call["key"] for call in verdict.witness.data["calls"]} == {"a"}
    later = STALE.replace("a: read -> 1            |-|", "a: read -> 1" + " " * 40 + "|-|")
    verdict = check(recorded(later), model="register")
    assert verdict.witness is not None
    assert {call["key"] for call in verdict.witness.data["calls"]} == {"c"}


def test_the_same_operations_on_one_key_are_not_linearizable_where_on_two_they_are() -> None:
    drawing = """
        a: write 1     |-|
        b: write 2         |-|
        a: read -> 1           |-|
        """
    assert check(recorded(drawing), model="register").outcome is Outcome.VALID
    assert check(recorded(drawing.replace("b:", "a:")), model="register").outcome is Outcome.INVALID
    assert check(recorded(drawing.replace("a: ", "").replace("b: ", "")), model="register").outcome is Outcome.INVALID


def test_a_key_that_is_a_number_and_one_that_is_its_text_are_two() -> None:
    events = [
        Event(0, 0, 0, "invoke", "read", 1),
        Event(1, 1, 0, "ok", "read", 1, 5),
        Event(2, 2, 0, "invoke", "read", "1"),
        Event(3, 3, 0, "ok", "read", "1", 6),
    ]
    verdict = check(History(events), model="register")
    assert verdict.evidence["not_linearizable"] == 2
    assert len(verdict.evidence["by_part"]) == 2


def test_what_is_listed_is_bounded_and_what_is_counted_is_not() -> None:
    events = []
    for key in range(150):
        events += [Event(2 * key, key, key, "invoke", "read", key), Event(2 * key + 1, key, key, "ok", "read", key, 5)]
    verdict = check(History(events), model="register")
    assert verdict.evidence["not_linearizable"] == 150
    assert len(verdict.evidence["by_part"]) == 100
    assert len(verdict.reason) < 200


# Nothing to judge.


def reason_of_unknown(drawing: str, model: str) -> str:
    verdict = check(recorded(drawing), model=model)
    assert verdict.outcome is Outcome.UNKNOWN
    return verdict.reason


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_history_without_operations_is_unknown(model: str) -> None:
    verdict = check(History([]), model=model)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason == f"no operation of a {model} was completed, so nothing was observed"


def test_a_history_of_which_nothing_was_completed_is_unknown() -> None:
    assert reason_of_unknown("write 1  |...\nread     |...".replace("read ", " read "), "register").startswith("no operation of a register was completed")  # fmt: skip
    failed = [Event(0, 0, 0, "invoke", "write", None, 1), Event(1, 1, 0, "fail", "write", None, 1)]
    assert check(History(failed), model="register").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("model", "drawing"),
    [
        ("register", "write 1  |-|\nwrite 2      |-|"),
        ("cas-register", "write 1  |-|\ncas [1, 2]      |..."),
        ("kv", 'a: put "x"  |-|\na: append "y"    |-|'),
        ("counter", "add 1  |-|\nadd 2      |-|"),
        ("multi-register", 'txn [["w", "x", 1]] -> [["w", "x", 1]]  |-|'),
    ],
)
def test_a_history_in_which_nothing_was_read_is_unknown(model: str, drawing: str) -> None:
    assert reason_of_unknown(drawing, model).startswith("nothing was read")


def test_one_answer_that_depends_on_others_is_enough_to_judge() -> None:
    assert check(recorded("read -> null  |-|"), model="register").outcome is Outcome.VALID
    assert check(recorded("cas [null, 1]  |-|"), model="cas-register").outcome is Outcome.VALID
    assert check(recorded("cas! [1, 2]  |-|"), model="cas-register").outcome is Outcome.VALID
    assert check(recorded("acquire  |-|"), model="mutex").outcome is Outcome.VALID


# The same words every time.


_CHILD = """
import json, sys
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import check
history = History.parse(sys.stdin.buffer)
print(json.dumps(check(history, model=sys.argv[1], memory_mb=1).as_dict()))
"""


def _said(history: History, model: str, seed: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", _CHILD, model],
        input=b"".join(map(encode, history.events)),
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    return ran.stdout


def _wrong_in_several_keys(model: str, seed: int) -> History:
    kind = KINDS[model]
    return numbered(
        *(
            [
                msgspec.structs.replace(event, key=f"key-{number}")
                for event in history(Random(seed + number), kind, operations=12).events
            ]
            for number in range(40)
        )
    )


@pytest.mark.parametrize("model", ["cas-register", "kv", "multi-register"])
def test_the_verdict_is_word_for_word_the_same_whatever_the_hash_seed(model: str) -> None:
    recorded_ = _wrong_in_several_keys(model, 7)
    if model != "multi-register":  # Words for values, whose hashes differ from run to run.
        words = {0: "zero", 1: "one", 2: "two"}
        events = [msgspec.structs.replace(e, value=_worded(e.value, words)) for e in recorded_.events]
        recorded_ = History(events)
    one, other = (_said(recorded_, model, seed) for seed in ("0", "1234"))
    assert one == other
    found = json.loads(one)
    assert found["verdict"] == "invalid"
    assert found["not_linearizable"] >= 2


def _worded(value: Any, words: dict[int, str]) -> Any:
    if isinstance(value, list):
        return [_worded(each, words) for each in value]
    return words.get(value, value) if type(value) is int else value


def test_a_valid_verdict_says_what_was_judged() -> None:
    verdict: Verdict = check(
        recorded("a: write 1  |-|\na: read -> 1    |-|\nb: read -> null        |-|"), model="register"
    )
    assert verdict.reason == "linearizable as a register: 3 operations on 2 keys"
    assert verdict.witness is None
