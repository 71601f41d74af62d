"""What `versions` makes of the replicas' answers."""

from __future__ import annotations

from splitbrain.store.cli.key_commands import _moment, _rows, agreement
from splitbrain.store.errors import StoreError
from splitbrain.store.versions.dotted import EMPTY, NOTHING, write
from splitbrain.store.wire.client_messages import Held

HOMES = ("n1", "n2", "n3")
SILENT = StoreError("timeout", "no answer")


def state(counter):
    return write(EMPTY, NOTHING, dot=(7, counter), value=b"v", request_id=1, coordinator="n1", wall_ns=0)[0]


def held(what, primary=True, hints=()):
    return Held(primary, what, list(hints))


def test_primaries_that_hold_the_same_agree():
    agree, why = agreement(HOMES, {primary: held(state(1)) for primary in HOMES})
    assert agree is True
    assert why == "the 3 homes agree"


def test_one_primary_that_holds_something_else_is_named():
    agree, why = agreement(HOMES, {"n1": held(state(1)), "n2": held(state(1)), "n3": held(EMPTY)})
    assert agree is False
    assert "n3 unlike n1" in why


def test_a_silent_primary_leaves_it_unknown_unless_others_differ_already():
    agree, why = agreement(HOMES, {"n1": held(state(1)), "n2": SILENT, "n3": held(state(1))})
    assert agree is None
    assert "no answer from n2" in why
    assert agreement(HOMES, {"n1": held(state(1)), "n2": SILENT, "n3": held(state(2))})[0] is False


def test_what_a_node_that_is_no_primary_holds_does_not_count_but_its_hints_are_told():
    answers = {primary: held(state(1)) for primary in HOMES} | {"n4": held(state(2), primary=False, hints=["n1"])}
    agree, why = agreement(HOMES, answers)
    assert agree is True
    assert "1 hints of it are not delivered yet" in why


def test_a_node_with_a_hint_and_nothing_else_is_not_said_to_have_nothing():
    rows = _rows(HOMES, {"n1": held(EMPTY), "n4": held(EMPTY, primary=False, hints=["n2"])})
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("n1", "home", "(nothing)"),
        ("n4", "hint for n2", "(nothing but the hint)"),
    ]


def test_without_any_answer_agreement_is_unknown():
    assert agreement(HOMES, dict.fromkeys(HOMES, SILENT))[0] is None


def test_a_coordinators_clock_may_say_anything():
    assert _moment(0) == "1970-01-01 00:00:00.000+00:00"
    assert _moment(1 << 62).startswith("2116")
    assert _moment(1 << 80).endswith(" ns")
