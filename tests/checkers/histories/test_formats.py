from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.histories.event import Event, HistoryError, encode
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.jepsen import edn_lines, read_operations
from tests.checkers.script import Script

GOOD = Script().add(1, at=1).cut(at=3).add(2, at=5, process=1, type_="info").read([1], at=7).events
JSONL = b"".join(map(encode, GOOD))
EDN = b"""\
; a register
{:type :invoke, :f :write, :process 0, :value 3, :time 5}
{:process :nemesis, :type :info, :f :start, :value "Cut off [:n1]"}
{:type :info, :f :write, :process 0, :value 3, :time 9, :error [:timeout "none"]}
"""
VECTOR = b"""\
[{:type :invoke, :f :cas, :process 0, :value [1 2]}
 {:type :fail, :f :cas, :process 0, :value [1 2]}
 {:type :invoke, :f :read,
  :process 0, :value nil}
 {:type :ok, :f :read, :process 0, :value #{1}}]
"""
LOG = b"""\
INFO  jepsen.core - Running
INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]
INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:info\t:read\t:timed-out
"""


def lines(text: bytes) -> list[bytes]:
    return list(io.BytesIO(text))


@pytest.mark.parametrize(
    ("text", "count"), [(JSONL, 8), (EDN, 3), (VECTOR, 4), (LOG, 4)], ids=["JSONL", "EDN", "vector", "log"]
)
@pytest.mark.parametrize(
    "before", [b"", b"\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"], ids=["", "blank", "mark", "both"]
)
def test_a_format_is_recognized_by_its_beginning(text: bytes, count: int, before: bytes) -> None:
    history = read(lines(before + text))
    assert len(history.events) == count
    assert list(history.events) == list(read(lines(text)).events)


@pytest.mark.parametrize("text", [JSONL, EDN, LOG, b""])
def test_lines_of_text_are_read_like_lines_of_bytes(text: bytes) -> None:
    assert list(read(io.StringIO(text.decode())).events) == list(read(lines(text)).events)


def test_text_that_can_not_be_utf_8_is_refused_like_bytes_that_are_not() -> None:
    with pytest.raises(HistoryError, match="line 2: not UTF-8"):
        read(["{:type :invoke, :process 0, :f :read}\n", '{:type :ok, :process 0, :f :read, :value "\udc80"}\n'])


@pytest.mark.parametrize("wrong", ["history.jsonl", b"{}", Path("history.jsonl"), None, 5])
def test_a_path_is_not_taken_for_lines(wrong: object) -> None:
    with pytest.raises(TypeError, match="read takes lines, such as an open file; not a path"):
        read(wrong)  # type: ignore[arg-type]


def test_events_are_not_taken_for_lines() -> None:
    with pytest.raises(TypeError, match="read takes lines of bytes or text, not of type Event"):
        read(GOOD)  # type: ignore[arg-type]


def test_jsonl_is_read_as_it_was_written() -> None:
    assert list(read(lines(JSONL)).events) == GOOD


@pytest.mark.parametrize("text", [b"", b"\n", b" \n\t\n", b"\xef\xbb\xbf", b"[]", b"()\n", b"; nothing\n"])
def test_a_file_with_nothing_in_it_is_a_history_with_nothing_in_it(text: bytes) -> None:
    history = read(lines(text))
    assert not list(history.events)
    assert not history.truncated
    assert list(history.operations) == []


EXPECTED = "a history is JSONL (one event a line), a JSON array, Jepsen's EDN, or a log of Jepsen's"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (b"\x00\x01\x02", 1, EXPECTED),
        (b'{"\x01', 1, "this is no text"),
        (b'{"\xff', 1, "this is no text"),
        (b"{:a \xfe\xff}", 1, "this is no text"),
        (b"\n\x7fELF", 2, "this is no text"),
        (EDN.decode().encode("utf-16"), 1, "this is UTF-16; a history is UTF-8"),
        (EDN.decode().encode("utf-16-be"), 1, "this is UTF-16; a history is UTF-8"),
        (JSONL.decode().encode("utf-16-be"), 1, "this is UTF-16; a history is UTF-8"),
        (EDN.decode().encode("utf-16-le"), 1, "this is UTF-16; a history is UTF-8"),
        (b"hello\n", 1, f"no operation in it; {EXPECTED}"),
        (b"17", 1, "no operation in it"),
        (b"\n\nfoo {:type :ok}", 3, "no operation in it"),
        (b'[{"index":0}]', 1, ":f is missing"),
        (b"{}\n", 1, "not a history event"),
        (b"{\n", 1, "not a history event"),
        (b'{"index":0}\n', 1, "not a history event"),
        (b"{:a}", 1, "the map of line 1 has a key without a value"),
        (b"[1 2]", 1, "not an operation"),
        (
            b'{"index":0,"time":0,"process":0,"type":"invoke","f":"r","value":' + b"[" * 3000 + b"\n",
            1,
            "not a history event",
        ),
    ],
)
def test_what_is_no_history_is_refused_saying_what_was_expected(text: bytes, line: int, problem: str) -> None:
    with pytest.raises(HistoryError) as caught:
        read(lines(text) if b"\x00" not in text else [text])
    assert caught.value.line == line
    assert problem in caught.value.problem


