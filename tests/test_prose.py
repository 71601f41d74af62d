"""The prose of docstrings: short sentences in the field's words."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house import SOURCES, docstrings, module_of

WORDS_MAX = 40
HOME_MADE = {
    "nobody knows": "ambiguous, or indeterminate",
    "told apart": "distinguished",
    "woven": "generated",
    "boils down": "reduces",
}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_no_docstring_opens_with_a_genitive_that_lacks_its_noun(path):
    for owner, text in docstrings(path):
        assert not text.startswith("Of "), f"{getattr(owner, 'name', 'its opening')}: {text[:60]}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_no_sentence_of_a_module_s_opening_is_longer_than_forty_words(path):
    opening = next((text for owner, text in docstrings(path) if isinstance(owner, ast.Module)), "")
    for paragraph in re.split(r"\n\s*\n|\n\s*(?:\d+\.|-)\s", opening):
        for sentence in re.split(r"(?<=[.!?])\s", " ".join(paragraph.split())):
            assert len(sentence.split()) <= WORDS_MAX, sentence


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_docstrings_use_the_field_s_words(path):
    for owner, text in docstrings(path):
        for phrase, instead in HOME_MADE.items():
            found = phrase in " ".join(text.split()).lower()
            assert not found, f"{getattr(owner, 'name', 'its opening')}: {phrase!r}; say {instead}"
