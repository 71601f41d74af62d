"""A key that is given twice is refused by its line, whatever the format; readers would take different values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.checkers.histories.event import Event, HistoryError, encode
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.repeated_keys import repeated

WRITE = '{"index":0,"time":1,"process":0,"type":"invoke","f":"write","value":1}'
EDN = "{:type :invoke, :f :write, :process 0, :value 1}"


def refused(*lines: str) -> HistoryError:
    with pytest.raises(HistoryError) as caught:
        read([f"{line}\n" for line in lines])
    return caught.value


def test_a_value_given_twice_was_valid_with_the_last_of_them() -> None:
    problem = refused(WRITE, '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":99,"value":1}')
    assert (problem.line, problem.problem) == (
        2,
        "the key 'value' is given twice, and readers differ in which they take",
    )


@pytest.mark.parametrize(
    "line",
    [
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","f":"write","value":1}',
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":{"a":1,"b":{"c":2,"c":2}}}',
        r'{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":1,"v\u0061lue":2}',
        '{"index":1, "time":2, "process":0, "type":"ok", "f":"write", "mine":1, "mine" :1}',
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":null,"value":null}',
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":99,"value":null}',
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":null,"value":99}',
        '{"index":7,"index":1,"time":2,"process":0,"type":"ok","f":"write"}',
    ],
)
def test_in_jsonl_any_key_of_any_object_counts(line: str) -> None:
    assert refused(WRITE, line).line == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":{"value":1,"f":{"value":2}}}',
        r'{"index":1,"time":2,"process":0,"type":"ok","f":"write","value":"\"value\":1,\"value\":"}',
        '{"index":1, "time":2, "process":0, "type":"ok", "f":"write", "value":[{"a":1}, {"a":1}], "mine":"f\\":"}',
    ],
)
def test_what_only_looks_like_a_key_given_twice_is_read(line: str) -> None:
    assert len(read([f"{WRITE}\n", f"{line}\n"]).events) == 2


def test_the_first_line_that_breaks_a_rule_is_named_though_a_later_one_has_a_key_twice() -> None:
    twice = '{"index":2,"time":2,"process":0,"type":"ok","f":"write","value":1,"value":1}'
    assert refused(WRITE, WRITE.replace('"index":0', '"index":7'), twice).line == 2
    assert refused(WRITE, twice.replace('"index":2', '"index":1'), WRITE).line == 2
    assert refused(WRITE, twice.replace('"index":2', '"index":1'), "{garbage").line == 2


def test_it_is_found_behind_many_lines() -> None:
    lines = [encode(Event(at, at, 0, "invoke" if at % 2 == 0 else "ok", "read")) for at in range(5_000)]
    lines.append(b'{"index":5000,"time":5000,"process":0,"type":"invoke","f":"read","f":"read"}\n')
    lines += [encode(Event(at, at, 0, "ok" if at % 2 else "invoke", "read")) for at in range(5_001, 9_000)]
    with pytest.raises(HistoryError, match="line 5001: the key 'f' is given twice"):
        read(lines)


def test_in_a_json_array_too() -> None:
    operation = '{"type":"invoke","f":"write","process":0,"value":1}'
    twice = operation.replace("}", ',"value":2}')
    assert (refused(f"[{operation},", f"{twice}]").line, refused(f"[{operation},", f"{twice}]").problem[:23]) == (
        2,
        "the key 'value' is give",
    )


@pytest.mark.parametrize("extra", ["", ", :index 3", ", :mine 1", ', :note "a\\"b"', ", :error nil"])
@pytest.mark.parametrize("before", [0, 1, 300])
def test_in_edn_by_the_fast_path_and_the_full_reader(extra: str, before: int) -> None:
    whole = [EDN.replace("invoke", kind).replace("}", f"{extra}}}") for kind in ("invoke", "ok")] * before
    twice = EDN.replace("}", f"{extra}, :value 2}}")
    problem = refused(*whole, twice, *whole)
    assert problem.line == 2 * before + 1 and "the key 'value' is given twice" in problem.problem
    assert len(read([f"{line}\n" for line in whole]).events) == 2 * before


def test_in_edn_a_map_within_a_value_counts() -> None:
    assert "'a' is given twice" in refused(EDN.replace("1}", "{:a 1, :a 2}}")).problem
    assert len(read([EDN.replace("1}", "[{:a 1} {:a 2}]}") + "\n"]).events) == 1


names = st.sampled_from(["a", "value", "f", 'q"', "ü", "\\"])
trees = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(names, inner), max_size=3).map(tuple),
    max_leaves=8,
)


def written(tree: object) -> tuple[str, bool]:
    """The tree as JSON, tuples as objects, and whether one of these has a key twice."""
    if isinstance(tree, tuple):
        parts = [(json.dumps(name), *written(inner)) for name, inner in tree]
        twice = len({name for name, _ in tree}) < len(tree) or any(part[2] for part in parts)
        return "{" + ",".join(f"{name}:{text}" for name, text, _ in parts) + "}", twice
    if isinstance(tree, list):
        both = [written(inner) for inner in tree]
        return "[" + ",".join(text for text, _ in both) + "]", any(twice for _, twice in both)
    return json.dumps(tree), False


@given(trees)
def test_exactly_the_objects_that_have_a_key_twice_are_found(tree: object) -> None:
    text, twice = written(tree)
    assert (repeated(text.encode()) is not None) == twice
