"""Random operations under random faults: afterwards all homes agree, and no acknowledged write is lost."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.config import Config
from tests.store.box import Box
from tests.store.ledger import Ledger

KEYS = [b"a", b"b", b"c"]
CONFIGS = [
    Config(anti_entropy_s=0),
    Config(anti_entropy_s=0, sloppy=False),
    Config(anti_entropy_s=0, r=1, w=1),
    Config(anti_entropy_s=0, n=4, r=2, w=3, pw=1, pr=1),
    Config(anti_entropy_s=0, read_repair="off"),
    Config(anti_entropy_s=0, read_repair="blocking"),
    Config(anti_entropy_s=0.5),
]


def strike(box, rng):
    """One fault, or the end of one."""
    name = rng.choice(box.names)
    host = box.hosts[name]
    match rng.choice(["halves", "one way", "crash", "crash", "start", "hold", "release", "loss", "heal"]):
        case "halves":
            box.isolate(*rng.sample(box.names, rng.randint(1, len(box.names) - 1)))
        case "one way":
            box.cut(name, rng.choice(box.names), both=False)
        case "crash" if host.node is not None:
            box.crash(name, keep=rng.randint(0, 2))
        case "start" if host.node is None:
            box.start(name)
        case "hold":
            box.hold(name)
        case "release" if host.held:
            box.release(name)
        case "loss":
            box.loss, box.duplicate = rng.choice([(0.0, 0.0), (0.2, 0.1), (0.5, 0.3)])
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


def run(seed, config, faults=True):
    """A random run up to its end. Returns its box and ledger, recovered."""
    rng = random.Random(seed)
    box = Box(5, seed=seed, config=config, settled=False, delay_s=(0.0005, 0.02))
    dots = box.watch_dots()
    ledger = Ledger(box)
    sessions = [ledger.session(*rng.sample(box.names, 2)) for _ in range(3)]
    for number in range(40):
        session, key = rng.choice(sessions), rng.choice(KEYS)
        match rng.choice(["get", "get", "put", "put", "put", "blind", "delete"]):
            case "get":
                session.get(key)
            case "put":
                session.put(key, b"%d" % number)
            case "blind":
                session.put(key, b"%d" % number, blind=True)
            case "delete":
                session.delete(key)
        if faults and rng.random() < 0.3:
            strike(box, rng)
        box.run_for(rng.choice([0.0, 0.005, 0.05, 0.4]))
    recover(box)
    ledger.finish()
    return box, ledger, dots


@pytest.mark.parametrize("seed", range(200))
def test_after_faults_end_all_primaries_agree_and_no_acknowledged_write_is_lost(seed):
    box, ledger, dots = run(seed, CONFIGS[seed % len(CONFIGS)])
    # No read helps: writes reach every primary replica by themselves.
    box.run_until(lambda: box.agree(*KEYS), 15.0)
    for key in KEYS:
        ledger.check(key)
    assert max((len(ids) for ids in dots.values()), default=0) <= 1, "a dot was given to two writes"


@pytest.mark.parametrize("seed", range(20))
def test_without_faults_every_operation_succeeds(seed):
    box, ledger, _ = run(1000 + seed, CONFIGS[seed % len(CONFIGS)], faults=False)
    assert all(call.ok for call in ledger.calls)
    box.run_until(lambda: box.agree(*KEYS), 5.0)
    for key in KEYS:
        ledger.check(key)


@pytest.mark.parametrize("seed", range(30))
def test_under_lww_all_primaries_come_to_hold_one_and_the_same_version(seed):
    box, _, _ = run(2000 + seed, Config(conflicts="lww", anti_entropy_s=0))
    box.run_until(lambda: box.agree(*KEYS), 15.0)
    for key in KEYS:
        for primary in box.ring.primaries(key):
            assert len(box.versions(primary, key)) <= 1


def test_the_run_can_lose_writes_so_that_the_check_means_something():
    """A disk that says "durable" and is not: the check must notice."""
    lost = 0
    for seed in range(12):
        rng = random.Random(seed)
        box = Box(5, seed=seed, settled=False)
        box.commit = lambda host, persist, box=box: Box.commit(box, host, persist) if rng.random() < 0.3 else None
        ledger = Ledger(box)
        session = ledger.session("n1")
        for number in range(10):
            session.put(b"a", b"%d" % number)
            box.run_for(0.1)
        for name in box.names:
            box.crash(name)
        recover(box)
        ledger.finish()
        box.run_for(5.0)
        try:
            ledger.check(b"a")
        except AssertionError:
            lost += 1
    assert lost > 0
