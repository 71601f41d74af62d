"""Divergence: what stays, what is only in motion, and where nobody looked."""

from __future__ import annotations

from splitbrain.harness.report import divergence


def poll(event, at, process, node, versions, *, home=True):
    value = {"home": home, "versions": versions, "values": versions, "hinted": 0}
    about = {"key": "k", "node": node}
    return event(at, process, "invoke", "replica", **about), event(
        at + 1, process, "ok", "replica", value=value, **about
    )


def states(history):
    return [look.state for look in divergence.rounds(history)["k"]]


def write(event, at, until, value):
    about = {"key": "k", "node": "n1", "value": value}
    return event(at, 9, "invoke", "add", **about), event(until, 9, "ok", "add", **about)


def test_a_key_that_was_written_during_a_round_is_in_motion_and_not_diverged(parse, event):
    history = parse(
        *poll(event, 100, 0, "n1", ["a"]),
        *write(event, 102, 103, 1),
        *poll(event, 104, 0, "n2", ["b"]),
        *poll(event, 200, 0, "n1", ["c"]),
        *write(event, 202, 203, 2),
        *poll(event, 204, 0, "n2", ["d"]),
    )
    assert states(history) == ["in motion", "in motion"]


def test_a_version_that_a_replica_lacks_for_two_rounds_is_divergence_however_much_is_written(parse, event):
    history = parse(
        *poll(event, 100, 0, "n1", ["old"]),
        *write(event, 102, 103, 1),
        *poll(event, 104, 0, "n2", ["b"]),
        *poll(event, 200, 0, "n1", ["old"]),
        *write(event, 202, 203, 2),
        *poll(event, 204, 0, "n2", ["d"]),
        *poll(event, 300, 0, "n1", ["d"]),
        *poll(event, 302, 0, "n2", ["d"]),
    )
    assert states(history) == ["diverged", "diverged", "agreed"]


def test_a_key_at_rest_diverged_if_its_replicas_differ_in_a_single_round(parse, event):
    history = parse(
        *write(event, 1, 2, 1),
        *poll(event, 5_000, 0, "n1", ["a"]),
        *poll(event, 5_002, 0, "n2", []),
    )
    assert states(history) == ["diverged"]


def test_a_write_that_is_unknown_may_still_arrive(parse, event):
    about = {"key": "k", "node": "n1", "value": 1}
    history = parse(
        *poll(event, 100, 0, "n1", ["a"]),
        event(102, 9, "invoke", "add", **about),
        *poll(event, 104, 0, "n2", ["b"]),
    )
    assert states(history) == ["in motion"]


def test_a_round_ends_when_a_node_answers_again(parse, event):
    history = parse(
        *poll(event, 1, 0, "n1", ["a"]),
        *poll(event, 2, 0, "n2", ["b"]),
        *poll(event, 3, 0, "n4", ["z"], home=False),
        *poll(event, 8, 0, "n1", ["b"]),
        *poll(event, 9, 0, "n2", ["b"]),
    )
    assert [(look.distinct, len(look.lists)) for look in divergence.rounds(history)["k"]] == [(2, 2), (1, 2)]


def test_answers_from_before_and_after_an_outage_are_not_one_look(parse, event):
    history = parse(*poll(event, 1, 0, "n1", ["a"]), *poll(event, 9_000, 0, "n2", ["b"]))
    assert divergence.rounds(history)["k"] == []


def test_one_replica_alone_shows_no_agreement(parse, event):
    assert divergence.rounds(parse(*poll(event, 1, 0, "n1", ["a"])))["k"] == []


def test_replica_polls_that_are_none_leave_the_page_without_divergence(parse, event):
    history = parse(event(0, 0, "invoke", "replica", key="k"), event(1, 0, "ok", "replica", key="k", value=7))
    assert divergence.rounds(history) == {}


def looks(*states, every_ns=10):
    return [
        divergence.Round(at * every_ns, at * every_ns + 1, {"a": ("x",), "b": ("x",) if s == "agreed" else ("y",)}, s)
        for at, s in enumerate(states)
    ]


def test_keys_that_still_differ_come_first_and_many_keys_are_cut():
    found = divergence.divergence(
        {"calm": looks("agreed", "agreed"), "past": looks("diverged", "agreed"), "now": looks("agreed", "diverged")}
    )
    assert found["keys"] == ["now", "past", "calm"]
    crowd = divergence.divergence({f"k{n}": looks("agreed") for n in range(100)})
    assert (len(crowd["keys"]), crowd["left_out"]) == (divergence.KEYS_DRAWN, 100 - divergence.KEYS_DRAWN)


def test_a_long_series_of_rounds_keeps_its_worst_moment_and_its_gaps():
    second = 1_000_000_000
    rounds = looks(*["diverged" if at == 5_000 else "agreed" for at in range(10_000)], every_ns=second)
    for look in rounds[8_000:]:
        look.began_ns += 3_000 * second
        look.ended_ns += 3_000 * second
    drawn = divergence.divergence({"k": rounds})["spans"][0]
    assert len(drawn) <= divergence.SPANS_DRAWN
    wrong = [(begin, end) for begin, end, state, *_ in drawn if state == 2]
    assert len(wrong) == 1 and wrong[0][0] <= 5_000 <= wrong[0][1]
    assert sum(counted for *_, counted in drawn) == 10_000
    assert not [1 for begin, end, *_ in drawn if begin < 9_500 < end]
