from __future__ import annotations

import io
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import EdnOperations, edn_lines, error_text, read_operations
from tests.checkers import generate
from tests.checkers.histories.written import operation
from tests.checkers.shared import SHARED, needs_histories

PAIR = ["{:type :invoke, :f :read, :value nil, :process 0}", "{:type :ok, :f :read, :value 3, :process 0}"]


def lines(*texts: str) -> list[bytes]:
    return [line for text in texts for line in io.BytesIO(text.encode())]


def events(*texts: str, independent: bool = False) -> list[Event]:
    history = read_operations(lines(*texts), independent=independent)
    assert not history.truncated
    return list(history.events)


READ = [Event(0, 0, 0, "invoke", "read"), Event(1, 1, 0, "ok", "read", value=3)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(PAIR),
        "\n".join(PAIR) + "\n",
        "\r\n".join(PAIR) + "\r\n",
        f"[{PAIR[0]}\n {PAIR[1]}]",
        f"({PAIR[0]} {PAIR[1]})\n",
        f"; a bug was here\n[{PAIR[0]}\n; and here\n{PAIR[1]}\n]\n",
        f"#jepsen.history.Op{PAIR[0]}\n#jepsen.history.Op{PAIR[1]}\n",
        f"{PAIR[0]} {PAIR[1]}".replace(", ", ",\n "),
        "\n".join(PAIR).replace("{", "{:index 1000, :clock-offsets {:n1 2}, "),
        "\n".join(PAIR).replace(":read", '"read"').replace("0}", "0, :time nil, :error nil}"),
    ],
)
def test_operations_are_read_however_they_are_laid_out(text: str) -> None:
    assert events(text) == READ


def test_time_and_every_field_that_counts_are_kept() -> None:
    text = '{:type :invoke, :f :add, :process 3, :time 17, :key "s0", :node :n1, :value #{2 1}, :zone {:a 1}}\n'
    assert events(text) == [Event(0, 17, 3, "invoke", "add", "s0", [2, 1], "n1")]


def test_the_nemesis_is_a_process_of_its_own() -> None:
    text = '{:process :nemesis, :type :info, :f :start, :value "Cut off #[:n1]"}\n{:process :nemesis, :type :info, :f [:a 1]}\n'
    assert events(text) == [
        Event(0, 0, "nemesis", "info", "start", value="Cut off #[:n1]"),
        Event(1, 1, "nemesis", "info", '["a" 1]'),
    ]


def test_an_operation_without_process_and_f_is_a_transaction_of_process_0() -> None:
    assert events("{:index 9 :type :invoke :value [[:append 5 1]]}") == [
        Event(0, 0, 0, "invoke", "txn", value=[["append", 5, 1]])
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, None),
        ("timeout", "timeout"),
        (["no-client", "Connection refused"], "no-client: Connection refused"),
        (["busy", None], "busy"),
        (["code", 17, {"a": 1}], "code: 17 {:a 1}"),
        ({"type": "refused"}, '{:type "refused"}'),
        ([], "[]"),
        ([1], "[1]"),
        (False, "false"),
    ],
)
def test_an_error_is_text_that_opens_with_its_code(error: object, text: str | None) -> None:
    assert error_text(error) == text


def test_an_error_is_read_the_same_the_quick_way_and_the_slow() -> None:
    for value in ('[:no-client "Connection refused"]', '[:no-client #_ 1 "Connection refused"]'):
        text = f"{{:type :invoke, :f :read, :process 0}}\n{{:type :fail, :f :read, :process 0, :error {value}}}\n"
        assert events(text)[1].error == "no-client: Connection refused"


def test_independent_keys_are_taken_out_of_the_value() -> None:
    text = """\
{:type :invoke, :f :cas, :process 0, :value [7 [1 2]]}
{:process :nemesis, :type :info, :f :start, :value :n1}
{:type :info, :f :cas, :process 0, :value nil}
{:type :invoke, :f :read, :process 1, :value [:x nil]}
{:type :ok, :f :read, :process 1, :value [:x 5]}
"""
    found = events(text, independent=True)
    assert [(event.key, event.value) for event in found] == [
        (7, [1, 2]),
        (None, "n1"),
        (None, None),
        ("x", None),
        ("x", 5),
    ]


