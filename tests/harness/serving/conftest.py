"""Folders of runs, made up from the report's samples, and an index that is kept where no other test sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.report_sample import report_sample


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The module that makes up run folders."""
    return report_sample()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the index is kept."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "splitbrain"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def make(root: Path) -> Callable[..., Path]:
    """(name of the run's folder, fields of run.json, results) -> a folder with these files and a history of four
    events.
    """

    def make(name: str, run: dict[str, Any] | None = None, results: dict[str, Any] | None = None) -> Path:
        folder = root / name
        folder.mkdir(parents=True)
        described = {"workload": "sets", "system": "etcd", "environment": "sim", "faults": ["kill"], "seed": 7}
        (folder / "run.json").write_text(json.dumps(described | (run or {})))
        if results is not None:
            (folder / "results.json").write_text(json.dumps(results))
        (folder / "history.jsonl").write_text("".join(f"{line}\n" for line in EVENTS))
        return folder

    return make


EVENTS = (
    '{"index":0,"time":0,"process":0,"type":"invoke","f":"add","key":"s0","value":0,"node":"n1"}',
    '{"index":1,"time":2000000,"process":0,"type":"ok","f":"add","key":"s0","value":0,"node":"n1"}',
    '{"index":2,"time":1500000000,"process":1,"type":"invoke","f":"read","key":"s0","node":"n2"}',
    '{"index":3,"time":2500000000,"process":1,"type":"info","f":"read","key":"s0","node":"n2","error":"timeout: 1 s"}',
)


def results(verdict: str = "valid", p99: float = 12.5, ok_rate: float = 0.975) -> dict[str, Any]:
    """Results as a run leaves them."""
    return {
        "verdict": verdict,
        "reason": f"it is {verdict}",
        "checkers": {
            "latency": {"verdict": verdict, "reason": "", "overall": {"p50": 1.0, "p99": p99}},
            "availability": {"verdict": verdict, "reason": "", "ok_rate": ok_rate, "operations": 40},
            "evidence": {"verdict": verdict, "reason": "", "operations": 44},
        },
    }
