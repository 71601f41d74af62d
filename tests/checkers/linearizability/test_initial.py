"""Initial values: what each model takes, and that algorithms and search honour them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from splitbrain.checkers.histories.event import Event, encode
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, Call, Model, check
from splitbrain.harness.doors.commands import cli
from tests.checkers.linearizability.timeline import recorded

# The initial value, what a history may then answer first, and what it may not.
STARTS: list[tuple[str, Any, str, str]] = [
    ("register", 5, "read -> 5", "read -> null"),
    ("register", [1, True], "read -> [1, true]", "read -> [1, 1]"),
    ("register", {"a": 1.5}, 'read -> {"a": 1.5}', 'read -> {"a": 1}'),
    ("cas-register", 5, "cas [5, 6]", "cas [null, 6]"),
    ("multi-register", {"x": 0, "y": 0}, 'txn [["r", "x", null]] -> [["r", "x", 0]]', 'txn [["r", "x", null]] -> [["r", "x", null]]'),
    ("multi-register", {"x": 0}, 'txn [["r", "y", null]] -> [["r", "y", null]]', 'txn [["r", "y", null]] -> [["r", "y", 0]]'),
    ("multi-register", {"1": 7}, 'txn [["r", 1, null]] -> [["r", 1, 7]]', 'txn [["r", 1, null]] -> [["r", 1, null]]'),
    ("kv", {"k": "a"}, 'k: get -> "a"', 'k: get -> ""'),
    ("kv", {"k": "a"}, "other: get -> null", 'other: get -> "a"'),
    ("set", [1, 2], "read -> [2, 1]", "read -> [1]"),
    ("set", [1, 2], "contains 1 -> true", "contains 3 -> true"),
    ("fifo-queue", ["a", "b"], 'dequeue -> "a"', 'dequeue -> "b"'),
    ("priority-queue", [3, 1, 2], "dequeue -> 1", "dequeue -> 3"),
    ("stack", ["a", "b"], 'pop -> "b"', 'pop -> "a"'),
    ("counter", -3, "read -> -3", "read -> 0"),
    ("mutex", 7, "release", "acquire"),
    ("mutex", "n1", "release", "acquire"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "initial", "right", "wrong"), STARTS)
def test_an_object_starts_with_its_initial_value(model: str, initial: Any, right: str, wrong: str) -> None:
    assert check(recorded(f"{right}  |-|"), model=model, initial=initial).outcome == "valid"
    verdict = check(recorded(f"{wrong}  |-|"), model=model, initial=initial)
    assert verdict.outcome == "invalid"
    assert verdict.witness is not None
    assert [call["invoked"] for call in verdict.witness.data["calls"]] == [0]


def test_there_is_an_initial_value_for_every_model() -> None:
    assert {model for model, *_ in STARTS} == set(MODELS)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_null_is_what_the_model_starts_with_by_itself(model: str) -> None:
    drawing = {"mutex": "acquire  |-|", "stack": "pop -> null  |-|", "kv": 'k: get -> ""  |-|'}.get(model)
    drawing = drawing or {"counter": "read -> 0  |-|", "set": "read -> []  |-|"}.get(model)
    if drawing is None:
        f = "dequeue" if "queue" in model else "read"
        drawing = f"{f} -> null  |-|" if model != "multi-register" else 'txn [["r", 1, null]]  |-|'
    assert check(recorded(drawing), model=model, initial=None).outcome == "valid"


def test_a_multi_register_that_was_recorded_from_zeros_is_not_called_invalid() -> None:
    drawing = """
        txn [["r", "x", null], ["r", "y", null]] -> [["r", "x", 0], ["r", "y", 0]]   |-|
        txn [["w", "x", 1]]                                                              |-|
        txn [["r", "x", null], ["r", "y", null]] -> [["r", "x", 1], ["r", "y", 0]]           |-|
        """
    assert check(recorded(drawing), model="multi-register").outcome == "invalid"
    assert check(recorded(drawing), model="multi-register", initial={"x": 0, "y": 0}).outcome == "valid"


def test_initial_elements_come_before_those_of_the_history() -> None:
    drawing = """
        enqueue "c"      |-|
        dequeue -> "a"       |-|
        dequeue -> "b"           |-|
        dequeue -> "c"               |-|
        dequeue -> null                  |-|
        """
    assert check(recorded(drawing), model="fifo-queue", initial=["a", "b"]).outcome == "valid"
    verdict = check(recorded(drawing), model="fifo-queue", initial=["b", "a"])
    assert verdict.witness is not None
    assert '"b" was enqueued before "a", and yet "a" was dequeued and "b" after it' in verdict.witness.text


@pytest.mark.parametrize(("model", "wrong"), [("fifo-queue", "dequeue -> null"), ("stack", "pop -> null")])
def test_the_witness_says_that_something_was_inside_from_the_start(model: str, wrong: str) -> None:
    verdict = check(recorded(f"{wrong}  |-|"), model=model, initial=["a"])
    assert verdict.witness is not None
    assert '"a" was surely inside from the start on' in verdict.witness.text


def test_a_forward_zone_begins_with_the_initial_value() -> None:
    drawing = """
        write 1      |-|
        read -> 1        |-|
        read -> 0            |-|
        """
    verdict = check(recorded(drawing), model="register", initial=0)
    assert verdict.witness is not None
    assert "the register held 0 at first" in verdict.witness.text


def test_null_and_the_empty_text_are_one_value_of_a_key_that_starts_with_another() -> None:
    for put, got in (("null", '""'), ('""', "null"), ("null", "null")):
        drawing = f"k: put {put}  |-|\nk: get -> {got}      |-|"
        assert check(recorded(drawing), model="kv", initial={"k": "a"}).outcome == "valid"


SHAPES: list[tuple[str, Any, str]] = [
    ("multi-register", [["x", 0]], "an object from name to value"),
    ("kv", "a", "an object from key to value"),
    ("counter", 1.5, "an integer"),
    ("counter", True, "an integer"),
    ("counter", "1", "an integer"),
    ("set", {"a": 1}, "a list of its elements, each once"),
    ("set", [1, 1], "a list of its elements, each once"),
    ("fifo-queue", 1, "a list of its elements, none of them null, the next to leave first"),
    ("fifo-queue", [None], "a list of its elements, none of them null, the next to leave first"),
    ("stack", "ab", "a list of its elements, none of them null, the top last"),
    ("priority-queue", ["a"], "a list of whole numbers, in any order"),
    ("priority-queue", [True], "a list of whole numbers, in any order"),
    ("mutex", False, "its holder (a number or a name), or null"),
    ("mutex", [1], "its holder (a number or a name), or null"),
]


@pytest.mark.parametrize(("model", "initial", "wanted"), SHAPES)
def test_an_initial_value_of_the_wrong_shape_is_refused_before_the_history_is_looked_at(
    model: str, initial: Any, wanted: str
) -> None:
    with pytest.raises(ValueError, match=f"^initial: a {model} starts as {re.escape(wanted)}, and not as ") as refusal:
        check(History([]), model=model, initial=initial)
    assert "\n" not in str(refusal.value)


def test_an_initial_value_by_key_is_refused_where_operations_have_no_key() -> None:
    with pytest.raises(ValueError, match="initial: it names keys, and the operations of this history have none"):
        check(recorded('get -> "a"  |-|'), model="kv", initial={"k": "a"})


class Thermostat(Model):
    """`warmer` by some degrees, `look`; starts at 20 degrees, or where it is told, as {"degrees": n}."""

    name = "thermostat"
    initial = 20
    fs = frozenset({"warmer", "look"})

    def malformed_initial(self, value: Any) -> str | None:
        return None if hasattr(value, "keys") and set(value) == {"degrees"} else 'an object {"degrees": n}'

    def initial_state(self, value: Any, calls: Sequence[Call]) -> int:
        return int(value["degrees"])

    def step(self, state: int, call: Call) -> Sequence[int]:
        if call.f == "warmer":
            return (state + call.argument,)
        return (state,) if not call.known or call.result == state else ()


class Fixed(Model):
    """A model whose initial state can't be set."""

    name = "fixed"

    @property
    def initial(self) -> int:  # type: ignore[override]
        return 0

    def step(self, state: int, call: Call) -> Sequence[int]:
        return (state,)


