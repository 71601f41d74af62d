"""A lost write: who wrote it and was told so, what became of it on each replica, and that the final reads lack it.

1. The first lane is the clients': the write, the last read with it, the first without, the final reads.
2. Below is a lane a replica. It is filled where looks found the value, and ends in a cross at the first one that did
   not.
3. Faults shade the lanes of the nodes that they struck: whose links were cut, or who was killed or paused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.prose import listing
from splitbrain.harness.report.faults import Band
from splitbrain.harness.report.plain_text import shown_key
from splitbrain.harness.report.stories.broken_axis import BrokenAxis
from splitbrain.harness.report.stories.replica_lives import Life, lives
from splitbrain.harness.report.stories.story import Story, Told
from splitbrain.harness.report.stories.svg import LETTER, Drawing, fitting
from splitbrain.harness.report.timeline import brief

WIDTH, LEFT, RIGHT = 960.0, 90.0, 930.0
LANE = 34.0
FAULTS_SHOWN = 6


def tell(told: Told) -> Story | None:
    """The story; None if the witness is of no lost value, or does not say which write it was."""
    data = told.anomaly.data
    if not isinstance(data, dict) or data.get("kind") != "lost" or not isinstance(data.get("value"), int | str):
        return None
    # A delete that was lost shows in what came back, and a record of a log has no replicas to look at.
    if data.get("resurrected") or "log" in data:
        return None
    at = None if told.anomaly.focus is None else told.table.at_event(told.anomaly.focus)
    write = None if at is None else told.history.operations[at]
    if write is None or write.completion is None:
        return None
    value = data["value"]
    involved = [told.history.operations[each] for each in told.anomaly.operations]
    reads = [
        each for each in involved if each.f == "read" and isinstance(each.completion and each.completion.value, list)
    ]
    after = [each for each in reads if each.completion and each.completion.time > write.completion.time]
    known = lives(told.history, write.key, value, write.invocation.time)
    homes = sorted({life.node for life in known})
    end = max((each.completion.time for each in after if each.completion), default=told.table.end_ns)
    struck = [band for band in told.faults if band.start_ns <= end and band.stop_ns >= write.invocation.time]
    drawing = _draw(told, write, value, after, known, struck, end)
    headline = _headline(write, value, known, struck, _lacking_from(after, value))
    title = f"The life of {brief(value)} on {', '.join(homes) or 'no replica that was looked at'}"
    return Story(headline, drawing.markup(title, headline), _legend(known))


def _legend(known: Sequence[Life]) -> str:
    if not known:
        return (
            "Clients' reads are blue with the value and red without it. Nobody looked at the replicas of this key, so "
            "where the value went is not known."
        )
    return (
        "A filled lane: looks at this replica found the value. ✗: the first look after that which did not; it was "
        "dropped or overwritten somewhere on the dotted stretch before. Hollow marks: looks that found it absent. "
        "Clients' reads are blue with the value and red without it. Hatched: faults that struck the node."
    )


def _lacking_from(reads: Sequence[Operation], value: Any) -> int | None:
    """When the first read ended from which on none had the value."""
    times = []
    for each in reversed(reads):
        if each.completion is None or _has(each.completion.value, value):
            break
        times.append(each.completion.time)
    return times[-1] if times else None


def _headline(
    write: Operation, value: Any, known: Sequence[Life], struck: Sequence[Band], lacking_ns: int | None
) -> str:
    done = write.completion
    assert done is not None
    node = f" by {done.node or write.invocation.node}" if done.node or write.invocation.node else ""
    key = "" if write.key is None else f" to {shown_key(str(write.key))}"
    when = f"{done.time / 1e9:.3f} s"
    what = f"The write of {brief(value)}{key}, acknowledged{node} at {when}, is gone: no final read has it."
    held = [life for life in known if life.last_held]
    if not held:
        return what + (" No look at a replica ever found it." if known else "")
    if len(held) < len(known):
        lacking = [life.node for life in known if life not in held]
        what += f" {listing(lacking)} never had it when looked at;"
    dropped = [life for life in held if life.dropped]
    if not dropped:
        return what.rstrip(";") + f" {listing(life.node for life in held)} still held it when last looked at."
    since = min(life.last_held.at_ns for life in dropped if life.last_held)
    until = max(life.dropped.at_ns for life in dropped if life.dropped)
    during = [band.title for band in struck if band.start_ns <= until and band.stop_ns >= since]
    reads = f"; reads lacked it from {lacking_ns / 1e9:.1f} s on" if lacking_ns and since < lacking_ns < until else ""
    stood = listing(dict.fromkeys(during), 2)
    why = f", while {stood} stood" if during else ", and no fault stood then"
    return (
        f"{what} {listing(life.node for life in dropped)} held it, and dropped it at some time "
        f"between {since / 1e9:.1f} and {until / 1e9:.1f} s{why}{reads}."
    )


def _draw(
    told: Told,
    write: Operation,
    value: Any,
    reads: Sequence[Operation],
    known: Sequence[Life],
    struck: Sequence[Band],
    end: int,
) -> Drawing:
    done = write.completion
    assert done is not None
    shown = struck[:FAULTS_SHOWN]
    moments = {write.invocation.time, done.time, end}
    for each in reads:
        moments |= {each.invocation.time, each.completion.time if each.completion else end}
    for life in known:
        moments |= {look.at_ns for look in (life.looks[0], life.last_held, life.dropped) if look and look.at_ns <= end}
    for band in shown:
        moments |= {max(band.start_ns, write.invocation.time), min(band.stop_ns, end)}
    axis = BrokenAxis(moments, LEFT, RIGHT)
    drawing = Drawing(told.name, WIDTH)
    top = 40.0
    bottom = top + LANE * (len(known) + 1) + 8
    names = _fault_names(drawing, shown, axis, bottom + 4)
    axis.draw(drawing, 22, bottom)
    drawing.text(10, top + 20, "clients", "strong")
    for row, life in enumerate(known, 1):
        y = top + LANE * row
        for band in struck:
            if _struck(band, life.node):
                left, right = axis.x(band.start_ns), axis.x(band.stop_ns)
                drawing.fault(left, y + 1, right - left, LANE - 4, band.paint, _cut_of(band, life.node))
    _clients(drawing, axis, write, value, reads, top)
    for row, life in enumerate(known, 1):
        y = top + LANE * row
        drawing.line(10, y - 1, RIGHT, y - 1, "rule")
        drawing.text(10, y + 20, fitting(life.node, LEFT - 20), "strong")
        _life(drawing, axis, life, y, end)
    if len(struck) > len(shown):
        drawing.text(
            LEFT, names + 14, f"and {len(struck) - len(shown)} more faults, shaded without a name", "small quiet"
        )
    return drawing


def _fault_names(drawing: Drawing, shown: Sequence[Band], axis: BrokenAxis, y: float) -> float:
    """A line a fault below the lanes, with its name; the last y."""
    for number, band in enumerate(shown):
        at = y + 17 * number
        left, right = axis.x(band.start_ns), axis.x(band.stop_ns)
        drawing.fault(left, at, right - left, 12, band.paint)
        words = f"{band.title}, {band.start_ns / 1e9:.1f} to {band.stop_ns / 1e9:.1f} s"
        if right + 8 + len(words) * LETTER < WIDTH:
            drawing.text(right + 6, at + 10, words, "small")
        else:
            drawing.text(left - 6, at + 10, fitting(words, max(left - 12, 60)), "small", "end", words)
    return y + 17 * len(shown)


def _struck(band: Band, node: str) -> bool:
    cut = band.fault.start.invocation.value
    pairs = cut.get("cut") if isinstance(cut, Mapping) else None
    mine = [pair for pair in pairs if isinstance(pair, list) and node in pair] if isinstance(pairs, list) else []
    return bool(mine) or node in band.fault.start.nodes


def _cut_of(band: Band, node: str) -> str:
    value = band.fault.start.invocation.value
    pairs = value.get("cut") if isinstance(value, Mapping) else None
    deaf = [pair for pair in pairs if isinstance(pair, list) and node in pair] if isinstance(pairs, list) else []
    others = sorted({str(other) for pair in deaf for other in pair if other != node})
    return f"{band.title}" + (f": {node} cut off from {', '.join(others)}" if others else "")


def _clients(
    drawing: Drawing, axis: BrokenAxis, write: Operation, value: Any, reads: Sequence[Operation], top: float
) -> None:
    done = write.completion
    assert done is not None
    left, right = axis.x(write.invocation.time), axis.x(done.time)
    drawing.box(
        left, top + 8, max(right - left, 6), 16, "bar ok", f"{write.f} {brief(value)}, event {write.invocation.index}"
    )
    drawing.text(left, top + 4, f"{write.f} {brief(value, 12)} ✓", "small strong")
    free = left + (len(brief(value, 12)) + len(write.f) + 3) * LETTER
    for each in reads:
        answer = each.completion
        if answer is None:
            continue
        has = _has(answer.value, value)
        x, to = axis.x(each.invocation.time), axis.x(answer.time)
        drawing.box(x, top + 8, max(to - x, 6), 16, "bar ok" if has else "bar wrong", f"read, event {answer.index}")
        words = "read: there" if has else "read: gone"
        if x > free:
            drawing.text(min(x, RIGHT - len(words) * LETTER), top + 4, words, "small" + ("" if has else " wrong-text"))
            free = x + len(words) * LETTER + 6


def _has(answer: Any, value: Any) -> bool:
    return isinstance(answer, list) and value in answer


def _life(drawing: Drawing, axis: BrokenAxis, life: Life, y: float, end: int) -> None:
    looks = [look for look in life.looks if look.at_ns <= end]
    held = [look for look in looks if look.held]
    if held:
        runs: list[list[int]] = []
        for before, look in zip([None, *looks], looks, strict=False):
            if look.held:
                if before is None or not before.held or not runs:
                    runs.append([look.at_ns, look.at_ns])
                runs[-1][1] = look.at_ns
        for begun, ended in runs:
            x = axis.x(begun)
            drawing.box(x, y + 8, max(axis.x(ended) - x, 6), 16, "life", f"{life.node} held it")
    drop = life.dropped
    last = life.last_held
    if drop is not None and last is not None and drop.at_ns <= end:
        x = axis.x(drop.at_ns)
        drawing.line(axis.x(last.at_ns) + 3, y + 16, x - 6, y + 16, "fading")
        drawing.cross(x, y + 16, 5, "wrong-mark")
        words = f"gone; {drop.versions} other version{'' if drop.versions == 1 else 's'}"
        if x + 10 + len(words) * 6 < RIGHT:
            drawing.text(x + 10, y + 12, words, "small wrong-text")
    for look in looks:
        if not look.held and (drop is None or look.index != drop.index):
            drawing.dot(axis.x(look.at_ns), y + 16, 3, "absent")
