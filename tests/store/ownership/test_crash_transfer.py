"""A node joins, another leaves, and one crashes at each commit in turn: nothing acknowledged is lost, no token either."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.config import Config
from splitbrain.store.wire.client_messages import Changed, Join, Leave
from tests.store.box import Box
from tests.store.ledger import Ledger
from tests.store.ownership.test_sender import settled

KEYS = [b"a", b"b", b"c", b"d"]
BACK_AFTER_S = 0.7


class Scenario:
    """crash_at: the commit, counted over all nodes, at which its node crashes. keep: how many of those under way on it
    are durable all the same."""

    def __init__(self, seed, crash_at=None, keep=0):
        config = Config(partitions=8, gossip_s=0.3, anti_entropy_s=2.0, sloppy=bool(seed % 2))
        self.box = Box(5, seed=seed, config=config, delay_s=(0.0005, 0.01))
        self.dots = self.box.watch_dots()
        self.commits, self.crash_at, self.keep = 0, crash_at, keep
        self.ledger = Ledger(self.box)
        self.rng = random.Random(seed)
        self.operators = [self.box.client("n1", "n3"), self.box.client("n3", "n1")]

    def run(self):
        box = self.box
        sessions = [self.ledger.session(name, "n3", "n4") for name in ("n1", "n2", "n4")]
        self._work(sessions, 10)
        box.on_persist = self._on_persist
        box.add("n6", seeds=("n1", "n3"))
        box.run_for(0.05)
        joining = Join("n6", box.hosts["n6"].address, "", 1)
        self._until_told(self.operators[0], joining)
        self._work(sessions, 20)
        self._until_told(self.operators[1], Leave("n2"))
        self._work(sessions, 40)
        box.run_for(2.0)
        self.ledger.finish()
        box.run_until(lambda: settled(box) and len(box.views()) == 1, 60.0)
        box.run_until(lambda: box.agree(*KEYS), 60.0)
        return self

    def _until_told(self, operator, request):
        """Operators repeat what came to nothing."""
        call = operator.begin(request)
        self.box.run_for(0.2)
        while call.done and not isinstance(call.reply, Changed):
            call = operator.ask(request)

    def _work(self, sessions, turns):
        for number in range(turns):
            session, key = self.rng.choice(sessions), self.rng.choice(KEYS)
            session.put(key, b"%d/%d" % (len(self.ledger.calls), number))
            session.get(self.rng.choice(KEYS))
            self.box.run_for(0.03)

    def _on_persist(self, host, persist):
        self.commits += 1
        if self.commits == self.crash_at:
            self.box.crash(host.name, self.keep)
            self.box.at(self.box.now + BACK_AFTER_S, lambda: self.box.start(host.name))

    def check(self):
        for key in KEYS:
            self.ledger.check(key)
        assert max(len(ids) for ids in self.dots.values()) == 1, "a dot was given to two writes"
        # A strict quorum meets on tokens, whatever crashes.
        assert self.box.config.sloppy or not self.ledger.hidden


def test_the_scenario_has_hundreds_of_commits_and_moves_tokens():
    whole = Scenario(1).run()
    whole.check()
    assert not whole.ledger.hidden
    assert whole.commits > 250
    assert sum(whole.box.counter(name, "tokens_taken") for name in whole.box.running) >= 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch", range(5))
def test_a_crash_at_any_commit_of_a_membership_change_loses_nothing(seed, batch):
    for crash_at in range(1 + batch, 260, 20):
        Scenario(seed, crash_at, keep=crash_at % 4).run().check()
