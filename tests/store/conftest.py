"""Lets the tests of this folder share the cluster in a box, however pytest was started; no test has a time limit."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

_ROOT = str(Path(__file__).parents[2])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

# Hypothesis fails an example that takes over 200 ms: on a busy machine that says nothing of the store.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
