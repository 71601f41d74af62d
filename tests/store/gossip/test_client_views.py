"""A client's view of the ring: it learns the new one from answers, and takes nothing back."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.wire.changes import Change, Kind
from splitbrain.store.wire.client_messages import Get, Members, Put, View
from tests.store.box import Box
from tests.store.gossip.rounds import RAPID, joins, overhear, settle


def direct(box, *via):
    client = box.client(*via)
    view = client.ask(Members()).reply
    assert isinstance(view, View)
    client.core.learn(view)
    return client


def test_a_client_whose_view_is_stale_learns_the_new_one_from_the_answer_that_says_so():
    box = Box(4, config=RAPID)
    client = direct(box, "n1")
    box.add("a")
    assert box.join("a").ok
    settle(box)
    assert client.core.view not in box.views()
    assert client.put(b"k", b"v").ok
    box.run_for(0.1)
    assert {client.core.view} == box.views()


def test_a_client_asks_for_a_view_once_and_not_at_each_answer():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    client = direct(box, "n1")
    box.membership("n2").merge(joins(1))
    box.run_for(0.1)
    asked = overhear(box, Members)
    for number in range(40):
        client.put(b"k%d" % number, b"v")
    assert len(asked) == 1
    assert {client.core.view} == box.views("n2")


def test_a_client_that_knows_more_than_the_nodes_it_talks_to_does_not_ask_them_at_each_answer():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    box.membership("n1").merge(joins(1))
    box.run_for(0.1)
    client = direct(box, "n1")
    box.crash("n1")
    asked = overhear(box, Members)
    for number in range(40):
        client.put(b"k%d" % number, b"v")
    assert len(asked) == 1


def test_a_view_of_a_node_that_lags_behind_takes_nothing_back():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    old = box.client("n1").ask(Members()).reply
    box.membership("n1").merge([Change(1, "n1", Kind.GONE, "n4", box.hosts["n4"].address)])
    box.run_for(0.1)
    client = direct(box, "n1")
    view = client.core.view
    client.core.learn(old)
    assert client.core.view == view
    assert "n4" not in client.core._ring.members


def test_a_client_that_knows_the_history_is_not_sent_it_again():
    box = Box(3)
    view = box.client("n1").ask(Members(box.membership("n1").view)).reply
    assert isinstance(view, View)
    assert view.changes == []


@pytest.mark.parametrize("request_", [Get(b"k"), Put(b"k", b"v", None)])
def test_a_client_that_meets_a_node_outside_asks_the_next(request_):
    box = Box(3, config=RAPID)
    box.add("a")
    began = box.now
    assert box.client("a", "n1").ask(request_).ok
    assert box.now - began < 0.5
