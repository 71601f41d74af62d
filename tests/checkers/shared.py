"""Recorded histories with known verdicts, where they are: next to the repository, or where SPLITBRAIN_HISTORIES says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SPLITBRAIN_HISTORIES", Path(__file__).parents[3] / "shared" / "histories"))
needs_histories = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"no recorded histories in {SHARED}; name their folder in SPLITBRAIN_HISTORIES"
)
