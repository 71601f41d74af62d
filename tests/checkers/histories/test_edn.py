from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import edn_format
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.histories.notation.edn import EdnError, Reader, read, read_all, write
from tests.checkers.histories.written import VALUES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("-12", -12),
        ("+3", 3),
        ("4N", 4),
        ("-0", 0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("0x4a5b", 19035),
        ("1.5", 1.5),
        ("1.", 1.0),
        ("1.5M", 1.5),
        ("1E-3", 0.001),
        ("22/7", "22/7"),
        ("##Inf", math.inf),
        (":read", "read"),
        (":jepsen.history/op", "jepsen.history/op"),
        ("->sym", "->sym"),
        (r"\a", "a"),
        (r"\newline", "\n"),
        (r"\u00e9", "é"),
        (r"\)", ")"),
        (r'"a\tb\"\\\u0041"', 'a\tb"\\A'),
        (r'"\ud83d\ude00"', "😀"),
        ('"two\nlines"', "two\nlines"),
        ("[1,2 ,, 3]", [1, 2, 3]),
        ("(1 (2) [])", [1, [2], []]),
        ("#{3 1 2}", [3, 1, 2]),
        ('{:a 1, "b" 2, 3 4}', {"a": 1, "b": 2, 3: 4}),
        ("{nil 1, true 2, 1.5 3, [:a 1] 4}", {"nil": 1, "true": 2, "1.5": 3, '["a" 1]': 4}),
        ("{1 :one, true :yes}", {1: "one", "true": "yes"}),
        ("#:foo{:a 1, :b/c 2, :_/d :a}", {"foo/a": 1, "b/c": 2, "d": "a"}),
        ("[:a #:foo{:a :a}]", ["a", {"foo/a": "a"}]),
        ('#inst "2015-01-01"', "2015-01-01"),
        ('#object[java.lang.Foo 0x1f "text"]', ["java.lang.Foo", 31, "text"]),
        ("[1 #_ 2 3 #_ #_ 4 5]", [1, 3]),
        ("[#_ #tag [1] #tag #_ 2 3]", [3]),
        ("; nothing\n7 ; here", 7),
    ],
)
def test_every_kind_of_value_is_read(text: str, value: object) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("[1\n  2}", 2, 4, "} can't close the [ of line 1"),
        ("]", 1, 1, "] closes nothing"),
        ("{:a}", 1, 4, "the map of line 1 has a key without a value"),
        ("[1 #_]", 1, 6, "] where a value must follow #_"),
        ("[#foo]", 1, 6, "] where a value must follow a tag"),
        ("[1 2", 1, 5, "the text ends inside what line 1 opens"),
        ('\n[1 "ab\ncd', 3, 3, "the text ends inside what line 2 opens"),
        ("017", 1, 1, "017 is no number"),
        ("[1 1x]", 1, 4, "1x is no number"),
        ("9" * 5000, 1, 1, "9" * 37 + "... has too many digits"),
        (r"\foo", 1, 1, r"\foo is no character"),
        ("\\ ", 1, 1, r"\  is no character"),
        (r"\ud800", 1, 1, r"\ud800 is no character"),
        ("::a", 1, 1, "::a is no keyword"),
        (": ", 1, 1, ": is no keyword"),
        ("^a", 1, 1, "^a is no EDN"),
        ("\x00", 1, 1, r"\x00 is no EDN"),
        ("#1", 1, 1, "#1 is no tag"),
        ("#::a{:b 1}", 1, 1, "#::a is no tag"),
        ("#:a [1]", 1, 7, "a namespace needs a map"),
        (r'"\q"', 1, 1, r"a string has \q, which is no escape"),
        (r'"\ud83d"', 1, 1, "a string has half of a surrogate pair"),
        ("1 2", 1, 1, "2 values where one must be"),
        ("", 1, 1, "0 values where one must be"),
    ],
)
def test_what_is_no_edn_is_refused_where_it_is(text: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(EdnError) as caught:
        read(text)
    assert (caught.value.line, caught.value.column, caught.value.problem) == (line, column, problem)
    assert str(caught.value) == f"line {line}, column {column}: {problem}"


class Unordered(list[Any]):
    """A set of theirs."""


def theirs(value: Any) -> Any:
    """A value of edn_format's by our rules."""
    match value:
        case edn_format.Keyword() | edn_format.Symbol():
            return str(value).removeprefix(":")
        case Decimal():
            return float(value)
        case Mapping():
            return {theirs(key): theirs(entry) for key, entry in value.items()}
        case frozenset():
            return Unordered(theirs(item) for item in value)
        case str():
            return "".join(value)  # A character is a string of another type.
        case int() | float() | None:
            return value
        case _:
            return [theirs(item) for item in value]


def like(ours: Any, other: Any) -> bool:
    """Equal, but that a set of theirs is a list of ours in any order, and with its repetitions."""
    if isinstance(other, Unordered):
        if not isinstance(ours, list):
            return False
        # Their sets hold only one of 0 and false, and of 1, 1.0 and true.
        pairs = [[like(mine, their) or mine == their for their in other] for mine in ours]
        return all(map(any, pairs)) and all(map(any, zip(*pairs, strict=True))) and bool(ours) == bool(other)
    if isinstance(other, dict):
        return (
            isinstance(ours, dict) and ours.keys() == other.keys() and all(like(ours[key], other[key]) for key in other)
        )
    if isinstance(other, list):
        return isinstance(ours, list) and len(ours) == len(other) and all(map(like, ours, other))
    return type(ours) is type(other) and (ours == other)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_another_reader_of_edn_reads_the_same(text: str) -> None:
    assert like(read(text), theirs(edn_format.loads(text)))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_what_is_written_reads_back_the_same_on_one_line(value: object) -> None:
    text = write(value)
    assert "\n" not in text
    assert repr(read(text)) == repr(value)


def test_keys_are_written_as_keywords_where_they_can_be() -> None:
    assert (
        write({"write": 17, "a b": None, "": True, "7": [1.5, "x"]}) == '{:write 17, "a b" nil, "" true, "7" [1.5 "x"]}'
    )


def test_what_json_lacks_can_not_be_written() -> None:
    with pytest.raises(TypeError, match="set can't be written as EDN"):
        write([{1, 2}])


def test_nesting_is_limited_by_nothing_but_memory() -> None:
    deep = 100_000
    assert write(read("[" * deep + "]" * deep)) == "[" * deep + "]" * deep
    value = read("{:a " * deep + "1" + "}" * deep)
    for _ in range(deep):
        value = value["a"]
    assert value == 1


def test_a_reader_may_limit_nesting() -> None:
    assert list(Reader(deepest=3).feed("[[[1]]]")) == [(1, [[[1]]])]
    with pytest.raises(EdnError, match="line 1, column 4: nested deeper than 3 levels"):
        list(Reader(deepest=3).feed("[[[[1]]]]"))


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, max_size=4), st.sampled_from([("[", "]"), ("(", ")"), ("#history [", "]")]))
def test_a_spliced_vector_gives_its_elements_one_by_one(values: list[str], brackets: tuple[str, str]) -> None:
    text = brackets[0] + "\n".join(values) + brackets[1]
    reader = Reader(splice=True)
    spliced = [value for line in text.split("\n") for _, value in reader.feed(line + "\n")]
    assert reader.finished
    assert repr(spliced) == repr(read(text))


def test_values_come_with_the_line_they_start_on() -> None:
    reader = Reader(splice=True)
    lines = ["; first\n", "[{:a\n", "  1}\n", "\n", ' "x\n', '  y" :b]\n', "{}"]
    found = [pair for line in lines for pair in reader.feed(line)]
    assert found == [(2, {"a": 1}), (5, "x\n  y"), (6, "b"), (7, {})]


def test_values_are_given_as_soon_as_they_are_complete() -> None:
    reader = Reader(splice=True)
    assert list(reader.feed("[1 {:a")) == [(1, 1)]
    assert not reader.between
    assert list(reader.feed(" 2}")) == [(1, {"a": 2})]
    assert reader.between
    assert not reader.finished


def test_a_text_of_nothing_but_space_holds_no_values_and_is_read_in_a_moment() -> None:
    assert read_all(" ,\t" * 300_000) == []
    assert read_all('"' + "\\\\" * 300_000 + '"') == ["\\" * 300_000]
