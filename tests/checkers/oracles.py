"""What the checkers must say, computed the slow way: straight from the definitions, nothing shared with them.

Each oracle takes a history and returns the figures that the checker of that name must agree with. They are exponential
or cubic where that is plainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History


class Op(NamedTuple):
    inv: Event
    comp: Event | None

    @property
    def outcome(self) -> str:
        return self.comp.type if self.comp else "info"

    @property
    def end(self) -> float:
        return self.comp.index if self.comp else float("inf")

    @property
    def node(self) -> str | None:
        return (self.comp.node if self.comp else None) or self.inv.node


class Band(NamedTuple):
    family: str
    start: int
    stop: float
    healed: Event | None
    effective: bool | None
    nodes: tuple[str, ...]


def ops(history: History, *fs: str) -> list[Op]:
    found = []
    for event in history.events:
        if event.type == "invoke" and (not fs or event.f in fs):
            later = [e for e in history.events if e.process == event.process and e.index > event.index]
            found.append(Op(event, later[0] if later else None))
    return found


def stage(history: History, name: str) -> Event | None:
    found = [e for e in history.events if e.process == "nemesis" and e.f == "stage" and e.value == name]
    return found[-1] if found else None


def staged(history: History) -> bool:
    return any(e.process == "nemesis" and e.f == "stage" for e in history.events)


def actions(history: History, phase: str) -> list[tuple[Event, Event | None]]:
    """Invocation and completion; in generated histories exactly the completions have evidence."""
    found = []
    mine = [e for e in history.events if e.process == "nemesis" and e.f != "stage"]
    for event in mine:
        if event.value["phase"] == phase and "evidence" not in event.value:
            later = [e for e in mine if e.index > event.index and e.f == event.f]
            found.append((event, later[0] if later else None))
    return found


def effective(completion: Event | None) -> bool | None:
    if completion is None:
        return None
    if completion.error:
        return False
    found = completion.value["evidence"].get("effective")
    return found if isinstance(found, bool) else None


def bands(history: History) -> list[Band]:
    found = []
    for inv, comp in actions(history, "start"):
        start = (comp or inv).index
        needed = set(inv.value.get("nodes", ()))
        back: set[str] = set()
        stop: float = float("inf")
        healed = None
        for other, done in actions(history, "stop"):
            if other.value["fault"] != inv.value["fault"] or other.index < inv.index:
                continue
            back |= set(other.value.get("nodes", needed))
            if needed <= back:
                stop, healed = other.index, done or other
                break
        found.append(Band(inv.value["fault"], start, stop, healed, effective(comp), tuple(sorted(needed))))
    return found


def struck(op: Op, band: Band) -> bool:
    return any(op.inv.index <= moment <= op.end for moment in _within(band))


def _within(band: Band) -> list[float]:
    """Moments between the events in which it stood."""
    last = min(band.stop, 10_000)
    return [band.start + step + 0.5 for step in range(int(last) - band.start)]


def heal_failed(history: History, *, strictly: bool = False) -> bool:
    """strictly: that all answered in the end does not count."""
    for failed, done in actions(history, "stop"):
        later = [other for other, _ in actions(history, "stop") if other.index > failed.index and other.f == failed.f]
        nodes = set(failed.value.get("nodes", ()))
        if effective(done) is False and not any(nodes <= set(other.value.get("nodes", nodes)) for other in later):
            answered = stage(history, "recovered") if nodes and not strictly else None
            if answered is None or answered.index < failed.index:
                return True
    return False


def final_reads(history: History) -> list[Op]:
    last_ack = max((op.end for op in ops(history, "add", "put") if op.outcome == "ok"), default=-1)
    if heal_failed(history) or stage(history, "environment-lost"):
        after: float = float("inf")
    elif staged(history):
        begin = stage(history, "final-reads")
        after = begin.index if begin else float("inf")
    elif any(band.stop == float("inf") for band in bands(history)):
        after = float("inf")
    else:
        after = max((e.index for e in history.events if e.process == "nemesis"), default=-1)
    return [
        op for op in ops(history, "read") if op.outcome == "ok" and op.inv.index > last_ack and op.inv.index > after
    ]


def concluding_reads(history: History, key: object) -> list[Op]:
    final = [op for op in final_reads(history) if op.inv.key == key]
    return [op for op in final if not any(o.node == op.node and o.inv.index > op.end for o in final)]


def disagreed(history: History, missing: int, otherwise: str) -> str:
    if not missing:
        return otherwise
    return "invalid" if stage(history, "convergence") else "unknown"


def quantiles(durations_ms: list[float]) -> dict[str, float]:
    shown = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 1000}
    return {
        name: min(x for x in durations_ms if sum(y <= x for y in durations_ms) * 1000 >= n * len(durations_ms))
        for name, n in shown.items()
        if durations_ms
    }


def lost_writes(history: History) -> dict[str, Any]:
    if ops(history, "add"):
        return _lost_elements(history)
    if ops(history, "put"):
        return _lost_versions(history)
    return {"verdict": "unknown"}


def _lost_elements(history: History) -> dict[str, Any]:
    adds = ops(history, "add")
    reads = [op for op in ops(history, "read") if op.outcome == "ok"]
    final = final_reads(history)

    def of(key: object, some: list[Op]) -> list[list[int]]:
        return [op.comp.value for op in some if op.inv.key == key and op.comp]

    acked = [op for op in adds if op.outcome == "ok"]
    judged = [op for op in acked if of(op.inv.key, final)]

    def remains(op: Op) -> bool:
        return any(op.inv.value in value for value in of(op.inv.key, concluding_reads(history, op.inv.key)))

    lost = [op for op in judged if not remains(op)]
    stable = [op for op in judged if all(op.inv.value in value for value in of(op.inv.key, final))]

    def holds(read: Op, op: Op) -> bool:
        return read.comp is not None and read.inv.key == op.inv.key and op.inv.value in read.comp.value

    def lacks(read: Op, op: Op) -> bool:
        return read.inv.key == op.inv.key and read.inv.index > op.end and not holds(read, op)

    def waited(op: Op, which: Callable[[Op, Op], bool]) -> float:
        moments = [read.inv for read in reads if which(read, op)]
        assert op.comp is not None
        return max(0, moments[-1].time - op.comp.time) / 1e6 if moments else 0.0

    missing = [
        op
        for op in judged
        if op not in lost
        and any(read.comp and op.inv.value not in read.comp.value for read in concluding_reads(history, op.inv.key))
    ]
    vanished = [
        op
        for op in adds
        if op.outcome == "info"
        and of(op.inv.key, final)
        and not remains(op)
        and any(holds(r, op) and all(r.end < w.inv.index for w in concluding_reads(history, op.inv.key)) for r in reads)
    ]
    stale = [
        op
        for op in acked
        if any(lacks(r, op) and holds(s, op) and s.inv.index > r.inv.index for r in reads for s in reads)
    ]
    pairs = {(op.inv.key, op.inv.value): op for op in adds}
    everything = {(r.inv.key, v): r.comp.value.count(v) for r in reads if r.comp for v in r.comp.value}
    figures: dict[str, Any] = {
        "attempted": len(adds),
        "acknowledged": len(acked),
        "failed": sum(op.outcome == "fail" for op in adds),
        "indeterminate": sum(op.outcome == "info" for op in adds),
        "lost": len(lost),
        "survivors": len(judged) - len(lost),
        "unstable": len(judged) - len(lost) - len(stable),
        "missing": len(missing),
        "never_read": len(acked) - len(judged),
        "stale": len(stale),
        "recovered": sum(op.outcome == "info" and remains(op) for op in adds),
        "vanished": len(vanished),
        "phantom": sum(pair in pairs and pairs[pair].outcome == "fail" for pair in everything),
        "unexpected": sum(pair not in pairs for pair in everything),
        "duplicated": len({(r.inv.key, v) for r in reads if r.comp for v in r.comp.value if r.comp.value.count(v) > 1}),
        "stable_latency_ms": quantiles([waited(op, lacks) for op in stable]),
        "lost_latency_ms": quantiles([waited(op, holds) for op in lost]),
    }
    if any(figures[name] for name in ("lost", "phantom", "unexpected", "duplicated")):
        return {"verdict": "invalid", **figures}
    verdict = "unknown" if not acked or figures["never_read"] or vanished else "valid"
    return {"verdict": disagreed(history, len(missing), verdict), **figures}


def _seen(op: Op) -> list[int] | None:
    value = op.comp.value if op.comp else None
    return value.get("seen") if isinstance(value, dict) else None


def _reaches(puts: Mapping[int, Op], later: int, earlier: int, key: object, path: tuple[int, ...] = ()) -> bool:
    """Whether `later` is `earlier` or had seen it, by walking every path there is."""
    if later not in puts or puts[later].inv.key != key or later in path:
        return False
    if later == earlier:
        return True
    return any(_reaches(puts, id_, earlier, key, (*path, later)) for id_ in _seen(puts[later]) or ())


def _lost_versions(history: History) -> dict[str, Any]:
    puts = {op.inv.value["write"]: op for op in ops(history, "put")}
    reads = [op for op in ops(history, "read") if op.outcome == "ok"]
    final = final_reads(history)
    fates = {"lost": 0, "surviving": 0, "superseded": 0, "unprovable": 0, "never_read": 0}
    missing = vanished = 0
    for id_, put in puts.items():
        if put.outcome == "fail":
            continue
        key = put.inv.key
        mine = [op for op in final if op.inv.key == key]
        siblings = {sibling for op in concluding_reads(history, key) if op.comp for sibling in op.comp.value}

        def stands(some: Iterable[int], key: object = key, id_: int = id_, put: Op = put) -> str:
            if any(_reaches(puts, sibling, id_, key) for sibling in some):
                return "surely"
            vague = [u for u in puts if _seen(puts[u]) is None and any(_reaches(puts, s, u, key) for s in some)]
            return "maybe" if any(put.inv.index < puts[u].end for u in vague) else "no"

        if put.outcome == "info":
            shown = [op for op in reads if op.inv.key == key and op.comp and id_ in op.comp.value]
            before = any(all(op.end < word.inv.index for word in concluding_reads(history, key)) for op in shown)
            vanished += bool(mine) and before and stands(siblings) == "no"
            continue
        words = [stands(op.comp.value) for op in concluding_reads(history, key) if op.comp]
        if not mine:
            fates["never_read"] += 1
        elif stands(siblings) == "no":
            fates["lost"] += 1
        elif stands(siblings) == "maybe" or ("maybe" in words and "no" not in words):
            fates["unprovable"] += 1
        else:
            fates["surviving" if id_ in siblings else "superseded"] += 1
            missing += "no" in words
    met = {(op.inv.key, id_) for op in reads if op.comp for id_ in op.comp.value}
    met |= {(op.inv.key, id_) for mine, op in puts.items() for id_ in _seen(op) or () if id_ != mine}
    impossible = [(key, id_) for key, id_ in met if id_ not in puts or puts[id_].inv.key != key]
    phantom = [pair for pair in met if pair not in impossible and puts[pair[1]].outcome == "fail"]
    figures = {
        **fates,
        "missing": missing,
        "vanished": vanished,
        "phantom": len(phantom),
        "unexpected": len(impossible),
    }
    if fates["lost"] or phantom or impossible:
        return {"verdict": "invalid", **figures}
    doubtful = not any(op.outcome == "ok" for op in puts.values()) or fates["never_read"] or fates["unprovable"]
    doubtful = doubtful or vanished
    return {"verdict": disagreed(history, missing, "unknown" if doubtful else "valid"), **figures}


def siblings(history: History) -> dict[str, Any]:
    puts = {op.inv.value["write"]: op for op in ops(history, "put")}
    if not puts:
        polls = [op for op in ops(history, "replica") if op.outcome == "ok" and op.comp and op.comp.value["home"]]
        numbers = [len(op.comp.value["versions"]) for op in polls if op.comp]
        return {"verdict": "valid" if numbers else "unknown", "max": max(numbers, default=None)}
    reads = [op for op in ops(history, "read") if op.outcome == "ok" and op.comp]
    false = [
        op
        for op in reads
        if op.comp and any(a != b and _reaches(puts, b, a, op.inv.key) for a in op.comp.value for b in op.comp.value)
    ]
    if not reads:
        return {"verdict": "unknown", "max": None, "false_sibling_reads": None}
    return {
        "verdict": "invalid" if false else "valid",
        "max": max(len(op.comp.value) for op in reads if op.comp),
        "false_sibling_reads": len(false),
    }


def convergence(history: History) -> dict[str, Any]:
    recovery = stage(history, "recovery")
    if heal_failed(history):
        return {"verdict": "unknown"}
    if recovery is None and any(band.stop == float("inf") for band in bands(history)):
        return {"verdict": "unknown"}
    healed = [band.healed for band in bands(history) if band.healed]
    starts = [recovery] if recovery else healed
    starts += [op.comp for op in ops(history, "add", "put") if op.comp]
    start = max(starts, key=lambda event: event.index, default=None)
    begin, zero = (start.index, start.time) if start else (-1, 0)
    polls = [op for op in ops(history, "replica") if op.inv.index > begin]
    keys = sorted({str(op.inv.key) for op in polls})
    verdicts = []
    differing = []
    after = {}
    for key in keys:
        mine = sorted((op for op in polls if op.inv.key == key), key=lambda op: op.end)

        def latest(moment: float, mine: list[Op] = mine) -> dict[str, Op]:
            return {str(op.node): op for op in mine if op.end <= moment}

        def shown(moment: float, latest: Callable[[float], dict[str, Op]] = latest) -> dict[str, Any]:
            answers = {n: op.comp.value for n, op in latest(moment).items() if op.outcome == "ok" and op.comp}
            return {n: (a["versions"], a["values"]) for n, a in answers.items() if a["home"]}

        def differs(moment: float, shown: Callable[[float], dict[str, Any]] = shown) -> bool:
            now = shown(moment)
            return any(now[a] != now[b] for a in now for b in now)

        moments = [op.comp for op in mine if op.comp and differs(op.end)]
        final = shown(float("inf"))
        fell_silent = any(op.outcome != "ok" for op in latest(float("inf")).values())
        after[key] = (moments[-1].time - zero) / 1e6 if moments else 0.0
        early = stage(history, "environment-lost")
        if differs(float("inf")):
            differing.append(key)
            verdicts.append("unknown" if early else "invalid")
        else:
            verdicts.append("unknown" if len(final) < 2 or fell_silent else "valid")
    verdict = next((v for v in ("invalid", "unknown") if v in verdicts), "valid" if verdicts else "unknown")
    return {
        "verdict": verdict,
        "converged_after_ms": max(after.values()) if verdict == "valid" else None,
        "never_converged": sorted(differing),
    }


def availability(history: History) -> dict[str, Any]:
    recovery = stage(history, "recovery")
    last = recovery.index if recovery else float("inf")
    mine = [op for op in ops(history) if op.inv.f != "replica" and op.inv.index < last]
    if not mine:
        return {"verdict": "unknown"}
    all_bands = bands(history)
    free = [op for op in mine if not any(struck(op, band) for band in all_bands)]

    def rate(some: list[Op]) -> tuple[int, int]:
        return len(some), sum(op.outcome == "ok" for op in some)

    answers = sorted((op.comp for op in mine if op.comp and op.outcome == "ok"), key=lambda e: e.index)
    events = sorted((e for op in mine for e in op if e), key=lambda e: e.index)
    silences = []
    for end in [*answers, events[-1]]:
        before = [e for e in answers if e.index < end.index]
        since = before[-1] if before else None
        at = since.index if since else -1
        waiting = [op for op in mine if op.inv.index < at < op.end]
        if not waiting or since is None:
            since = next((e for e in events if e.index > at and e.type == "invoke" and e.index < end.index), None)
        silences.append(end.time - since.time if since else 0)
    recovered = []
    for band in all_bands:
        firsts = []
        heal = history.events[int(band.stop)] if band.healed else None
        for node in band.nodes or (None,):
            signs = []
            if heal:
                late = [op for op in ops(history) if op.inv.index > heal.index and node in (None, op.node)]
                signs = [op.comp for op in late if op.comp and op.outcome == "ok"]
                signs += [e for e in history.events if e.value == "recovered" and e.index > heal.index]
            firsts.append(min((e.index for e in signs), default=None))
        times = [history.events[first].time for first in firsts if first is not None]
        recovered.append((max(times) - heal.time) / 1e6 if heal and len(times) == len(firsts) else None)
    return {
        "verdict": "valid",
        "all": rate(mine),
        "free": rate(free),
        "windows": [rate([op for op in mine if struck(op, band)]) for band in all_bands],
        "longest_silence_ms": max(silences) / 1e6,
        "recovered": recovered,
    }


def latency(history: History) -> dict[str, Any]:
    all_bands = bands(history)
    mine = [op for op in ops(history) if op.outcome == "ok" and op.inv.f != "replica"]
    if not mine:
        return {"verdict": "unknown"}

    def took(some: list[Op]) -> dict[str, float]:
        return quantiles([(op.comp.time - op.inv.time) / 1e6 for op in some if op.comp])

    hit = [op for op in mine if any(struck(op, band) for band in all_bands)]
    return {
        "verdict": "valid",
        "overall": took(mine),
        "under_fault": took(hit),
        "without_fault": took([op for op in mine if op not in hit]),
        "reads": took([op for op in mine if op.inv.f == "read"]),
    }


def evidence(history: History) -> dict[str, Any]:
    """Judged with faults=("partition", "kill") and min_operations=3."""
    mine = [op for op in ops(history) if op.inv.f != "replica"]
    working = {
        family: [band for band in bands(history) if band.family == family and band.effective]
        for family in ("partition", "kill")
    }
    hit = {family: sum(any(struck(op, b) for b in some) for op in mine) for family, some in working.items()}
    failed = [inv for phase in ("start", "stop") for inv, comp in actions(history, phase) if effective(comp) is False]
    nodes = {e.node for e in history.events if e.node}
    nodes |= {n for e in history.events if isinstance(e.value, dict) for n in e.value.get("nodes", ())}
    read = {op.node for op in final_reads(history)}
    recovery, begun = stage(history, "recovery"), stage(history, "final-reads")
    load = [op for op in mine if recovery is None or op.inv.index < recovery.index]
    writes = [op for op in load if op.inv.f in ("add", "put")]
    ok = [op for op in writes if op.outcome == "ok"]
    enough = sum(op.outcome == "ok" for op in load) >= 3 and (bool(ok) or not writes)
    asked = {op.inv.key for op in ops(history, "read") if begun and op.inv.index > begun.index}
    pairs = {(op.inv.key, op.node) for op in final_reads(history)}
    complete = not staged(history) or (bool(read) and pairs >= {(key, node) for key in asked for node in nodes})
    stops = [done.value["evidence"] for _, done in actions(history, "stop") if done]
    gone = any(band.healed and band.healed.value.get("evidence", {}).get("stood") is False for band in bands(history))
    died = any(each.get("died") for each in stops)
    heals = [band.healed.index for band in bands(history) if band.healed]
    stalled = hopeless = False
    if heals and ok and all(op.end < min(heals) for op in ok):
        stalled = any(op.inv.index > min(heals) for op in writes)
        tried = [op for op in writes if op.inv.index > max(heals) and op.comp]
        hopeless = len(tried) >= 10 and len(heals) == len(bands(history)) and not heal_failed(history, strictly=True)
        hopeless = hopeless and not stage(history, "environment-lost")
    sound = enough and not failed and not gone and not stalled and not stage(history, "environment-lost")
    good = sound and all(working.values()) and all(hit.values()) and complete and not nodes - read - {None}
    if not staged(history):
        good = sound and all(working.values()) and all(hit.values())
    verdict = "invalid" if stage(history, "not-recovered") or died or hopeless else "valid" if good else "unknown"
    return {"verdict": verdict, "hit": hit, "ineffective": len(failed), "unread": len(nodes - read)}


ORACLES: Mapping[str, Callable[[History], dict[str, Any]]] = {
    "lost-writes": lost_writes,
    "siblings": siblings,
    "convergence": convergence,
    "availability": availability,
    "latency": latency,
    "evidence": evidence,
}
