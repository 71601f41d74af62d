from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.invariants.kafka import KINDS, check
from tests.checkers.lines import Lines


def send(lines: Lines, value: Any, offset: int | None, *, log: str = "x", process: int = 0) -> Lines:
    said = value if offset is None else [offset, value]
    return lines.ok(process, "send", [["send", log, value]], [["send", log, said]])


def poll(lines: Lines, *records: list[Any], process: int = 5, log: str = "x") -> Lines:
    return lines.invoke(process, "poll", [["poll"]]).complete(process, "ok", [["poll", {log: list(records)}]])


def anomalies(lines: Lines) -> dict[str, int]:
    found: dict[str, int] = check(lines.history).evidence["anomalies"]
    return found


def test_an_acknowledged_record_below_what_was_polled_and_never_polled_is_lost() -> None:
    lines = poll(send(send(Lines(), "a", 0), "b", 1), [1, "b"])
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 lost")
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "lost: an acknowledged record was never polled, though later ones were; "
        'process 0 sent "a" of x at offset 0 at 0.001 s, and process 5 polled "b" of x at offset 1 at 0.005 s'
    )
    assert verdict.witness.events == (0, 1, 4, 5)


def test_a_record_whose_offset_is_not_known_can_be_unseen_but_not_lost() -> None:
    lines = poll(send(send(Lines(), "a", None), "b", 1), [1, "b"])
    assert anomalies(lines) == {"unseen": 1}
    assert check(lines.history).outcome == "unknown"
    assert check(poll(lines.nemesis("stage", "final-reads"), [1, "b"], process=6).history).outcome == "invalid"


def test_what_a_crashed_poll_may_have_taken_is_not_lost_for_certain() -> None:
    lines = send(send(Lines(), 1, 0), 2, 1).crash(6, "poll", [["poll"]])
    verdict = check(poll(lines, [1, 2]).history)
    assert (verdict.outcome, verdict.evidence["anomalies"]) == ("unknown", {"lost": 1})
    assert verdict.reason == (
        "1 of 2 acknowledged records were never polled, and nothing says that the logs were polled to their end"
    )
    assert check(poll(lines.nemesis("stage", "final-reads"), [1, 2], process=7).history).outcome == "invalid"


def test_what_a_crashed_or_failed_poll_took_counts_for_nothing() -> None:
    lines = send(Lines(), 1, 0)
    lines.invoke(5, "poll", [["poll"]]).complete(5, "info", [["poll", {"x": [[0, 1]]}]], "timeout: no")
    assert check(lines.history).reason == "no poll brought a record"


def test_a_key_that_is_an_integer_is_the_log_of_that_name() -> None:
    # In the object of a poll all keys are strings.
    lines = Lines().ok(0, "send", [["send", 7, 1]], [["send", 7, [0, 1]]])
    assert check(poll(lines, [0, 1], log="7").history).outcome == "valid"


def test_the_same_log_of_different_keys_of_the_history_is_two() -> None:
    lines = send(Lines("a"), 1, 0)
    verdict = check(poll(send(lines.of("b"), 1, 0), [0, 1]).history)
    assert (verdict.outcome, verdict.evidence["logs"], verdict.evidence["anomalies"]) == ("unknown", 2, {"unseen": 1})


def test_after_a_crash_of_its_consumer_a_process_may_begin_anywhere() -> None:
    lines = poll(poll(send(send(Lines(), 1, 0), 2, 1), [0, 1]), [1, 2])
    assert anomalies(poll(lines, [0, 1])) == {"nonmonotonic-poll": 1}
    again = poll(poll(send(send(Lines(), 1, 0), 2, 1), [0, 1]), [1, 2]).ok(5, "crash")
    assert anomalies(poll(again, [0, 1])) == {}


def test_a_send_that_failed_may_be_tried_again() -> None:
    lines = send(Lines().fail(0, "send", [["send", "x", 1]]), 1, 0)
    verdict = check(poll(lines, [0, 1]).history)
    assert (verdict.outcome, verdict.evidence["sends"]) == ("valid", 1)


def test_what_was_polled_before_its_send_began_is_unexpected() -> None:
    lines = send(poll(send(Lines(), 1, 0), [0, 1], [1, 2]), 2, 1)
    assert anomalies(lines) == {"unexpected": 1}


def test_within_a_transaction_records_are_polled_and_sent_in_order() -> None:
    asked = [["poll"], ["send", "x", 3], ["poll"]]
    done = [["poll", {"x": [[0, 1]]}], ["send", "x", [2, 3]], ["poll", {"x": [[2, 3]]}]]
    lines = send(send(Lines(), 1, 0), 2, 1).ok(1, "txn", asked, done)
    assert anomalies(lines) == {"lost": 1, "internal-poll-skip": 1}


def test_every_kind_of_anomaly_has_its_words_and_the_gravest_is_the_witness() -> None:
    lines = poll(send(send(send(Lines(), 1, 0), 2, 1), 3, 2), [2, 3], [0, 1])
    verdict = check(lines.history)
    assert verdict.evidence["anomalies"] == {"lost": 1, "internal-nonmonotonic-poll": 1}
    assert list(verdict.evidence["anomalies"]) == ["lost", "internal-nonmonotonic-poll"]
    assert verdict.witness is not None
    assert verdict.witness.data["kind"] == "lost"
    assert all(KINDS.values())


def test_a_history_of_jepsen_is_read_as_it_is() -> None:
    lines = [
        "{:process 0, :type :invoke, :f :subscribe, :value [3]}",
        "{:process 0, :type :ok, :f :subscribe, :value [3]}",
        "{:process 0, :type :invoke, :f :send, :value [[:send 3 1]]}",
        "{:process 0, :type :ok, :f :send, :value [[:send 3 [0 1]]]}",
        "{:process 0, :type :invoke, :f :txn, :value [[:send 3 2] [:poll]]}",
        "{:process 0, :type :ok, :f :txn, :value [[:send 3 [1 2]] [:poll {3 [[1 2]]}]]}",
        "{:process 1, :type :invoke, :f :debug-topic-partitions, :value [3]}",
        "{:process 1, :type :ok, :f :debug-topic-partitions, :value {:x 1}}",
    ]
    verdict = check(read([line.encode() + b"\n" for line in lines]))
    assert (verdict.outcome, verdict.evidence["anomalies"]) == ("invalid", {"lost": 1})
