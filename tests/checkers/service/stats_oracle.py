"""What `stats` must say."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History


def stats(history: History) -> dict[str, Any]:
    by_f: dict[str, list[str]] = {}
    for event in history.events:
        if event.type == "invoke":
            by_f.setdefault(event.f, [])
    for f, outcomes in by_f.items():
        of_f = [event for event in history.events if event.f == f and event.process != "nemesis"]
        asked = sum(event.type == "invoke" for event in of_f)
        done = [event.type for event in of_f if event.type in ("ok", "fail")]
        outcomes += done + ["info"] * (asked - len(done))
    clients = {f: outcomes for f, outcomes in by_f.items() if f != "replica"}
    fine = bool(clients) and all("ok" in outcomes for outcomes in clients.values())
    return {
        "verdict": "valid" if fine else "unknown",
        "by_f": {f: (len(o), o.count("ok"), o.count("fail"), o.count("info")) for f, o in by_f.items()},
        "total": sum(len(outcomes) for outcomes in clients.values()),
    }
