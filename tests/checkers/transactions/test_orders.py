"""The order of versions where it matters most: what is passed over, and what lies between."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.registers.register_versions import precedences
from tests.checkers.transactions.script import Script


def test_an_aborted_element_does_not_hide_the_order_of_its_neighbours() -> None:
    """x has 1 before 2, with an aborted 9 between them; y has 2 before 1."""
    script = Script()
    for process, (did, outcome) in enumerate(
        [
            ([["append", "x", 1], ["append", "y", 1]], "ok"),
            ([["append", "x", 9]], "fail"),
            ([["append", "x", 2], ["append", "y", 2]], "ok"),
        ]
    ):
        script.event(process, "invoke", did)
        script.event(process, outcome, did)
    verdict = check(
        script.run(["r", "x", [1, 9, 2]], ["r", "y", [2, 1]], process=3).history, consistency="serializable"
    )
    assert {"G0", "G1a", "dirty-update"} <= set(verdict.evidence["anomaly_types"])


def test_null_comes_before_a_version_whose_predecessor_nobody_wrote() -> None:
    """1 came after a 9 that is garbage; that is no reason not to know that null came before it."""
    script = Script().together(
        [["r", "x", 9], ["w", "x", 1], ["w", "y", 1]],
        [["r", "x", None], ["r", "y", 1]],
    )
    assert check(script.history).evidence["anomaly_types"] == ["garbage-read", "G-single"]


def test_appends_of_one_transaction_stay_in_their_order() -> None:
    """Found by trying every order: 3 before 2 is no cycle of transactions, as one appended both."""
    script = Script().event(0, "invoke", [["append", "y", 2], ["append", "y", 3]]).run(["append", "y", 1], process=1)
    verdict = check(script.run(["r", "y", [3, 2, 1]], process=2).history)
    assert verdict.evidence["anomaly_types"] == ["cyclic-versions"]


def test_appends_that_no_read_shows_come_after_all_that_were_read() -> None:
    """The reader of [1] did not see 2, which nobody ever saw, but saw what its transaction did elsewhere."""
    script = Script().together(
        [["append", "x", 1]],
        [["append", "x", 2], ["append", "y", 1]],
        [["r", "x", [1]], ["r", "y", [1]]],
    )
    assert check(script.history).evidence["anomaly_types"] == ["G-single"]


def test_a_read_that_fits_no_order_still_depends_on_the_writer_it_read() -> None:
    """[2] is no prefix of [1, 2], nor is [3]; each transaction read what the other appended."""
    script = Script().together(
        [["append", "x", 3], ["r", "y", [1]]],
        [["append", "y", 1], ["r", "x", [3]]],
        [["append", "x", 1], ["append", "x", 2]],
        [["r", "x", [1, 2]]],
    )
    assert check(script.history).evidence["anomaly_types"] == ["incompatible-order", "G1c"]


@pytest.mark.parametrize("seed", range(200))
def test_versions_follow_each_other_directly_if_none_lies_between(seed: int) -> None:
    random = Random(seed)
    size = random.randint(1, 7)
    moments = random.sample(range(3 * size), 2 * size)
    over = [FOREVER if random.random() < 0.1 else moment for moment in moments[:size]]
    begun = moments[size:]
    before = {(v, w) for v in range(size) for w in range(size) if v != w and over[v] < begun[w]}
    found = {(v, int(w)) for v, after in precedences(np.array(over), np.array(begun)) for w in after}
    if any((w, v) in before for v, w in before):
        assert any((w, v) in found for v, w in found)
        assert found <= before
        return
    direct = {
        (v, w)
        for v, w in before
        if not any((v, u) in before and (u, w) in before for u in range(size) if u not in (v, w))
    }
    assert found == direct
