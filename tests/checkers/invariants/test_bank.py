from __future__ import annotations

from splitbrain.checkers.invariants.bank import check
from tests.checkers.lines import Lines

MOVE = {"from": "a", "to": "b", "amount": 1}


def test_each_kind_of_wrong_read_is_counted_and_a_read_may_be_several() -> None:
    lines = Lines().ok(0, "read", None, {"a": 5, "b": 5})
    lines.ok(0, "read", None, {"a": -3, "b": 5}).ok(0, "read", None, {"a": None, "b": 5, "c": -1})
    verdict = check(lines.history)
    assert verdict.outcome == "invalid"
    assert verdict.reason == "2 of 3 reads wrong: 1 unexpected-key, 1 nil-balance, 1 wrong-total, 2 negative-value"
    assert verdict.evidence["errors"]["negative-value"] == {
        "count": 2,
        "first": {"index": 2, "key": None, "total": 2, "badness": 3},
        "last": {"index": 4, "key": None, "total": 4, "badness": 1},
        "worst": {"index": 2, "key": None, "total": 2, "badness": 3},
    }


def test_a_read_without_all_balances_has_no_total_to_be_wrong() -> None:
    lines = Lines().ok(0, "read", None, {"a": 5, "b": 5}).ok(0, "read", None, {"a": 5})
    assert list(check(lines.history).evidence["errors"]) == ["nil-balance"]


def test_wrong_totals_have_a_lowest_a_highest_and_a_worst() -> None:
    lines = Lines()
    for amount in (10, 7, 12, 9):
        lines.ok(0, "read", None, {"a": amount, "b": 0})
    summary = check(lines.history).evidence["errors"]["wrong-total"]
    assert {name: summary[name]["total"] for name in ("first", "last", "worst", "lowest", "highest")} == {
        "first": 7,
        "last": 9,
        "worst": 7,
        "lowest": 7,
        "highest": 12,
    }


def test_a_total_is_compared_with_the_first_whole_read_by_completion_and_the_witness_names_it() -> None:
    lines = Lines().invoke(1, "read").ok(0, "read", None, {"a": 1, "b": None}).ok(2, "read", None, {"a": 1, "b": 2})
    lines.complete(1, "ok", {"a": 2, "b": 2})
    verdict = check(lines.history)
    assert list(verdict.evidence["errors"]) == ["nil-balance", "wrong-total"]
    assert check(lines.history, accounts=("a", "b")).evidence["errors"]["wrong-total"]["first"]["total"] == 4
    witness = check(Lines().ok(0, "read", None, {"a": 1}).ok(1, "read", None, {"a": 2}).history).witness
    assert witness is not None
    assert witness.text == (
        "process 1 read the balances at 0.003 s, which add up to 2 and not to 1: a: 2; "
        "it is compared with the read of process 0 at 0.001 s"
    )
    assert witness.events == (0, 1, 2, 3)
    assert witness.data["expected"] == 1


def test_the_number_and_the_text_name_the_same_account() -> None:
    lines = Lines().ok(0, "read", None, [[0, 1], [1, 2]]).ok(0, "transfer", {"from": 1, "to": "0", "amount": 1})
    lines.ok(0, "read", None, {"0": 2, "1": 1})
    assert check(lines.history, accounts=(0, "1")).outcome == "valid"


def test_banks_of_different_keys_have_totals_and_accounts_of_their_own() -> None:
    lines = Lines("x").ok(0, "transfer", MOVE).ok(0, "read", None, {"a": 1}).ok(0, "read", None, {"a": 1})
    verdict = check(lines.of("y").ok(0, "read", None, {"b": 2}).history)
    assert (verdict.outcome, verdict.evidence["banks"]) == ("valid", 2)
    verdict = check(lines.ok(0, "read", None, {"b": 1}).history)
    assert verdict.witness is not None
    assert verdict.witness.text.startswith("process 0 read the balances of y at")


def test_reads_that_are_not_ok_show_nothing() -> None:
    lines = Lines().crash(1, "read").fail(0, "read").ok(0, "transfer", {"from": "a", "to": "b", "amount": 1})
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "no read was ok, so nobody saw a balance")
    assert verdict.evidence["transfers"] == 1


def test_no_whole_read_is_nothing_to_compare_but_a_nil_balance_all_the_same() -> None:
    lines = Lines().ok(0, "read", None, {"a": None}).ok(0, "read", None, {"a": None})
    assert check(lines.history).evidence["bad_reads"] == 2
    verdict = check(Lines().ok(0, "read", None, {"a": -1}).history)
    assert verdict.outcome == "invalid"


def test_balances_beyond_64_bits_add_up() -> None:
    lines = Lines().ok(0, "read", None, {"a": 2**63, "b": 2**63}).ok(0, "transfer", MOVE)
    assert check(lines.ok(0, "read", None, {"a": 2**64, "b": 0}).history).outcome == "valid"


def test_a_transfer_of_one_bank_puts_nothing_at_stake_in_another() -> None:
    lines = Lines("x").ok(0, "transfer", MOVE).ok(0, "read", None, {"a": 1})
    lines.of("y").ok(0, "read", None, {"b": 2}).ok(0, "read", None, {"b": 2})
    verdict = check(lines.history)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "no transfer that may have happened began before the last read was over"


def test_a_transfer_that_never_completed_may_have_happened() -> None:
    lines = Lines().ok(0, "read", None, {"a": 1, "b": 1}).invoke(1, "transfer", MOVE)
    assert check(lines.ok(0, "read", None, {"a": 1, "b": 1}).history).outcome == "valid"
