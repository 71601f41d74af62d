"""Anti-entropy: replicas that differ become equal, by themselves, and only what differs moves."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.actions import Record
from splitbrain.store.config import Config
from splitbrain.store.repair import hosted, merkle
from splitbrain.store.repair.anti_entropy import PATIENCE_S, SWAP_BYTES
from splitbrain.store.storage.replica import DATA, Entry, place
from splitbrain.store.versions.dotted import EMPTY, VersionSet, add, merge, write
from splitbrain.store.wire.client_messages import Failed, Join, Put
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import CompareLeaves, CompareNodes, CompareRoots, Listings, Swap
from splitbrain.store.wire.rpc import Rpc
from tests.store.box import Box, encoded
from tests.store.repair.meter import Meter

EVERY_S = 2.0
ALONE = Config(anti_entropy_s=EVERY_S, read_repair="off")
"""Nothing else brings replicas together, once no hint is left."""
PAIR = Config(n=2, r=1, w=1, anti_entropy_s=EVERY_S, read_repair="off", gossip_s=60)
ONE_ROUND_S = 1.25 * EVERY_S + 1.0


def state(value, counter=1, of=EMPTY, actor=9):
    request_id = 1000 * actor + counter
    changed, _ = write(
        of, of.seen, dot=(actor, counter), value=value, request_id=request_id, coordinator="x", wall_ns=counter
    )
    return changed


def fill(box, contents):
    """What was on the disks before the nodes were started. contents: states by node and key."""
    for name, states in contents.items():
        box.crash(name)
        records = [Record(DATA, place(key), encoded(Entry(0, known))) for key, known in states.items()]
        box.hosts[name].engine.commit(records)
    for name in contents:
        box.start(name)


def trees(box, name):
    return box.parts(name).anti_entropy._hosted


def counter(box, counted):
    return sum(box.counter(name, counted) for name in box.names if box.hosts[name].node is not None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (state(b"v"), EMPTY),
        (EMPTY, state(b"v")),
        (state(b"v"), state(b"w", 2, of=state(b"v"))),
        (state(b"v"), state(None, 2, of=state(b"v"))),
        (state(b"v"), state(b"w", actor=8)),
        (state(b"v"), VersionSet(add(state(b"v").seen, (8, 1)), state(b"v").versions)),
    ],
    ids=["missing there", "missing here", "an older version", "a tombstone", "siblings", "only the clock"],
)
def test_whatever_two_replicas_differ_in_both_hold_all_of_it_after_one_round(one, other):
    box = Box(2, config=PAIR)
    fill(box, {"n1": {b"k": one} if one != EMPTY else {}, "n2": {b"k": other} if other != EMPTY else {}})
    box.run_for(ONE_ROUND_S)
    assert box.state("n1", b"k") == box.state("n2", b"k") == merge(one, other)


def test_two_equal_replicas_exchange_two_datagrams_a_round(monkeypatch):
    box = Box(2, config=PAIR)
    same = {b"%d" % i: state(b"v") for i in range(500)}
    fill(box, {"n1": same, "n2": same})
    box.run_for(3.0)
    meter, rounds = Meter(box, monkeypatch), counter(box, "anti_entropy_rounds")
    box.run_for(20.0)
    assert meter.datagrams == 2 * (counter(box, "anti_entropy_rounds") - rounds) > 10
    assert counter(box, "keys_moved") == 0


def test_ten_differences_in_twenty_thousand_keys_take_a_few_dozen_datagrams(monkeypatch):
    box = Box(2, config=PAIR)
    keys = [b"a key of ordinary length %d" % i for i in range(20_000)]
    same = {key: state(b"v" * 100) for key in keys}
    random.Random(1).shuffle(keys)
    differing = {key: state(b"w" * 100, 2, of=same[key]) for key in keys[:10]}
    fill(box, {"n1": same, "n2": {**same, **differing}})
    meter = Meter(box, monkeypatch)
    box.run_for(EVERY_S * 1.5)
    assert all(box.state("n1", key) == known for key, known in differing.items())
    assert counter(box, "keys_moved") == 10
    assert meter.datagrams <= 36
    listed = sum(len(listing) for message in meter.of(Listings) for listing in message.listings)
    assert listed < 100, "whole key lists were shipped"


def test_a_state_on_one_side_only_crosses_the_wire_once(monkeypatch):
    box = Box(2, config=PAIR)
    fill(box, {"n1": {b"here": state(b"v")}, "n2": {b"there": state(b"v")}})
    meter = Meter(box, monkeypatch)
    box.run_for(ONE_ROUND_S)
    swaps = meter.of(Swap)
    assert [key for swap in swaps for key, _ in swap.states] in ([b"here"], [b"there"])


def test_large_states_move_a_bounded_number_of_bytes_at_a_time(monkeypatch):
    box = Box(2, config=PAIR)
    here = {b"h%d" % i: state(b"v" * 100_000) for i in range(12)}
    there = {b"t%d" % i: state(b"v" * 100_000) for i in range(12)}
    fill(box, {"n1": here, "n2": there})
    meter = Meter(box, monkeypatch)
    box.run_until(lambda: all(box.values(n, key) for n in box.names for key in {**here, **there}), 20.0)
    largest = max(len(encode(message)) for message in meter.messages)
    assert 200_000 < largest < SWAP_BYTES + 2 * 100_000
    assert len(meter.of(CompareRoots)) == 1, "not all of it was moved by the first comparison"


def test_a_lost_disk_is_filled_again_without_a_read_or_a_hint():
    box = Box(5, seed=3, config=ALONE)
    keys = [b"%d" % i for i in range(60)]
    client = box.client()
    for key in keys:
        assert client.put(key, b"v", w=3).ok
    box.run_for(1.0)
    box.wipe("n2")
    assert not box.hints()
    box.run_until(lambda: box.agree(*keys), 4 * ONE_ROUND_S + 5.0)


def test_a_round_loses_and_moves_nothing_when_messages_are_lost_and_doubled():
    for seed in range(10):
        box = Box(2, seed=seed, config=PAIR, loss=0.25, duplicate=0.25)
        fill(
            box,
            {
                "n1": {b"%d" % i: state(b"v", 1) for i in range(40)},
                "n2": {b"%d" % i: state(b"w", 1, actor=8) for i in range(20, 60)},
            },
        )
        box.run_until(lambda: all(box.state("n1", b"%d" % i) == box.state("n2", b"%d" % i) for i in range(60)), 30.0)
        assert box.values("n1", b"0") == [b"v"] and box.values("n2", b"30") == [b"v", b"w"]


def test_every_two_nodes_that_share_a_partition_meet(monkeypatch):
    box = Box(5, seed=1, config=ALONE)
    met = set()
    ask = Rpc.ask

    def noted(rpc, to, request, *rest, **named):
        if isinstance(request, CompareRoots):
            asker = next(name for name, host in box.hosts.items() if host.node.inspect().core.rpc is rpc)
            met.add((asker, box.owner[to]))
        return ask(rpc, to, request, *rest, **named)

    monkeypatch.setattr(Rpc, "ask", noted)
    box.run_for(4 * 1.25 * EVERY_S + 1.0)
    pairs = {(one, other) for p in range(64) for one in box.ring.primaries_of(p) for other in box.ring.primaries_of(p)}
    assert met == {(one, other) for one, other in pairs if one != other}


def test_with_an_interval_of_0_replicas_stay_different():
    box = Box(2, config=Config(n=2, r=1, w=1, anti_entropy_s=0))
    fill(box, {"n1": {b"k": state(b"v")}, "n2": {}})
    box.run_for(60.0)
    assert box.state("n2", b"k") == EMPTY
    assert counter(box, "anti_entropy_rounds") == 0


def test_an_unfinished_tree_is_not_compared_and_delays_no_request(monkeypatch):
    monkeypatch.setattr(merkle, "SLICE_KEYS", 1)
    box = Box(2, config=PAIR)
    many = {b"%d" % i: state(b"v") for i in range(400)}
    monkeypatch.setattr("splitbrain.store.scheduling.background.PAUSE_MIN_S", 0.01)
    fill(box, {"n1": many, "n2": many})
    compared = Meter(box, monkeypatch)
    assert trees(box, "n1").unfinished == 64
    client = box.client("n1")
    began = box.now
    while trees(box, "n1").unfinished > 3:
        assert client.put(b"new%d" % len(compared.messages), b"w").ok
        assert client.get(b"%d" % random.Random(box.now).randrange(400)).values == [b"v"]
        for message in compared.of(CompareRoots):
            assert len(message.roots) < 64
    assert box.now - began > 3.0
    assert compared.of(CompareRoots) and not compared.of(Swap)
    box.run_until(lambda: not trees(box, "n1").unfinished and not trees(box, "n2").unfinished, 60.0)
    box.run_for(1.0)
    assert trees(box, "n1").roots() == trees(box, "n2").roots()
    assert len(trees(box, "n1").roots()) == 64


def test_what_is_put_while_trees_are_filled_is_in_them():
    box = Box(3, seed=2, config=ALONE)
    client = box.client()
    for i in range(100):
        assert client.put(b"%d" % i, b"v").ok
    box.run_for(1.0)
    for name in box.names:
        box.crash(name)
        box.start(name)
    for i in range(150):
        client.put(b"%d" % i, b"w")
    box.run_for(3.0)
    assert counter(box, "keys_moved") == 0
    roots = [trees(box, name).roots() for name in box.names]
    assert roots[0] == roots[1] == roots[2]
    assert sum(root != 0 for root in roots[0].values()) > 50


def test_nothing_is_given_away_that_a_crash_would_undo():
    """A dot that a node gave away and then forgot would be made again."""
    box = Box(2, config=PAIR)
    box.hold("n1")
    call = box.client("n1").begin(Put(b"k", b"v", None, 1))
    box.run_for(10.0)
    assert not call.ok
    assert box.state("n2", b"k") == EMPTY


def test_a_request_under_another_view_is_refused_and_the_comparison_repeated_later(monkeypatch):
    box = Box(3, seed=1, config=ALONE)
    many = {b"%d" % i: state(b"v") for i in range(300)}
    fill(box, {"n1": many, "n2": {}, "n3": {}})
    box.add("n4")
    member = box.member("n4")
    joining = Join(member.name, member.address, member.zone, member.capacity)
    calls, ask = [], Rpc.ask

    def join_at_the_first_descent(rpc, to, request, *rest, **named):
        if isinstance(request, CompareNodes | CompareLeaves) and not calls:
            calls.append(None)
            box.at(box.now, lambda: calls.append(box.client("n3").begin(joining)))
        return ask(rpc, to, request, *rest, **named)

    monkeypatch.setattr(Rpc, "ask", join_at_the_first_descent)
    meter = Meter(box, monkeypatch)
    box.run_until(lambda: "n4" in box.ring.members and box.agree(*many), 60.0)
    assert len({request.view for request in meter.of(CompareRoots)}) == 2


def test_a_question_about_another_membership_is_refused():
    box = Box(2, config=PAIR)
    call = box.client("n1").begin(CompareRoots(12345, {0: 1}))
    box.run_until(lambda: call.done, 40.0)  # It says `busy`, and a client comes back for half a minute.
    assert isinstance(call.reply, Failed)
    assert "membership" in call.reply.message


def test_questions_about_what_there_is_not_are_answered_with_nothing():
    box = Box(2, config=PAIR)
    view = box.membership("n1").view
    ask = box.client("n1").ask
    assert ask(CompareRoots(view, {4000: 1})).reply.partitions == []
    assert ask(CompareNodes(view, [(4000, 0), (0, 1 << 60), (0, -1)])).reply.hashes == [[], [], []]
    assert ask(CompareLeaves(view, [(4000, 0), (0, 0), (0, 1 << 60)])).reply.listings == [None, None, None]
    assert ask(Swap(view, [], [b"absent"])).reply.states == [EMPTY]


def test_a_swap_leaves_nothing_on_a_node_that_does_not_host_the_key():
    box = Box(5, config=ALONE)
    key = box.key(others="n1")
    view = box.membership("n1").view
    box.client("n1").ask(Swap(view, [(key, state(b"v"))], []))
    assert box.state("n1", key) == EMPTY


def test_a_leaf_with_more_keys_than_fit_in_a_message_is_listed_over_several(monkeypatch):
    monkeypatch.setattr(hosted, "KEYS_AT_ONCE", 3)
    box = Box(2, config=PAIR)
    fill(box, {"n1": {b"%d" % i: state(b"v") for i in range(200)}, "n2": {}})
    meter = Meter(box, monkeypatch)
    box.run_until(lambda: all(box.values("n2", b"%d" % i) for i in range(200)), 20.0)
    assert all(sum(len(listing) for listing in message.listings) <= 8 for message in meter.of(Listings))
    assert len(meter.of(Listings)) > 10
    assert len(meter.of(CompareRoots)) == 1, "not all of it was moved by the first comparison"


def test_the_status_shows_the_roots_of_finished_trees():
    box = Box(2, config=PAIR)
    fill(box, {"n1": {b"k": state(b"v")}, "n2": {b"k": state(b"v")}})
    box.run_for(2.0)
    one, other = (box.hosts[name].node.status()["merkle"] for name in box.names)
    assert one == other
    assert one["unfinished"] == 0
    assert sum(root != "0" * 16 for root in one["roots"].values()) == 1
    assert len(one["roots"]) == 64


def strike(box, rng):
    """A fault after which writes, or hints for those who missed them, may be lost."""
    name = rng.choice(box.names)
    host = box.hosts[name]
    match rng.choice(["halves", "wipe", "wipe a holder", "crash", "start", "hold", "release", "loss", "heal"]):
        case "halves":
            box.isolate(*rng.sample(box.names, 2))
        case "wipe" if host.node is not None:
            box.wipe(name)
        case "wipe a holder":
            for holder in box.names:
                if box.hosts[holder].node is not None and box.hints(holder):
                    box.wipe(holder)
                    break
        case "crash" if host.node is not None:
            box.crash(name, keep=rng.randint(0, 2))
        case "start" if host.node is None:
            box.start(name)
        case "hold":
            box.hold(name)
        case "release" if host.held:
            box.release(name)
        case "loss":
            box.loss, box.duplicate = rng.choice([(0.0, 0.0), (0.2, 0.2)])
        case "heal":
            box.heal()


def recover(box):
    box.heal()
    box.loss = box.duplicate = 0.0
    for name, host in box.hosts.items():
        if host.held:
            box.release(name)
        if host.node is None:
            box.start(name)


KEYS = [b"%d" % i for i in range(12)]
PEERS = 4
BOUND_S = PEERS * (1.25 * EVERY_S + 0.5) + PATIENCE_S + 1.25 * EVERY_S
"""A meeting with each peer; before that what is left of a round in which the peer did not answer, and one in which a
peer was still suspected."""


def after_faults(seed, every_s):
    """Puts under faults, which end; then the first node that keeps hints loses its disk."""
    rng = random.Random(seed)
    config = Config(
        anti_entropy_s=every_s,
        read_repair="off",
        partitions=8,
        strategy=1 + seed % 3,
        tokens=2,
        r=1,
        w=1 + seed % 2,
    )
    box = Box(5, seed=seed, config=config, settled=False, delay_s=(0.0005, 0.01))
    clients = [box.client(*rng.sample(box.names, 2)) for _ in range(2)]
    for number in range(40):
        rng.choice(clients).begin(Put(rng.choice(KEYS), b"%d" % number, None))
        if rng.random() < 0.3:
            strike(box, rng)
        box.run_for(rng.choice([0.0, 0.01, 0.1, 0.5]))
    recover(box)
    holder = next((name for name in box.names if box.hints(name)), None)
    if holder is not None:
        box.wipe(holder)
    return box


@pytest.mark.parametrize("seed", range(100))
def test_after_faults_that_lose_disks_and_hints_all_primaries_are_equal_within_a_meeting_of_every_pair(seed):
    box = after_faults(seed, EVERY_S)
    box.run_until(lambda: box.agree(*KEYS), BOUND_S)


def test_without_anti_entropy_most_of_those_runs_leave_replicas_different():
    different = 0
    for seed in range(20):
        box = after_faults(seed, 0)
        box.run_for(BOUND_S)
        different += not box.agree(*KEYS)
    assert different > 10
