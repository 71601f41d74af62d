"""The module that makes up run folders, for the tests of several folders."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SAMPLE = Path(__file__).parent / "harness" / "report" / "sample.py"


def report_sample() -> ModuleType:
    """That module, loaded once."""
    if "report_sample" not in sys.modules:
        spec = importlib.util.spec_from_file_location("report_sample", SAMPLE)
        assert spec is not None and spec.loader is not None
        sys.modules["report_sample"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["report_sample"]
