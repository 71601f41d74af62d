"""Notices: who can't be answered is told why, and nothing but the text of a timeout depends on it."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.actions import Instant, Send
from splitbrain.store.client_core import ClientCore
from splitbrain.store.wire import datagrams, rejections
from splitbrain.store.wire.client_messages import Get
from splitbrain.store.wire.datagrams import REQUEST, Wire
from splitbrain.store.wire.rejections import NOTE_EVERY_S, REJECTIONS_A_SECOND, rejection, said
from tests.store.box import CLUSTER, SECRET, Box, Call
from tests.store.wire.sides import fragmented

STRANGER = ("10.0.0.9", 9)


def make(name="c", secret=SECRET, cluster=CLUSTER):
    return Wire(secret, cluster, name, random.Random(name).getrandbits)


def datagram(sender):
    return next(iter(fragmented(sender, REQUEST, 1, 0, b"")))


class Outsider:
    """A client whose key, cluster or protocol is not the box's: what it hears, and what it then says of a timeout."""

    def __init__(self, box, secret=SECRET, cluster=CLUSTER, node="n1"):
        self.box = box
        self.core = ClientCore(
            [box.hosts[node].address], secret=secret, cluster=cluster, bits=random.Random(9).getrandbits
        )
        box.clients[STRANGER] = self.core

    def ask(self):
        call = Call()
        self.box.send_all(STRANGER, self.core.request(Get(b"k"), self.box.instant(), call))
        self.box.run_until(lambda: call.done)
        return call


@pytest.mark.parametrize(
    ("outside", "says"),
    [
        ({"secret": b"x" * 32}, "another cluster key: use the key file"),
        ({"cluster": "other"}, "another cluster: give the cluster's name"),
    ],
)
def test_a_client_with_another_key_or_cluster_is_told_so_and_its_request_still_times_out(outside, says):
    box = Box(3)
    outsider = Outsider(box, **outside)
    assert outsider.ask().error == "timeout"
    assert "10.0.0.1:7001 says" in outsider.core.says()
    assert says in outsider.core.says()


def test_a_client_of_another_protocol_is_told_both_versions(monkeypatch):
    box = Box(3)
    monkeypatch.setattr(datagrams, "PROTOCOL", 7)
    outsider = Outsider(box)
    begun = outsider.core.request(Get(b"k"), box.instant(), Call())
    monkeypatch.undo()
    answers = []
    for action in begun:
        answers += box.hosts["n1"].node.receive(action.datagram, STRANGER, box.instant())
    monkeypatch.setattr(rejections, "PROTOCOL", 7)
    for answer in answers:
        if isinstance(answer, Send):
            outsider.core.receive(answer.datagram, box.hosts["n1"].address, box.instant())
    assert f"speaks version {datagrams.PROTOCOL} of the protocol, this program speaks 7" in outsider.core.says()


def test_the_next_answer_takes_back_what_was_said():
    box = Box(3)
    client = box.client("n1")
    address = box.hosts["n1"].address

    def falsify(source, target, sent):
        if source == "client":
            box.inject(client.address, rejection("forged", sent), address)
        return source != "client"

    box.wiretap = falsify
    assert client.get(b"k").error == "timeout"
    assert client.core.says() != ""
    box.wiretap = lambda *way: True
    assert client.get(b"k").ok
    assert client.core.says() == ""


def test_a_rejection_ends_no_request_early_and_fails_none():
    box = Box(3)
    client = box.client("n1")
    address = box.hosts["n1"].address

    def slander(source, target, sent):
        if source == "client":
            box.inject(client.address, rejection("forged", sent), address)
        return True

    box.wiretap = slander
    assert client.put(b"k", b"v").ok
    assert client.get(b"k").values == [b"v"]


def test_a_rejection_of_a_datagram_never_sent_or_from_a_peer_never_asked_is_ignored():
    box = Box(3)
    client = box.client("n1")
    assert client.get(b"k").ok
    about = datagram(make())
    box.inject(client.address, rejection("forged", about), box.hosts["n1"].address)
    box.run_for(0.01)
    assert client.core.says() == ""
    sender = make()
    about = datagram(sender)
    ahead = about[:19] + (99).to_bytes(4) + about[23:]
    assert said(rejection("forged", about), sender) is not None
    assert said(rejection("forged", ahead), sender) is None


def test_a_rejection_is_smaller_than_the_datagram_it_is_about_and_never_about_a_rejection():
    box = Box(3)
    answers = []
    box.wiretap = lambda source, target, sent: answers.append(sent) or True
    box.clients[STRANGER] = box.client("n1").core
    smallest = b"sB\x01" + bytes(62)
    for noise in (smallest, b"sB\x02" + bytes(62), smallest[:64], b"sB", rejection("forged", smallest)):
        answers.clear()
        box.inject(box.hosts["n1"].address, noise, STRANGER)
        box.run_for(0.01)
        to_stranger = [answer for answer in answers if answer.startswith(b"sN")]
        assert all(len(answer) < len(noise) for answer in to_stranger)
        assert bool(to_stranger) == (len(noise) == 65)


def test_a_flood_without_the_key_gets_a_few_rejections_a_second_and_two_lines_in_the_log():
    box = Box(3)
    box.clients[STRANGER] = box.client("n1").core
    sent = []
    box.wiretap = lambda source, target, datagram: sent.append(datagram) or True
    stranger = make(secret=b"x" * 32)
    lines = len(box.hosts["n1"].log)
    begin = box.now
    for i in range(2000):
        box.inject(box.hosts["n1"].address, datagram(stranger), STRANGER, i * 0.001)
    box.run_for(2.5)
    answered = sum(each.startswith(b"sN") for each in sent)
    assert REJECTIONS_A_SECOND <= answered <= REJECTIONS_A_SECOND * (int(box.now) - int(begin) + 1)
    (line,) = box.hosts["n1"].log[lines:]
    assert "10.0.0.9:9" in line and "this cluster's key file" in line
    box.run_for(NOTE_EVERY_S)
    box.inject(box.hosts["n1"].address, datagram(stranger), STRANGER)
    box.run_for(0.1)
    assert "(1999 more since the last such line)" in box.hosts["n1"].log[-1]


def test_a_peer_with_another_key_is_named_in_log_and_status():
    box = Box(3)
    impostor = Notifier(box, "n2")
    box.run_for(5)
    assert impostor.answered
    assert any("10.0.0.1:7002 says: it has another cluster key" in line for line in box.hosts["n1"].log)
    status = box.hosts["n1"].node.status()
    assert "another cluster key" in status["peers"]["n2"]["says"]
    assert status["peers"]["n3"]["says"] is None


class Notifier:
    """In the place of a node: answers whatever comes with a rejection."""

    def __init__(self, box, name):
        self.answered = 0
        box.crash(name)
        self.box, self.address = box, box.hosts[name].address
        box.clients[self.address] = self

    next_wake = None

    def receive(self, datagram: bytes, source, now: Instant):
        self.answered += 1
        return [Send(source, rejections.rejection("forged", datagram))]
