"""An exception's origin is the user's line, whatever it passed through on its way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from splitbrain.checkers.error_origin import at_origin, origin
from splitbrain.checkers.histories.formats import read


def raised(work: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        work()
    traceback = caught.value.__traceback__
    assert traceback is not None
    # As the project sees it, which called the user's code: without this file's frame.
    return caught.value.with_traceback(traceback.tb_next)


@pytest.fixture
def boo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[[], Any]]:
    """Compiles the body of a function of a user's, in a file that is imported from tmp_path."""

    def made(body: str) -> Callable[[], Any]:
        names: dict[str, Any] = {}
        source = f"import click, json\nfrom splitbrain.checkers.histories.formats import read\ndef boo():\n    {body}\n"
        exec(compile(source, str(tmp_path / "mine.py"), "exec"), names)
        return names["boo"]  # type: ignore[no-any-return]

    monkeypatch.syspath_prepend(str(tmp_path))
    return made


@pytest.mark.parametrize(
    "body",
    [
        "{}['boo']",
        "json.loads('{')",  # in the standard library
        "click.IntRange(1, 2).convert('x', None, None)",  # in a library
        "read([b'nonsense\\n', b'more\\n'])",  # in the project's own code
    ],
)
def test_the_innermost_line_of_a_users_file_is_the_origin(boo: Callable[[str], Callable[[], Any]], body: str) -> None:
    problem = raised(boo(body))
    assert origin(problem) == "mine.py:4"
    assert at_origin("it failed", problem) == "it failed at mine.py:4"


@pytest.mark.parametrize(
    "work",
    [
        lambda: json.loads("{"),
        lambda: click.IntRange(1, 2).convert("x", None, None),
        lambda: read([b"nonsense\n", b"more\n"]),
    ],
)
def test_what_passed_through_no_users_file_has_no_origin(work: Callable[[], Any]) -> None:
    problem = raised(work)
    assert problem.__traceback__ is not None
    problem = problem.with_traceback(problem.__traceback__.tb_next)
    assert origin(problem) == ""
    assert at_origin("it failed", problem) == "it failed"


def test_a_file_that_can_not_be_parsed_is_its_own_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    problem = raised(lambda: compile("x = 1\ndef (:\n", str(tmp_path / "mine.py"), "exec"))
    assert origin(problem) == "mine.py:2"
