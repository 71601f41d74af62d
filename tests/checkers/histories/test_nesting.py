from __future__ import annotations

import json

import pytest

from splitbrain.checkers import HistoryError
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.nesting import DEEPEST, too_deep


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize(
    ("line", "deep"),
    [
        (nested(DEEPEST), False),
        (nested(DEEPEST + 1), True),
        (nested(5000), True),
        (nested(DEEPEST // 2, '{"a":[', "]}"), False),
        (nested(DEEPEST // 2 + 1, '{"a":[', "]}"), True),
        (f"[{nested(DEEPEST - 1)},{nested(DEEPEST - 1)}]", False),
        (f"[{nested(DEEPEST)},[]]", True),
        (json.dumps([nested(5000), "\\" + nested(5000) + '"']), False),
        ("[" + ",".join(["[]"] * 5000) + "]", False),
        ("[" * 5000, False),
        ("", False),
    ],
)
def test_levels_are_counted_and_neither_brackets_nor_what_strings_hold(line: str, deep: bool) -> None:
    assert too_deep(line.encode()) is deep


FORMS = {
    "jsonl": '{{"index":0,"time":0,"process":0,"type":"invoke","f":"write","value":{}}}\n',
    "edn": "{{:process 0, :type :invoke, :f :write, :time 0, :value {}}}\n",
    "tagged edn": "#jepsen.history.Op{{:process 0, :type :invoke, :f :write, :time 0, :value {}}}\n",
    "edn that only the full reader takes": "{{:process 0 ,:type :invoke, :f :write, :value #t {}}} ; so\n",
    "edn in a vector": "[{{:process 0, :type :invoke, :f :write, :time 0, :value {}}}]\n",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_format_has_the_same_limit_in_the_same_words(form: str) -> None:
    # The event itself is the first level.
    assert len(read([form.format(nested(DEEPEST - 1)).encode()]).events) == 1
    for levels in (DEEPEST, 900, 5000):
        with pytest.raises(HistoryError, match=r"^line 2: nested deeper than 200 levels"):
            read([b"\n", form.format(nested(levels)).encode()])


def test_a_log_has_that_limit_for_values() -> None:
    line = "INFO jepsen - 0\t:invoke\t:write\t{}\n"
    assert len(read([line.format(nested(DEEPEST)).encode()]).events) == 1
    with pytest.raises(HistoryError, match=r"line 1: the value is no EDN \(nested deeper than 200 levels\)"):
        read([line.format(nested(DEEPEST + 1)).encode()])
