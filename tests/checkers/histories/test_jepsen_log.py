from __future__ import annotations

import pytest

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.jepsen_log import read_log
from tests.checkers.shared import SHARED, needs_histories


def events(text: str, *, independent: bool = False) -> list[Event]:
    history = read_log([line.encode() for line in text.splitlines(keepends=True)], independent=independent)
    assert not history.truncated
    return list(history.events)


def completion(text: str) -> Event:
    """The last of the events, whose time and index are 1."""
    found = events(text)[-1]
    assert (found.index, found.time) == (1, 1)
    return found


INVOKED = "INFO  jepsen.util - 4\t:invoke\t:cas\t[1 2]\n"


@pytest.mark.parametrize(
    "before",
    [
        "INFO  jepsen.util - ",
        "2015-05-01 12:00:00,123{GMT}\tINFO\t[jepsen worker 3] jepsen.util: ",
        "INFO [2016-07-19 14:11:09,527] jepsen worker 1 - jepsen.util ",
        "INFO [2021-01-02 03:04:05] jepsen worker 1 - jepsen.core ",
        "",
    ],
)
@pytest.mark.parametrize("between", ["\t", " ", "  \t"])
def test_an_operation_is_read_whatever_stands_before_it(before: str, between: str) -> None:
    lines = [
        ["4", ":invoke", ":cas", "[1 2]"],
        [":nemesis", ":info", ":start", "Cut off {:n1 ["],
        ["4", ":ok", ":cas", "[1 2]"],
    ]
    text = "".join(before + between.join(line) + "\n" for line in lines)
    assert events("INFO jepsen.core - Running test 7 :a\n\n" + text + "Everything looks good!\n") == [
        Event(0, 0, 4, "invoke", "cas", value=[1, 2]),
        Event(1, 1, "nemesis", "info", "start", value="Cut off {:n1 ["),
        Event(2, 2, 4, "ok", "cas", value=[1, 2]),
    ]


@pytest.mark.parametrize(
    ("line", "type_", "value", "error"),
    [
        ("4 :ok :cas [1 2]", "ok", [1, 2], None),
        ("4 :ok :cas :done", "ok", "done", None),
        ("4 :info :cas :timed-out", "info", None, "timed-out"),
        ("4 :info :cas [1 2] :timed-out", "info", [1, 2], "timed-out"),
        ('4 :info :cas [1 2] [:no-client "refused"]', "info", [1, 2], "no-client: refused"),
        ("4 :fail :cas [1 2]", "fail", [1, 2], "mismatch: the value was not 1"),
        ("4 :fail :cas nil", "fail", None, "mismatch: the value was not nil"),
        ("4 :fail :cas :refused", "fail", None, "refused"),
        ("4 :fail :cas [1 2] :refused", "fail", [1, 2], "refused"),
    ],
)
def test_errors_are_distinguished_from_values(line: str, type_: str, value: object, error: str | None) -> None:
    found = completion(f"{INVOKED}INFO  jepsen.util - {line}\n")
    assert (found.type, found.value, found.error) == (type_, value, error)


def test_a_keyword_that_was_asked_is_no_error() -> None:
    found = completion("jepsen 1 :invoke :write :x\njepsen 1 :info :write :x\n")
    assert (found.value, found.error) == ("x", None)


def test_other_failures_are_no_observations() -> None:
    assert completion("jepsen 1 :invoke :write 3\njepsen 1 :fail :write 3\n").error is None


def test_independent_keys_are_taken_out_of_the_value() -> None:
    (event,) = events("jepsen 1 :invoke :write [7 3]\n", independent=True)
    assert (event.key, event.value) == (7, 3)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            f"{INVOKED}INFO jepsen - 4 :okay :cas [1 2]\n",
            2,
            "type is :okay; it must be one of :invoke, :ok, :fail, :info",
        ),
        (f"Starting\n{INVOKED}{INVOKED}", 3, "process 4 invokes 'cas' while its last operation is open"),
        (f"{INVOKED}INFO jepsen - 5 :ok :cas [1 2]\n", 2, "process 5 completes 'cas' which it never invoked"),
        (f"{INVOKED}INFO jepsen - 4 :ok :read 1\n", 2, "process 4 completes 'read' but had invoked 'cas'"),
        (
            "INFO jepsen - 4 :invoke :cas [1 2\n",
            1,
            "the value is no EDN (the text ends inside what line 1 opens): [1 2",
        ),
        ("INFO jepsen - 4 :invoke :cas 1 2 3\n", 1, "3 values where a value and an error may be: 1 2 3"),
        ("INFO jepsen - :nemesis :ok :start nil\n", 1, "a nemesis event has type 'ok'"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_line_rule_and_operation(text: str, line: int, problem: str) -> None:
    with pytest.raises(HistoryError) as caught:
        events(text)
    assert caught.value.line == line
    assert problem in caught.value.problem


def test_a_last_line_without_its_end_and_value_was_cut_off() -> None:
    history = read_log([INVOKED.encode(), b"INFO  jepsen.util - 4\t:ok\t:ca"])
    assert history.truncated
    assert history.cut_at == 2
    assert len(history.events) == 1


@needs_histories
def test_every_line_of_the_shared_etcd_logs_is_an_operation() -> None:
    files = sorted(SHARED.glob("porcupine/etcd_*.log"))
    assert len(files) == 51
    for path in files:
        with path.open("rb") as file:
            history = read_log(file)
        assert len(history.events) == len(path.read_text().splitlines()), path
        assert {event.error for event in history.events if event.f != "cas"} <= {None, "timed-out"}
