"""Stories: what the sentence says, and that the drawing shows it where it was."""

from __future__ import annotations

import itertools
import random
import re
from xml.etree import ElementTree

import pytest

from splitbrain.checkers import linearizability
from splitbrain.checkers.linearizability import MODELS
from splitbrain.harness.report import witness
from splitbrain.harness.report.columns import columns
from splitbrain.harness.report.faults import bands
from splitbrain.harness.report.stories import Told, tell
from splitbrain.harness.report.stories.broken_axis import BrokenAxis
from splitbrain.harness.report.stories.linear_order import order

SVG = "{http://www.w3.org/2000/svg}"


def told(history, results):
    table = columns(history)
    anomaly = witness.anomalies(results, table)[0]
    model = results["checkers"][anomaly.checker].get("model", "")
    return Told("s", anomaly, history, table, bands(history), model)


def drawn(story):
    """The drawing as a tree: so it is well-formed, whatever a history says."""
    return ElementTree.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{story.drawing}</svg>')


def of_class(tree, name):
    return [each for each in tree.iter() if name in (each.get("class") or "").split()]


def words(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


def poll(event, at, node, held, versions=("v",)):
    value = {"home": True, "versions": list(versions), "values": [held] * len(versions), "hinted": 0}
    about = {"key": "s0", "node": node}
    return event(at, 90, "invoke", "replica", **about), event(at + 1, 90, "ok", "replica", value=value, **about)


@pytest.fixture
def lost(parse, event):
    cut = {"fault": "partition", "phase": "start", "shape": "isolate-one", "cut": [["n1", "n2"], ["n2", "n1"]]}
    history = parse(
        event(100, 0, "invoke", "add", key="s0", value=7, node="n1"),
        event(103, 0, "ok", "add", key="s0", value=7, node="n1"),
        *poll(event, 500, "n1", [7]),
        *poll(event, 520, "n2", [7]),
        *poll(event, 540, "n3", []),
        event(900, "nemesis", "info", "start-partition", value=cut),
        event(1_000, "nemesis", "info", "start-partition", value=cut | {"evidence": {"effective": True}}),
        event(3_000, "nemesis", "info", "stop-partition", value={"fault": "partition", "phase": "stop"}),
        *poll(event, 4_000, "n1", [8]),
        *poll(event, 4_020, "n2", [8]),
        *poll(event, 4_040, "n3", [8]),
        event(60_000, 1, "invoke", "read", key="s0", node="n2"),
        event(60_002, 1, "ok", "read", key="s0", value=[8], node="n2"),
    )
    last = len(history.events) - 1
    data = {"kind": "lost", "key": "s0", "value": 7, "lost": [{"index": 1, "value": 7}]}
    evidence = {"text": "7 is gone", "events": [0, 1, last - 1, last], "data": data}
    return history, {"checkers": {"lost-writes": {"verdict": "invalid", "witness": evidence}}}


def test_a_lost_write_is_told_with_where_it_was_and_what_stood_when_it_went(lost):
    story = tell(told(*lost))
    assert story.headline == (
        "The write of 7 to s0, acknowledged by n1 at 0.103 s, is gone: no final read has it. n3 never had it when looked "
        "at; n1 and n2 held it, and dropped it at some time between 0.5 and 4.0 s, while partition isolate-one stood."
    )


def test_a_lost_write_s_lanes_show_who_held_it_and_who_no_longer_did(lost):
    tree = drawn(tell(told(*lost)))
    lives = of_class(tree, "life")
    gone = of_class(tree, "wrong-mark")
    assert len(lives) == len(gone) == 2
    for life, cross in zip(lives, gone, strict=True):
        x, y = map(float, re.findall(r"[\d.]+", cross.get("d"))[:2])
        assert float(life.get("x")) + float(life.get("width")) < x
        assert float(life.get("y")) < y + 5 < float(life.get("y")) + float(life.get("height"))
    # n3 was cut off from nobody, so its lane is not shaded.
    lanes = [each for each in of_class(tree, "fault") if each.find(f"{SVG}title") is not None]
    assert [lane.find(f"{SVG}title").text for lane in lanes] == [
        "partition isolate-one: n1 cut off from n2",
        "partition isolate-one: n2 cut off from n1",
    ]


def test_the_final_read_a_minute_later_is_drawn_beyond_a_break_of_the_axis(lost):
    axis = BrokenAxis([100, 103, 500, 520, 60_000], 0, 1000)
    assert len(axis.breaks) == 1 and axis.x(520) < axis.breaks[0] < axis.x(60_000)


@pytest.mark.parametrize("seed", range(30))
def test_a_broken_axis_keeps_the_order_of_moments_and_the_room(seed):
    rng = random.Random(seed)
    moments = [int(10 ** rng.uniform(0, 11)) for _ in range(rng.randrange(1, 60))]
    axis = BrokenAxis(moments, 50, 900)
    places = [axis.x(at) for at in sorted(set(moments))]
    assert all(one < other for one, other in itertools.pairwise(places))
    assert places[0] == 50 and places[-1] <= 900.001
    between = rng.uniform(min(moments), max(moments))
    assert 50 <= axis.x(int(between)) <= 900.001


def register(parse, event, *calls):
    """(begin, end, process, f, value)"""
    events = []
    for begin, end, process, f, value in calls:
        asked = value if f == "write" else None
        events += [
            (begin, event(begin, process, "invoke", f, key="x", value=asked)),
            (end, event(end, process, "ok", f, key="x", value=value)),
        ]
    return parse(*(each for _, each in sorted(events, key=lambda pair: pair[0])))


def judged(history):
    verdict = linearizability.check(history, model="register").as_dict()
    assert verdict["verdict"] == "invalid"
    return {"checkers": {"linearizable": verdict}}


def test_a_stale_read_is_told_with_what_it_read_and_what_there_could_have_been(parse, event):
    history = register(
        parse, event, (1, 2, 0, "write", 1), (3, 4, 0, "write", 2), (5, 6, 1, "write", 2), (7, 8, 1, "read", 1)
    )
    story = tell(told(history, judged(history)))
    assert story.headline == (
        "Process 1 read 1 from x at 0.007 s, but in no order of the operations before it x can have held 1: "
        "by then it could only hold 2."
    )
    tree = drawn(story)
    assert [each for each in words(tree) if each in ("write 1", "write 2", "read -> 1")] == [
        "write 1",
        "write 2",
        "write 2",
        "read -> 1",
    ]
    assert "✗ read -> 1 would need it to hold 1; it could only hold 2" in words(tree)
    (wrong,) = [each for each in of_class(tree, "bar") if "wrong" in each.get("class")]
    points = [(float(each.get("cx")), float(each.get("cy"))) for each in of_class(tree, "point")]
    assert len(points) == 3 and points[0][0] < points[1][0] < points[2][0] < float(wrong.get("x"))


def random_register(parse, event, seed):
    """24 writes and reads of three values; reads answer what was written near them, often wrongly."""
    rng = random.Random(seed)
    calls, at = [], dict.fromkeys(range(4), 1.0)
    for number in range(24):
        process = rng.randrange(4)
        begin = at[process] + rng.random()
        at[process] = end = begin + rng.choice([0.2, 3.0])
        calls.append((begin, end, process, "write" if rng.random() < 0.5 else "read", number % 3))
    return register(parse, event, *calls)


def test_the_order_that_is_drawn_is_one_that_was_possible(parse, event):
    told_of = 0
    for seed in range(120):
        history = random_register(parse, event, seed)
        verdict = linearizability.check(history, model="register").as_dict()
        blocked = verdict["witness"]["data"]["blocked"] if verdict["verdict"] == "invalid" else None
        if blocked is None:
            continue
        told_of += 1
        steps, last = order(history, "register", "x", blocked)
        state, model = MODELS["register"].initial, MODELS["register"]
        for step in steps:
            assert step.after in model.step(state, step.call)
            state = step.after
        for one, other in itertools.combinations(steps, 2):
            assert not other.call.returned < one.call.invoked, "it stands after one that began when it was over"
        placed = {step.call.invoked for step in steps}
        due = {each.invocation.index for each in history.operations if each.completion.index < last.returned}
        assert due - {blocked} <= placed and blocked not in placed
    assert told_of > 20


CYCLE = {
    "anomaly": "G2-item",
    "nodes": [
        {"name": "T1", "process": 2, "invoked": 0, "invoked_ns": 1, "completed_ns": 2, "micro_operations": [{"f": "r", "key": "x", "value": [1]}, {"f": "append", "key": "y", "value": 5}]},
        {"name": "T2", "process": 3, "invoked": 1, "invoked_ns": 1, "completed_ns": 2, "micro_operations": [{"f": "r", "key": "y", "value": []}, {"f": "append", "key": "x", "value": 6}]},
        {"name": "T3", "process": 4, "invoked": 2, "invoked_ns": 5, "completed_ns": 6, "micro_operations": [{"f": "r", "key": "z", "value": [9]}]},
    ],
    "edges": [
        {"from": "T1", "to": "T2", "type": "rw", "key": "x", "value": 1, "next": 6, "why": "T1 read x without 6"},
        {"from": "T2", "to": "T1", "type": "rw", "key": "y", "value": None, "next": 5, "why": "T2 read y without 5"},
    ],
}  # fmt: skip


def cycle(parse, event, many):
    history = parse(*(event(at, at, "invoke", "txn", value=[]) for at in range(3)))
    data = CYCLE | {"nodes": CYCLE["nodes"][:many]}
    if many == 3:
        data["edges"] = [
            CYCLE["edges"][0],
            {"from": "T2", "to": "T3", "type": "rt", "why": "T2 was over before T3 began"},
            {"from": "T3", "to": "T1", "type": "wr", "key": "z", "value": 9, "why": "T1 read z as 9"},
        ]
    evidence = {"text": "t", "events": [0, 1], "data": data}
    return told(history, {"checkers": {"transactions": {"verdict": "invalid", "witness": evidence}}})


def test_a_cycle_of_two_is_told_by_its_edges(parse, event):
    story = tell(cycle(parse, event, 2))
    assert story.headline.startswith(
        "T1 read x without the 6 that T2 wrote; T2 read y without the 5 that T1 wrote: each of 2 transactions"
    )
    assert "write skew" in story.headline
    assert story.reasons == (("T1 rw T2", "T1 read x without 6"), ("T2 rw T1", "T2 read y without 5"))


@pytest.mark.parametrize("many", [2, 3])
def test_each_edge_leads_from_its_transaction_to_the_other_one(parse, event, many):
    story = cycle(parse, event, many)
    tree = drawn(tell(story))
    boxes = {}
    for card in of_class(tree, "card"):
        x, y, width, height = (float(card.get(name)) for name in ("x", "y", "width", "height"))
        name = next(
            text.text
            for text in of_class(tree, "strong")
            if x < float(text.get("x")) < x + width and y < float(text.get("y")) < y + 30
        )
        boxes[name] = (x, y, width, height)
    edges = of_class(tree, "edge")
    assert len(edges) == len(story.anomaly.data["edges"])
    for edge, meant in zip(edges, story.anomaly.data["edges"], strict=True):
        assert meant["type"] in edge.get("class").split() and edge.get("marker-end")
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", edge.get("d"))]
        start = numbers[:2]
        end = [numbers[0], numbers[-1]] if "V" in edge.get("d") else numbers[-2:]
        for (px, py), name in ((start, meant["from"]), (end, meant["to"])):
            x, y, width, height = boxes[name]
            assert x - 5 <= px <= x + width + 5 and y - 5 <= py <= y + height + 5, (meant, name)


def test_a_cycle_that_names_a_transaction_it_does_not_have_is_not_drawn_as_one(parse, event):
    story = cycle(parse, event, 2)
    story.anomaly.data["edges"] = [{"from": "T1", "to": "T9", "type": "ww"}]
    assert "T9" not in (tell(story).headline)


def test_any_other_witness_shows_its_operations_and_the_wrong_one_in_red(parse, event):
    history = parse(
        event(1, 0, "invoke", "generate", node="n1"),
        event(2, 0, "ok", "generate", value=4, node="n1"),
        event(9, 1, "invoke", "generate", node="n2"),
        event(12, 1, "ok", "generate", value=4, node="n2"),
    )
    evidence = {"text": "the id 4 was given out 2 times.\nmore", "events": [0, 1, 2, 3], "data": {"index": 3}}
    story = tell(told(history, {"checkers": {"unique-ids": {"verdict": "invalid", "witness": evidence}}}))
    assert story.headline == "The id 4 was given out 2 times."
    tree = drawn(story)
    kinds = [each.get("class") for each in of_class(tree, "bar")]
    assert kinds == ["bar ok", "bar wrong"]
    assert "p1 n2" in words(tree) and "was over before" in words(tree)


@pytest.mark.parametrize("evil", ["</svg><script>alert(1)</script>", "\u202e\x00'\"&<b>", "x" * 5_000])
def test_a_drawing_stays_a_drawing_whatever_a_history_says(parse, event, evil):
    about = {"key": evil, "node": evil}
    history = parse(
        event(1, 0, "invoke", evil or "f", value=evil, **about),
        event(2, 0, "ok", evil or "f", value=evil, **about),
        event(9, 1, "invoke", "read", **about),
        event(12, 1, "ok", "read", value=[evil] * 50, **about),
    )
    for data in ({"index": 3, "kind": evil}, {"kind": "lost", "key": evil, "value": evil, "lost": [{"index": 1}]}):
        evidence = {"text": evil, "events": [0, 1, 2, 3], "data": data}
        story = tell(told(history, {"checkers": {evil: {"verdict": "invalid", "witness": evidence, "reason": evil}}}))
        tree = drawn(story)
        assert not [each for each in tree.iter() if each.tag in (f"{SVG}script", f"{SVG}b")]
        assert "\u202e" not in str(story.drawing) and len(str(story.drawing)) < 60_000
