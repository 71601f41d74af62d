from __future__ import annotations

from splitbrain.checkers.eventual.siblings import check
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.script import Script


def test_siblings_are_counted_by_read_by_key_and_over_time() -> None:
    script = Script().put(1, [], at=0).put(2, [], at=2).put(3, [], at=4, key="r1")
    script.read([1, 2], at=10, key="r0").read([], at=20, key="r0").read([3], at=100, key="r1")
    evidence = check(script.history).evidence
    assert (evidence["max"], evidence["mean"], evidence["histogram"]) == (2, 1.0, {"0": 1, "1": 1, "2": 1})
    assert evidence["keys"]["r0"] == {"observations": 2, "max": 2, "mean": 1.0}
    assert [bucket[1:] for bucket in evidence["over_time"]] == [[2, 2.0], [0, 0.0], [1, 1.0]]


def test_a_sibling_whose_writer_had_seen_the_other_is_false() -> None:
    script = Script().put(1, [], at=0).put(2, [1], at=2).read([1, 2], at=4, key="r0").read([2], at=6, key="r0")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 2 reads returned false siblings")
    assert verdict.witness is not None
    assert verdict.witness.text.endswith("had seen 1 directly")
    assert verdict.witness.data["path"] == [2, 1]


def test_what_a_write_without_seen_had_seen_is_not_held_against_the_store() -> None:
    script = Script().put(1, [], at=0).put(2, None, at=2, process=1, type_="info").read([1, 2], at=4, key="r0")
    assert check(script.history).outcome == "valid"


def test_a_false_sibling_outranks_an_explosion_and_an_explosion_names_its_read() -> None:
    script = Script().put(1, [], at=0).put(2, [], at=2).read([1, 2], at=4, key="r0")
    verdict = check(script.history, max_siblings=1)
    assert verdict.reason == "2 siblings at once, more than the 1 allowed"
    assert verdict.witness is not None
    assert verdict.witness.events == (4, 5)
    script.put(3, [1], at=6).read([1, 3], at=8, key="r0")
    assert "false siblings" in check(script.history, max_siblings=1).reason


def test_sets_are_counted_from_the_polls_of_home_replicas_and_no_falseness_is_claimed() -> None:
    script = Script().add(1, at=0).poll(["a", "b"], at=2, node="n1").poll(["a", "b", "c"], at=4, node="n4", home=False)
    verdict = check(script.history)
    assert verdict.evidence["max"] == 2
    assert "false_sibling_reads" not in verdict.evidence
    assert "false ones can't be told from polls" in verdict.reason
    assert check(script.history, max_siblings=1).outcome == "invalid"


def test_no_read_and_no_poll_is_unknown() -> None:
    assert check(Script().put(1, [], at=0).history).reason == "there are no ok reads to count in"
    unanswered = Script().add(1, at=0).poll(None, at=2, node="n1", type_="info")
    assert check(unanswered.history).reason == "there are no ok polls of home replicas to count in"


def test_the_keys_1_and_the_string_1_are_counted_separately() -> None:
    events = []
    for key, siblings in ((1, [1]), ("1", [2, 3])):
        for write in siblings:
            events += [("invoke", "put", key, {"write": write}), ("ok", "put", key, {"write": write, "seen": []})]
        events += [("invoke", "read", key, None), ("ok", "read", key, siblings)]
    history = History([Event(at, at, 0, *event) for at, event in enumerate(events)])  # type: ignore[arg-type]
    by_key = check(history).evidence["keys"]
    assert {name: figures["max"] for name, figures in by_key.items()} == {"1": 1, '"1"': 2}
