"""One scenario, and a crash at each of its commits in turn: nothing acknowledged is lost, no dot is used twice."""

from __future__ import annotations

import pytest

from tests.store.box import Box
from tests.store.ledger import Ledger

KEYS = [b"a", b"b"]
BACK_AFTER_S = 0.7


class Scenario:
    """Puts with siblings, merges of siblings and a delete, by two clients, on `nodes` nodes.

    crash_at: the commit, counted over all nodes, at which its node crashes. keep: how many of the commits that are
    under way on it are durable all the same.
    """

    def __init__(self, nodes, crash_at=None, keep=0, torn_network=False):
        self.box = Box(nodes, seed=nodes, settled=False)
        self.dots = self.box.watch_dots()
        self.commits = 0
        self.crash_at, self.keep = crash_at, keep
        self.box.on_persist = self._on_persist
        self.ledger = Ledger(self.box)
        self.torn_network = torn_network

    def run(self):
        box = self.box
        one, other = self.ledger.session("n1", "n2"), self.ledger.session("n3", "n1")
        if self.torn_network:
            box.cut("n1", "n2")
        for turn in range(12):
            for key in KEYS:
                one.put(key, b"one %d" % turn)
                other.put(key, b"other %d" % turn)
                box.run_for(0.03)
                (one if turn % 2 else other).get(key)
                box.run_for(0.03)
            one.put(b"a", b"blind %d" % turn, blind=True)
            if turn % 5 == 3:
                other.delete(b"b")
            box.run_for(0.2)
        box.heal()
        box.run_for(BACK_AFTER_S)
        self.ledger.finish()
        box.run_until(lambda: box.agree(*KEYS), 15.0)
        return self

    def check(self):
        for key in KEYS:
            self.ledger.check(key)
        assert max(len(ids) for ids in self.dots.values()) == 1, "a dot was given to two writes"

    def _on_persist(self, host, persist):
        self.commits += 1
        if self.commits == self.crash_at:
            self.box.crash(host.name, self.keep)
            self.box.at(self.box.now + BACK_AFTER_S, lambda: self.box.start(host.name))


def test_the_scenario_has_more_than_two_hundred_commits_and_makes_siblings():
    whole = Scenario(5).run()
    whole.check()
    assert whole.commits >= 210
    assert all(call.ok for call in whole.ledger.calls)
    assert any(len(whole.box.versions(whole.box.ring.primaries(key)[0], key)) > 1 for key in KEYS)


@pytest.mark.parametrize("nodes", [3, 5])
@pytest.mark.parametrize("batch", range(7))
def test_a_crash_at_any_commit_loses_no_acknowledged_write(nodes, batch):
    for crash_at in range(30 * batch + 1, 30 * batch + 31):
        Scenario(nodes, crash_at, keep=crash_at % 4).run().check()


@pytest.mark.parametrize("nodes", [4, 5])
def test_a_crash_at_any_commit_while_two_nodes_are_cut_off_loses_no_acknowledged_write(nodes):
    for crash_at in range(3, 200, 7):
        Scenario(nodes, crash_at, keep=crash_at % 3, torn_network=True).run().check()