@pytest.mark.parametrize("value", ["5", "nil", "[1]", "[1 2 3]"])
def test_an_invocation_without_an_independent_key_is_refused(value: str) -> None:
    with pytest.raises(HistoryError, match=r"line 2: process 1 'read': with independent keys a value is \[key value\]"):
        events("\n", f"{{:type :invoke, :f :read, :process 1, :value {value}}}\n", independent=True)


BAD = [
    ("{:type :invoke, :f :read, :process 0} 5", 1, "not an operation, which is a map with :type, :process and :f: 5"),
    ("[[0 :invoke :read nil]]", 1, "not an operation"),
    ("{:type :okay, :f :read, :process 0}", 1, ':type is "okay"; it must be one of :invoke, :ok, :fail, :info'),
    ("{:f :read, :process 0}", 1, ":type is missing"),
    ("{:type :ok, :f :read, :process :clock}", 1, ':process is "clock"; it must be a number from 0, or :nemesis'),
    ("{:type :ok, :f :read, :process true}", 1, ":process is true"),
    ("{:type :ok, :f :read}", 1, ":process is missing"),
    ("{:type :ok, :process 0}", 1, ":f is missing"),
    ("{:type :ok, :process 0, :f :read, :time 1.5}", 1, ":time is 1.5; it must be a whole number of nanoseconds"),
    (
        "{:type :ok, :process 0, :f :read, :time 9999999999999999999}",
        1,
        "time is 9999999999999999999, no integer of 64 bits",
    ),
    ("{:type :invoke, :process -1, :f :read}", 1, ":process is -1; it must be a number from 0, or :nemesis"),
    ("\n{:type :ok, :process 0, :f :read}", 2, "process 0 completes 'read' which it never invoked"),
    (f"{PAIR[0]}\n\n; aside\n {PAIR[0]}", 4, "process 0 invokes 'read' while its last operation is open"),
    (f"{PAIR[0]}\n{PAIR[1].replace(':read', ':write')}", 2, "process 0 completes 'write' but had invoked 'read'"),
    (
        f"{PAIR[0]}\n{PAIR[1].replace(':ok', ':info')}\n{PAIR[0]}",
        3,
        "process 0 invokes 'read' after an 'info' retired it",
    ),
    ("{:type :ok, :process :nemesis, :f :start}", 1, "a nemesis event has type 'ok'; it must be 'info'"),
    ("[{:type\n:invoke, :process 0 :f :read}\n{:type\n:okay, :process 0, :f :read}]", 3, ':type is "okay"'),
    ("{:type :invoke, :process 0, :f :read, :value [1 2}\n", 1, "} can't close the [ of line 1 (column 50)"),
    (f"{PAIR[0][:-1]}\n{PAIR[1]}\n{PAIR[0]}\n", 1, "this is never closed, and other operations begin in it"),
    (f"{PAIR[0]}\n\x00\n", 2, r"\x00 is no EDN (column 1)"),
    (f"{PAIR[0]}\n{{:type :ok, :f :read, :value {'[' * 1200}", 2, "nested deeper than 200 levels"),
    (f"{PAIR[0]} {PAIR[0]}\n", 1, "process 0 invokes 'read' while its last operation is open"),
    ("{:type \\\n:ok, :process 0}\n", 1, r"\\n is no character"),
    (f"{PAIR[0]}\n{PAIR[1]} }}\n", 2, "} closes nothing"),
]


@pytest.mark.parametrize(("text", "line", "problem"), BAD)
def test_what_breaks_the_rules_is_refused_with_line_rule_and_operation(text: str, line: int, problem: str) -> None:
    with pytest.raises(HistoryError) as caught:
        events(text)
    assert caught.value.line == line
    assert problem in caught.value.problem


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(HistoryError, match="line 2: not UTF-8 from byte 3 of the line on"):
        read_operations([b"{:type :invoke, :process 0, :f :read}\n", b'{"\xff"}\n'])


