"""What the page unpacks is what the history held."""

from __future__ import annotations

import json
import random
import zlib

import numpy as np
import pytest

from splitbrain.harness.report import packing
from splitbrain.harness.report.columns import columns


def bytes_of(text, length):
    words = [packing.ALPHABET.index(letter) for letter in text]
    out = b""
    for at in range(0, len(words), 5):
        word = 0
        for digit in words[at : at + 5]:
            word = word * 85 + digit
        out += word.to_bytes(4, "big")
    return zlib.decompress(out[:length])


def unpacked(packed):
    """The columns by name and the texts, put together again as packing.py says they are taken apart."""
    planes = np.frombuffer(bytes_of(packed["planes"], packed["bytes"][0]), dtype=np.uint8)
    texts = json.loads(bytes_of(packed["texts"], packed["bytes"][1]))
    by_name = dict(zip(packing.COLUMNS, planes.reshape(len(packing.COLUMNS), 4, packed["n"]), strict=True))
    found = {name: sum(plane[at].astype(np.int64) << 8 * at for at in range(4)) for name, plane in by_name.items()}
    for name in ("start", "index"):
        found[name] = np.cumsum(found[name])
    end = found["start"] + found["took"]
    done = sorted(np.flatnonzero(found["late"]).tolist(), key=lambda row: (end[row], row))
    others = {*np.cumsum(texts["free"]).tolist(), *found["index"].tolist()}
    events = [event for event in range(len(others) + len(done)) if event not in others]
    found["done"] = np.full(packed["n"], -1)
    for expected, row in enumerate(done):
        off = int(found["late"][row]) - 1
        found["done"][row] = events[expected + (off // 2 if off % 2 == 0 else -(off + 1) // 2)]
    names, holder = texts["names"], {}
    fresh = dict(zip(np.cumsum(names["first"]).tolist(), np.cumsum(names["process"]).tolist(), strict=True))
    found["process"], node = np.empty(packed["n"], dtype=np.int64), {}
    for row, lane in enumerate(found["lane"].tolist()):
        holder[lane] = fresh.get(row, holder.get(lane))
        found["process"][row] = holder[lane]
        if found["node"][row]:
            node[holder[lane]] = int(found["node"][row]) - 1
        found["node"][row] = node[holder[lane]]
    queues = {}
    for value, code in zip(texts["values"], sorted(found["f"].tolist()), strict=True):
        queues.setdefault(code, []).append(value)
    texts["values"] = [queues[code].pop(0) for code in found["f"].tolist()]
    return found, texts


def run(parse, event, seed, late_ms=0):
    """Forty operations of four processes, of all outcomes, some of them open."""
    rng = random.Random(seed)
    events, at, process = [], late_ms, list(range(4))
    for number in range(40):
        at += rng.randrange(1, 5)
        who = number % 4
        about = {"key": rng.choice(["a", "b", None]), "node": rng.choice(["n1", "n2"])}
        f = rng.choice(["read", "add"])
        events.append(event(at, process[who], "invoke", f, value=number, **about))
        kind = rng.choice(["ok", "fail", "info", None])
        if kind:
            error = {} if kind == "ok" else {"error": f"busy: {number}"}
            events.append(event(at + rng.random(), process[who], kind, f, value=number, **about, **error))
        if kind in ("info", None):
            process[who] += 4
    return parse(*events)


@pytest.mark.parametrize("seed", range(20))
def test_every_operation_comes_back_as_it_was(parse, event, seed):
    history = run(parse, event, seed)
    table = columns(history)
    packed = packing.pack(history, table, np.arange(table.n), [])
    found, texts = unpacked(packed)
    names = texts["names"]
    for row, operation in enumerate(history.operations):
        asked, done = operation.invocation, operation.completion
        assert found["start"][row] == asked.time // 1000
        assert found["took"][row] == table.end[row] // 1000 - table.start[row] // 1000
        assert found["index"][row] == asked.index
        assert found["done"][row] == (-1 if done is None else done.index)
        assert ("ok", "fail", "info")[found["outcome"][row]] == operation.outcome
        assert found["process"][row] == operation.process
        assert found["lane"][row] == table.lane[row]
        assert names["f"][found["f"][row]] == asked.f
        assert names["key"][found["key"][row]] == (asked.key or "")
        assert names["node"][found["node"][row]] == asked.node
        assert names["error"][found["error"][row]] == ((done.error if done else None) or "")
        assert texts["values"][row] == str(row)


def test_a_run_of_days_keeps_its_times_to_the_unit(parse, event):
    history = run(parse, event, 1, late_ms=9 * 24 * 3600 * 1000)
    table = columns(history)
    packed = packing.pack(history, table, np.arange(table.n), [])
    found, _ = unpacked(packed)
    assert packed["unit"] > 1
    assert np.abs(found["start"] * packed["unit"] - table.start / 1000).max() <= packed["unit"]


def test_completions_that_overtake_each_other_within_a_unit_keep_their_events(parse, event):
    rng = random.Random(3)
    asked = [event(1, who, "invoke", "read", node="n1") for who in range(60)]
    order = rng.sample(range(60), 60)
    answered = [event(2 + at * 0.0001, who, "ok", "read", value=who, node="n1") for at, who in enumerate(order)]
    history = parse(*asked, *answered)
    table = columns(history)
    found, _ = unpacked(packing.pack(history, table, np.arange(table.n), []))
    assert found["done"].tolist() == table.done.tolist()


def test_keys_longer_than_the_page_shows_stay_different_and_bidi_marks_are_written_out(parse, event):
    keys = ["k" * 300 + "1", "k" * 300 + "2", "a\u202eb"]
    history = parse(*(event(at, at, "invoke", "read", key=key) for at, key in enumerate(keys)))
    table = columns(history)
    _, texts = unpacked(packing.pack(history, table, np.arange(table.n), []))
    one, two, turned = texts["names"]["key"]
    assert one != two and len(one) < 250
    assert turned == "a\\u202eb"
