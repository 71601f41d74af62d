"""Who has no key and sees everything changes nothing but counters."""

from __future__ import annotations

import random
from itertools import count

import pytest

from splitbrain.store.membership.failure_detector import PING_EVERY_S, SUSPECT_AFTER_S
from splitbrain.store.wire.datagrams import REPLY, Wire
from splitbrain.store.wire.peer_messages import Reap
from tests.store.box import CLUSTER, SECRET, Box
from tests.store.wire.portrait import difference, portrait
from tests.store.wire.replays import Attack

STRAY = ("10.9.9.9", 999)
STEPS = 4000


def dead_of_five(*, replays):
    """n2 and n5 are dead, and what n2 once answered is sent to n3 again and again, if so. The box, and when they died."""
    box, spy = Box(5, seed=17), Wire(SECRET, CLUSTER, "spy", random.Random(0).getrandbits)
    recorded = []

    def tap(source, target, datagram):
        if source == "n2" and target != "n3" and spy.open(datagram).kind == REPLY:
            recorded.append(datagram)
        return True

    box.wiretap = tap
    client = box.client("n1")
    for number in count():
        assert client.put(b"key%d" % number, b"old").ok
        if len(recorded) >= 150:
            break
    box.run_for(5.0)
    for name in ("n2", "n5"):
        box.crash(name)
    for number, datagram in enumerate(recorded if replays else []):
        for again in range(3):
            box.inject(box.hosts["n3"].address, datagram, STRAY, 0.1 * number + again)
    return box


def suspected_after(box, name, peer):
    """Seconds until the node suspects the peer, looked at every 10 ms: events of other kinds must not count."""
    core, looks = box.hosts[name].node.inspect().core, 0
    while not core.detector.suspects(peer, box.now):
        looks += 1
        assert looks < 1500
        box.run_for(0.01)
    return looks / 100


def test_answers_of_a_dead_node_that_are_replayed_from_a_stray_address_do_not_keep_it_trusted():
    """They did: n3 went on to send n2 what n2 could not take, and puts failed."""
    left_in_peace, replayed = (suspected_after(dead_of_five(replays=each), "n3", "n2") for each in (False, True))
    assert replayed == left_in_peace <= 2 * PING_EVERY_S + SUSPECT_AFTER_S + 0.1


def test_with_two_of_five_dead_no_put_fails_though_answers_of_one_are_replayed():
    box = dead_of_five(replays=True)
    box.run_for(3.0)
    client = box.client("n3")
    puts = [client.put(b"key%d" % number, b"new") for number in range(24)]
    assert [put.ok for put in puts] == [True] * 24
    assert box.hosts["n3"].node.status()["peers"]["n2"]["state"] == "suspected"
    assert box.counter("n3", "unasked_answers") > 50


@pytest.mark.parametrize("seed", range(4))
def test_an_attacker_without_the_key_changes_nothing_but_counters(seed):
    attack = Attack(seed)
    attack.run(STEPS, 250)
    attack.check()
    assert min(attack.attacks.values()) > 0
    assert len(attack.attacks) >= 12
    assert attack.answered_bytes < attack.received_bytes / 4
    answered = [call.ok for call in attack.life.calls if call.done]
    assert sum(answered) > 0.9 * len(answered) > 60


def test_a_portrait_shows_any_change(monkeypatch):
    """Else the test above could not fail."""
    box = Box(3)
    box.client().put(b"k", b"v")
    node = box.hosts["n1"].node
    core, rpc = node.inspect().core, node.inspect().core.rpc
    assert not difference(portrait(node), portrait(node))
    changes = {
        "a sign of life": lambda: core.detector.heard("n2", box.now + 1),
        "a heartbeat": lambda: core.detector.heartbeat("n2", box.now + 2),
        "a datagram taken": lambda: next(iter(rpc._wire._windows.values())).add(1 << 20),
        "a sender known": lambda: rpc._wire._windows.update({5: rpc._wire._windows}),
        "an answer kept": lambda: rpc._taken.begin((1, 1)),
        "a request asked": lambda: core.ask("n2", Reap(0, []), box.now + 1, lambda reply: None),
        "a record": lambda: box.hosts["n1"].engine._spaces["data"].popitem(),
        "a latency": lambda: node.inspect().reception.latencies["put"].observe(1.0, box.now),
        "an incarnation": lambda: setattr(rpc._peers[box.hosts["n2"].address], "incarnation", 1),
        "a random number": lambda: rpc.jitter(),
        "a timer": lambda: core.after(1.0, lambda: None),
        "a timer's moment": lambda: core.timers._heap.append(core.timers._heap.pop(0)),
    }
    for name, change in changes.items():
        before = portrait(node)
        change()
        assert difference(before, portrait(node)), name