@pytest.mark.parametrize("whole", ["\n".join(PAIR), f"[{PAIR[0]}\n {PAIR[1]}]", f"({PAIR[0]}\n{PAIR[1]} )"])
def test_a_text_cut_off_anywhere_counts_up_to_there(whole: str) -> None:
    text = whole.replace("nil", '"schlüssel"').encode()
    for length in range(len(text)):
        history = read_operations(text[:length].splitlines(keepends=True))
        found = list(history.events)
        assert [event.type for event in found] == ["invoke", "ok"][: len(found)]
        assert len(found) == text[:length].count(b"}")
        complete = text[:1] not in b"[(" and text[:length].strip().endswith(b"}")
        assert history.truncated == bool(length and not complete)


def test_an_unclosed_vector_was_cut_off_where_the_text_ends_and_not_where_it_begins() -> None:
    for opener, closer in ("[]", "()"):
        text = f"{opener}{PAIR[0]}\n{PAIR[1]}\n"
        assert read_operations(text.encode().splitlines(keepends=True)).cut_at == 2
        assert read_operations(f"{text}{closer}".encode().splitlines(keepends=True)).cut_at == 0


def test_where_a_text_was_cut_off_is_the_line_on_which_the_operation_begins() -> None:
    assert read_operations(f"{PAIR[0]}\n{{:type :ok\n :f :re".encode().splitlines(keepends=True)).cut_at == 2
    assert read_operations(f"{PAIR[0]}\n{{:type".encode().splitlines(keepends=True)).cut_at == 2
    assert read_operations([line.encode() + b"\n" for line in PAIR]).cut_at == 0


@pytest.mark.parametrize("tag", ["", "#jepsen.history.Op", "  "])
def test_a_string_that_swallows_operations_was_never_closed(tag: str) -> None:
    opening = '{:type :ok, :process 0, :f :read, :value "abc}'
    with pytest.raises(HistoryError, match="line 2: this is never closed, and other operations begin in it"):
        read_operations(f"{PAIR[0]}\n{opening}\n{tag}{PAIR[0]}\n".encode().splitlines(keepends=True))
    assert read_operations(f"{PAIR[0]}\n{opening}\nanother line".encode().splitlines(keepends=True)).cut_at == 2


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=True), st.sampled_from(generate.SHAPES))
def test_a_history_survives_being_written_as_edn_and_read(random: Random, shape: str) -> None:
    history = generate.history(random, shape)
    assert list(read_operations(edn_lines(history)).events) == list(history.events)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            Event,
            index=st.just(0),
            time=st.integers(-(2**63), 2**63 - 1),
            process=st.just("nemesis"),
            type=st.just("info"),
            f=st.text(),
            key=st.one_of(st.none(), st.integers(), st.text()),
            value=VALUES,
            node=st.one_of(st.none(), st.text()),
            error=st.one_of(st.none(), st.text()),
        ),
        max_size=3,
    )
)
def test_any_event_survives_being_written_as_edn_and_read(found: list[Event]) -> None:
    again = list(read_operations(edn_lines(History(found))).events)
    # By repr, which tells 1 from True and 0.0 from -0.0.
    assert list(map(repr, again)) == [repr(replace(event, index=at)) for at, event in enumerate(found)]


def test_transactions_are_written_as_jepsen_has_them() -> None:
    event = Event(0, 5, 1, "ok", "txn", "k", [["append", 1, 2], ["r", 1, [2]]], "n1", "timeout: none")
    assert list(edn_lines(History([event]))) == [
        b'{:index 0, :time 5, :process 1, :type :ok, :f :txn, :key "k", :value [[:append 1 2] [:r 1 [2]]],'
        b' :node "n1", :error "timeout: none"}\n'
    ]


def outcome(text: str, *, fast: bool) -> tuple[object, ...]:
    """What an iteration over the operations gives, and how it ends."""
    found: list[object] = []
    operations = EdnOperations(lines(text), fast=fast)
    try:
        found += [(line, repr(record)) for line, record in operations]
    except HistoryError as problem:
        return (*found, str(problem))
    return (*found, operations.cut_at)


@settings(max_examples=200, deadline=None)
@given(st.lists(operation(), max_size=6), st.sampled_from(["", "[", "("]))
def test_the_quick_way_reads_nothing_else_than_the_full_reader(texts: list[str], opening: str) -> None:
    text = opening + "".join(texts)
    assert outcome(text, fast=True) == outcome(text, fast=False)


