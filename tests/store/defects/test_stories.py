"""Each defect on purpose: a checker rejects a run with it, and passes the same run without it."""

from __future__ import annotations

import pytest

from splitbrain.store.defects import DEFECTS
from tests.store.defects import (
    diverging,
    losing,
    losing_hints_and_buffers,
    losing_siblings,
    resurrecting,
    siblings,
    stale,
)

STORIES = (
    *losing.STORIES,
    *losing_siblings.STORIES,
    *losing_hints_and_buffers.STORIES,
    *siblings.STORIES,
    *resurrecting.STORIES,
    *diverging.STORIES,
    *stale.STORIES,
)
each = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.defect)


def test_every_defect_has_a_story():
    assert {story.defect for story in STORIES} == set(DEFECTS)


@each
def test_a_checker_rejects_the_run_with(story):
    verdict = story.judge(defective=True)
    assert verdict.outcome == "invalid", verdict.reason


@each
def test_the_same_checker_passes_the_same_run_without(story):
    verdict = story.judge(defective=False)
    assert verdict.outcome == "valid", verdict.reason
