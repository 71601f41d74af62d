"""The page on checkers says what there is."""

from __future__ import annotations

import re
from pathlib import Path

from checkers.registry import CHECKERS

PAGE = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \|.*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def test_the_page_lists_every_checker_with_all_its_options() -> None:
    told = {name: set(re.findall(r"`(\w+)`", options)) for name, options, _ in ROW.findall(PAGE)}
    assert told == {name: set(checker.options) for name, checker in CHECKERS.items()}


def test_the_rules_are_where_the_page_says() -> None:
    package = Path(__file__).parents[2] / "checkers"
    for _, _, places in ROW.findall(PAGE):
        for place in re.findall(r"`([\w/.]+)`", places):
            assert (package / place).exists(), place