def event(index: int, type_: str, **fields: object) -> Event:
    return Event(**{"index": index, "time": 0, "process": 0, "type": type_, "f": "read", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "line", "problem"),
    [
        ([event(0, "ok")], 1, "process 0 completes 'read' which it never invoked"),
        ([event(0, "invoke"), event(1, "invoke")], 2, "process 0 invokes 'read' while its last operation is open"),
        (
            [event(0, "invoke"), event(1, "info"), event(2, "invoke")],
            3,
            "process 0 invokes 'read' after an 'info' retired it",
        ),
        ([event(0, "invoke"), event(1, "ok", f="add")], 2, "process 0 completes 'add' but had invoked 'read'"),
        (
            [event(0, "invoke", key="a"), event(1, "ok", key="b")],
            2,
            "process 0 completes 'read' of key 'b', invoked of 'a'",
        ),
        ([event(0, "invoke"), event(2, "ok")], 2, "index is 2, expected 1: lines are missing or reordered"),
        ([event(0, "maybe")], 1, "maybe"),
        ([event(0, "invoke", process="clock")], 1, "clock"),
        ([event(0, "ok", process="nemesis")], 1, "a nemesis event has type 'ok'; it must be 'info'"),
        ([event(0, "invoke", time=2**70)], 1, "no integer of 64 bits"),
        ([event(0, "invoke", process=True)], 1, "not a history event"),
        ([event(0, "invoke", f=None)], 1, "not a history event"),
    ],
)
def test_jsonl_that_breaks_the_rules_is_refused_with_line_rule_and_operation(
    events: list[Event], line: int, problem: str
) -> None:
    with pytest.raises(HistoryError) as caught:
        read([encode(each) for each in events])
    assert caught.value.line == line
    assert problem in caught.value.problem


def test_independent_keys_are_taken_out_of_jsonl_as_well() -> None:
    events = [event(0, "invoke", value=["x", None]), event(1, "ok", value=["x", [1]])]
    assert [(each.key, each.value) for each in read(map(encode, events), independent=True).events] == [
        ("x", None),
        ("x", [1]),
    ]
    with pytest.raises(HistoryError, match="line 2: process 0 'read': with independent keys"):
        read([encode(events[0]), encode(event(1, "ok", value=1))], independent=True)


def judge(text: bytes) -> None:
    """Reads it, or refuses it; anything else is a failure. What was read can be written."""
    try:
        history = read(lines(text))
    except HistoryError as problem:
        assert 1 <= problem.line <= text.count(b"\n") + 1
        assert problem.problem
    else:
        again = read_operations(edn_lines(history))
        assert list(map(repr, again.events)) == list(map(repr, history.events))


SEEDS = [JSONL, EDN, VECTOR, LOG]
PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b'"',
    b"\\",
    b":",
    b"#",
    b";",
    b",",
    b"\n",
    b"nil",
    b"null",
    b"\x00",
    b"\xff",
    b"-1",
    b"1e999",
    b"#_",
    b":ok",
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), st.sampled_from(PIECES)), max_size=4),
    st.one_of(st.none(), st.integers(0, 400)),
)
def test_a_spoiled_history_is_read_or_refused(
    text: bytes, spots: list[tuple[int, int, bytes]], end: int | None
) -> None:
    for at, gone, piece in spots:
        text = text[:at] + piece + text[at + gone :]
    judge(text[:end])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"{", b'{"', b"{:", b"[", b"(", b"#", b";", b"INFO jepsen - 1 :ok :read ", b"\xef\xbb\xbf"]),
    st.binary(max_size=60),
)
def test_random_bytes_are_read_or_refused(beginning: bytes, rest: bytes) -> None:
    judge(beginning + rest)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, b" ", b"1", b"{:type :invoke, :process 0, :f :read}", b":value"]), max_size=15)
)
def test_random_edn_is_read_or_refused(pieces: list[bytes]) -> None:
    judge(b"".join(pieces))
