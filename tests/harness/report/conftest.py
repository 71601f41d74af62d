"""The sample runs, for the report's tests."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from splitbrain.checkers.histories.history import History


def _load() -> ModuleType:
    name = "report_sample"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("sample.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The module that makes up run folders."""
    return _load()


@pytest.fixture
def parse() -> Any:
    """Events as dicts, numbered here -> History."""

    def parse(*events: dict[str, Any]) -> History:
        return History.parse([json.dumps({"index": at, **event}) + "\n" for at, event in enumerate(events)])

    return parse


@pytest.fixture
def event() -> Any:
    """(time in ms, process, type, f, ...) -> an event without its index."""

    def event(at_ms: float, process: int | str, kind: str, f: str, **rest: Any) -> dict[str, Any]:
        return {"time": int(at_ms * 1_000_000), "process": process, "type": kind, "f": f, **rest}

    return event
