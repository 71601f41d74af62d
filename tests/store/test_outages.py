"""A node is down for a minute, wiped, or cut off, on a network that loses and duplicates: afterwards all is as it was.

The bound: once the network is whole, hints are pushed within `handoff.SCAN_EVERY_S`, and every two replicas have compared
their trees after `1.25 * anti_entropy_s` for each of a node's peers (`antientropy`, rule 2).
"""

from __future__ import annotations

import random

import pytest

from splitbrain.store.config import Config
from splitbrain.store.storage.replica import DATA, Entry
from splitbrain.store.versions.dotted import siblings
from tests.store.box import Box, _entry
from tests.store.ledger import Ledger

KEYS = [b"a", b"b", b"c", b"d", b"e", b"f"]
CONFIG = Config(partitions=8, anti_entropy_s=3.0)
NODES = 5
BOUND_S = 1.25 * CONFIG.anti_entropy_s * (NODES - 1) + 10.0
OUTAGE_S = 60.0


def actors(box, name):
    """The names under which the node made dots of its keys."""
    entries: list[Entry] = [_entry.decode(stored) for _, stored in box.hosts[name].engine.scan(DATA)]
    return {entry.actor for entry in entries if entry.actor}


def false_siblings(ledger, key, values):
    """Pairs of which one's writer had seen the other."""
    return [(one, other) for one in values for other in values if one != other and one in ledger.past(key, [other])]


def run(seed, kind):
    """One outage of that kind, while clients work. Fails if anything is lost, differs, or is made up."""
    rng = random.Random(f"{kind}/{seed}")
    box = Box(NODES, seed=seed, config=CONFIG, delay_s=(0.0005, 0.01), loss=rng.choice([0.0, 0.1, 0.3]), duplicate=0.1)
    dots = box.watch_dots()
    ledger = Ledger(box)
    victim, *others = rng.sample(box.names, NODES)
    sessions = [ledger.session(name) for name in (*others[:3], victim)]

    def work(seconds, sessions):
        until = box.now + seconds
        while box.now < until:
            session, key = rng.choice(sessions), rng.choice(KEYS)
            session.get(key) if rng.random() < 0.5 else session.put(key, b"%d" % len(ledger.writes))
            box.run_for(rng.uniform(0.1, 1.0))

    for key in KEYS:
        sessions[3].put(key, b"first " + key)
    work(10.0, sessions)
    match kind:
        case "down":
            box.crash(victim, keep=rng.randint(0, 2))
        case "wiped":
            box.crash(victim)
        case "cut off":
            box.isolate(victim)
    old = actors(box, victim)
    work(OUTAGE_S, sessions[:3] if kind != "cut off" else sessions)
    match kind:
        case "down":
            box.start(victim)
        case "wiped":
            box.hosts[victim].engine = type(box.hosts[victim].engine)()
            box.start(victim)
        case "cut off":
            box.heal()
    work(10.0, sessions)
    box.loss = box.duplicate = 0.0
    ledger.finish()
    box.run_until(lambda: box.agree(*KEYS), BOUND_S)
    for key in KEYS:
        ledger.check(key)
        for primary in box.ring.primaries(key):
            assert not false_siblings(ledger, key, siblings(box.state(primary, key)))
    assert max(len(ids) for ids in dots.values()) == 1, "a dot was given to two writes"
    if kind == "wiped":
        assert old
        assert not old & actors(box, victim), "a name from before the disk was lost is in use again"


@pytest.mark.parametrize("kind", ["down", "wiped", "cut off"])
@pytest.mark.parametrize("batch", range(8))
def test_after_an_outage_replicas_are_equal_within_the_bound_and_nothing_is_lost_or_made_up(kind, batch):
    for seed in range(7 * batch, 7 * batch + 7):
        run(seed, kind)