@settings(max_examples=500, deadline=None)
@example([(161, '"')])
@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(list(':{}[]()" ,\n\\;#_nul0"-.e\x00\x02\x01'))), max_size=4)
)
def test_the_quick_way_reads_nothing_else_where_plain_lines_were_spoiled(spots: list[tuple[int, str]]) -> None:
    text = "".join(
        f'{{:type :{type_}, :f :txn, :value [[:append {at} 1] [:r 11 nil] [:w "a b" [1 2]]], :process 1, :time {at}}}\n'
        for at, type_ in enumerate(["invoke", "ok", "invoke", "fail"])
    )
    for at, character in spots:
        text = text[:at] + character + text[at + 1 :]
    assert outcome(text, fast=True) == outcome(text, fast=False)


@pytest.mark.parametrize(
    "value",
    [
        "null", ":null", "[:null nil]", "nilly", ":nil", "[nil nil nil]", '"nil, nil"', '"a:b :c "', "1:2", '{"a":1}',
        '{"a" 1}', "{:a 1, :b nil}", "{:a 1 :b 2}", "[1, :time 3]", "[:a, :b 1]", "[:type :ok]", "007", "-0", "1.", "+5",
        "5N", "1e400", "22/7", "#{1 2}", "(1 2)", "[1 2)", "truefalse", "[true,false]", "\x00", "\x02", '"\x00"', "[,]",
        "9" * 25, "#_ 1 2", "; gone", "\\a", '"\\n"', ":a/b", ":a:b", "a:b", "[ 1 2 ]", '"', '""', "[\"a\"\"b\"]",
        "{:value 1, :type :x}", ":jepsen.history.Op", '"#jepsen.history.Op{"', "#jepsen.history.Op{:a 1}",
        "1.7976931348623157e308", "0.1", "123456789.123456789e-7", "-", "'", "[[[[]]]]", "}{", "}\n{",
        '{"a"\x021}', '"a\\/b"', '["a" "b]',
    ],
)  # fmt: skip
def test_values_that_look_like_json_but_are_not_are_read_as_edn(value: str) -> None:
    text = "".join(
        f"{{:type :{type_}, :f :read, :value {value}, :process 0, :time {at}}}\n"
        for at, type_ in enumerate(["invoke", "ok"])
    )
    assert outcome(text, fast=True) == outcome(text, fast=False)


def test_the_quick_way_is_taken_for_what_jepsen_writes() -> None:
    text = "".join(
        f"{{:type :{t}, :f :{f}, :value {v}, :process 1, :time 5, :index 7}}\n"
        for t in ("invoke", "ok", "fail", "info")
        for f in ("read", "write", "cas", "txn", "transfer", "enqueue")
        for v in ("nil", "3", "[1 2]", "[[:append 3 4] [:r 5 nil]]", '"x 1 2 y"', "{:from 1, :to 2}", "[:a :b]")
    )
    operations = EdnOperations(lines(text))
    operations._slowly = None  # type: ignore[assignment, method-assign]
    assert sum(1 for _ in operations) == 4 * 6 * 7


def test_keywords_that_are_data_and_many_are_read_all_the_same() -> None:
    text = "".join(
        f"{{:type :info, :process :nemesis, :f :f{at}, :value [:v{at} :w{at}], :k{at} 1}}\n" for at in range(900)
    )
    assert [event.value for event in events(text)] == [[f"v{at}", f"w{at}"] for at in range(900)]


@needs_histories
def test_all_shared_histories_in_edn_are_read_whole() -> None:
    files = sorted([*SHARED.glob("knossos/**/*.edn"), *SHARED.glob("elle/*.edn"), *SHARED.glob("porcupine/c*.txt")])
    assert len(files) >= 47
    for path in files:
        with path.open("rb") as file:
            history = read_operations(file)
        assert not history.truncated, path
        assert len(history.events) == path.read_text().count(":type :") - path.read_text().count("throw+: {:type :"), (
            path
        )


@pytest.mark.parametrize("due", [":soon", "nil", "7", "2.0", "true", "-1"])
def test_a_due_that_can_not_be_an_invocation_s_is_passed_over(due: str) -> None:
    text = f"{{:type :invoke, :f :read, :process 0, :time 5, :due {due}}}\n{{:type :ok, :f :read, :process 0, :time 9, :due 2}}\n"
    assert [event.due for event in read_operations(text.encode().splitlines(keepends=True)).events] == [None, None]
