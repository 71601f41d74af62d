"""A run's entry: what a list of runs shows of one, read from its folder.

1. Nothing in the folder is trusted: a field of another type is as good as none, and a folder without a run.json is a
   run still.
2. A run without results is `unfinished`: under way, or ended before it was judged.
3. A run is a moment in time. Where its folder's name tells the moment, that is it; otherwise its last change.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from splitbrain.harness.sealed_files import NoSuchFile, below, opened

UNFINISHED = "unfinished"
VERDICTS = ("invalid", "broken", "unknown", UNFINISHED, "valid")
"""What a run may have come to, the worst first."""
LARGEST_BYTES = 64 << 20
"""Of a run.json or results.json that is read; a run of an hour has some megabytes."""
_STAMP = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?")


class RunEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run.

    id: the path of its folder from the root's parent, `runs/sets/20261129T020932Z`. at_s: when it was, seconds since
    the epoch. verdict: of VERDICTS. checkers: verdicts by name. p99_ms: of its ok operations. ok_rate: 0 to 1.
    operations: of clients. damaged: what of it could not be read, file names.
    """

    id: str
    at_s: float
    workload: str = ""
    system: str = ""
    environment: str = ""
    faults: tuple[str, ...] = ()
    seed: int | None = None
    config: dict[str, str] = {}
    command: str = ""
    commit: str = ""
    verdict: str = UNFINISHED
    reason: str = ""
    checkers: dict[str, str] = {}
    p99_ms: float | None = None
    ok_rate: float | None = None
    operations: int | None = None
    damaged: tuple[str, ...] = ()

    @property
    def group(self) -> tuple[str, str, str]:
        """What runs have in common that can be compared over time: workload, system and environment."""
        return self.workload, self.system, self.environment

    @property
    def when(self) -> str:
        """The moment, as people write it, in UTC."""
        return datetime.fromtimestamp(self.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


class _Figures(msgspec.Struct):
    """What of a checker's verdict may be shown; see `checkers.service`."""

    verdict: Any = None
    overall: Any = None
    ok_rate: Any = None
    operations: Any = None


class _Results(msgspec.Struct):
    """What of a results.json is read."""

    verdict: Any = None
    reason: Any = ""
    checkers: dict[str, msgspec.Raw] = {}


_decode_results = msgspec.json.Decoder(_Results).decode
_decode_figures = msgspec.json.Decoder(_Figures).decode


def read_entry(root: Path, folder: str, identity: str, changed_s: float) -> RunEntry:
    """The entry of a run's folder. O(bytes of run.json and results.json).

    root, folder: the root, and the path from there. identity: the entry's id. changed_s: the folder's last change.
    """
    damaged: list[str] = []
    run = _described(root, folder, damaged)
    judged = _judged(root, folder, damaged)
    return RunEntry(
        id=identity,
        at_s=_moment(folder.rpartition("/")[2], changed_s),
        workload=_text(run.get("workload")),
        system=_text(run.get("system")),
        environment=_text(run.get("environment")),
        faults=tuple(each for each in _listed(run.get("faults")) if isinstance(each, str)),
        seed=seed if isinstance(seed := run.get("seed"), int) and not isinstance(seed, bool) else None,
        config={name: str(value) for name, value in _mapping(run.get("config")).items()},
        command=_text(run.get("command")),
        commit=_text(run.get("commit")),
        damaged=tuple(damaged),
        **judged,
    )


def _described(root: Path, folder: str, damaged: list[str]) -> dict[str, Any]:
    content = _content(root, below(folder, "run.json"))
    with suppress(ValueError, RecursionError):
        parsed = json.loads(content or b"")
        if isinstance(parsed, dict):
            return parsed
    damaged.append("run.json")
    return {}


def _judged(root: Path, folder: str, damaged: list[str]) -> dict[str, Any]:
    """The fields that come from results.json; none if there is none."""
    content = _content(root, below(folder, "results.json"))
    if content is None:
        return {}
    try:
        results = _decode_results(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        damaged.append("results.json")
        return {}
    if not isinstance(results.verdict, str) or results.verdict not in VERDICTS:
        damaged.append("results.json")
        return {}
    parts: dict[str, _Figures] = {}
    for name, raw in results.checkers.items():
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            parts[name] = _decode_figures(raw)
    none = _Figures()
    latency, availability = parts.get("latency", none), parts.get("availability", none)
    counted = parts.get("evidence", availability).operations
    return {
        "verdict": results.verdict,
        "reason": _text(results.reason),
        "checkers": {name: _text(part.verdict) for name, part in parts.items()},
        "p99_ms": _figure(_mapping(latency.overall).get("p99")),
        "ok_rate": _figure(availability.ok_rate),
        "operations": counted if isinstance(counted, int) else None,
    }


def _content(root: Path, name: str) -> bytes | None:
    try:
        with opened(root, name) as file:
            return file.read(LARGEST_BYTES)
    except (NoSuchFile, OSError):
        return None


def _moment(name: str, changed_s: float) -> float:
    found = _STAMP.fullmatch(name)
    if found is None:
        return changed_s
    with suppress(ValueError):
        stamp = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return stamp.timestamp() + int(found[2] or 0) / 1e3
    return changed_s


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _figure(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
