from __future__ import annotations

import json

import pytest

from splitbrain.checkers.verdict import Outcome, Verdict, Witness


def test_an_invalid_verdict_needs_a_witness() -> None:
    with pytest.raises(ValueError, match="needs a witness"):
        Verdict(Outcome.INVALID, "something is wrong")


@pytest.mark.parametrize("taken", ["verdict", "witness", "checkers", "broken"])
def test_evidence_can_not_hide_a_field_of_the_verdict_itself(taken: str) -> None:
    with pytest.raises(ValueError, match=taken):
        Verdict.valid("all is well", **{taken: 1})


def test_a_verdict_as_data_can_be_written_as_json_and_has_the_evidence_at_the_top() -> None:
    verdict = Verdict.invalid("one lost", Witness("it was lost", (1, 2), {"key": "s0"}), lost=1)
    assert json.loads(json.dumps(verdict.as_dict())) == {
        "verdict": "invalid",
        "reason": "one lost",
        "lost": 1,
        "witness": {"text": "it was lost", "events": [1, 2], "data": {"key": "s0"}},
    }


def test_parts_and_what_is_broken_are_shown_only_where_there_are_some() -> None:
    part = Verdict.valid("fine")
    composed = Verdict(Outcome.UNKNOWN, "broken", parts={"a": part}, broken={"b": "KeyError: 'x'"})
    assert composed.as_dict()["checkers"] == {"a": {"verdict": "valid", "reason": "fine"}}
    assert composed.as_dict()["broken"] == {"b": "KeyError: 'x'"}
    assert part.as_dict() == {"verdict": "valid", "reason": "fine"}