def test_a_model_of_ones_own_says_what_its_initial_value_means() -> None:
    history = recorded("warmer 2  |-|\nlook -> 7     |-|")
    assert check(history, model=Thermostat()).outcome == "invalid"
    assert check(history, model=Thermostat(), initial={"degrees": 5}).outcome == "valid"
    with pytest.raises(ValueError, match=re.escape('starts as an object {"degrees": n}, and not as 5')):
        check(history, model=Thermostat(), initial=5)
    assert Thermostat.initial == 20


def test_a_model_whose_initial_state_can_not_be_set_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="'fixed' does not let its `initial` be set; make it a plain attribute"):
        check(recorded("look -> 7  |-|"), model=Fixed(), initial=1)


def test_the_command_line_takes_an_initial_value_as_json(tmp_path: Path) -> None:
    asked, answered = [["r", "x", None]], [["r", "x", 0]]
    events = [Event(0, 0, 0, "invoke", "txn", None, asked), Event(1, 1, 0, "ok", "txn", None, answered)]
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"".join(map(encode, events)))
    words = ["check", str(file), "--checker", "linearizable", "--model", "multi-register"]
    assert CliRunner().invoke(cli, words).exit_code == 1
    assert CliRunner().invoke(cli, [*words, "--option", 'initial={"x": 0}']).exit_code == 0
    assert CliRunner().invoke(cli, [*words, "--option", 'initial={"x": 0}', "--jobs", "2"]).exit_code == 0
    refused = CliRunner().invoke(cli, [*words, "--option", "initial=3"])
    assert "initial: a multi-register starts as an object from name to value, and not as 3" in str(refused.exception)
