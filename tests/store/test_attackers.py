"""A node against whatever the network brings: senders without the key, replays, and key holders that send nonsense."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.config import KEY_BYTES_MAX, Config
from splitbrain.store.versions.dotted import COUNTER_MAX, EMPTY, NOTHING, Seen, Version, VersionSet
from splitbrain.store.wire.client_messages import Get, Local, Put, Status
from splitbrain.store.wire.datagrams import PROGRESS, REQUEST, Wire
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Forward, Pong, Read, Write
from splitbrain.store.wire.rejections import said
from tests.store.box import CLUSTER, SECRET, Box
from tests.store.wire.sides import fragmented

ATTACKER = ("10.6.6.6", 666)
ALONE = Config(n=1, r=1, w=1)


def answers_to(box, name, datagrams):
    """What the node sends to the attacker in two seconds, when given those datagrams."""
    answers = []
    box.wiretap = lambda source, target, datagram: answers.append(datagram) or True if target == "client" else True
    for datagram in datagrams:
        box.inject(box.hosts[name].address, datagram, ATTACKER)
    box.run_for(2.0)
    return answers


def incarnation(box, name):
    return box.parts(name).wire.incarnation


def alive(box):
    client = box.client()
    return client.put(b"alive", b"yes").ok and client.get(b"alive").ok


@pytest.fixture(scope="module")
def captured():
    """Datagrams that clients really sent, and a box that has not seen them: same cluster, same key."""
    box, sent = Box(3, seed=9), []
    box.wiretap = lambda source, target, datagram: sent.append(datagram) or True if source == "client" else True
    client = box.client("n1")
    client.put(b"k", bytes(3000))
    client.get(b"k")
    return sent


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_truncated_and_oversized_datagrams_get_a_short_rejection_at_most_and_are_counted(captured, data):
    box = Box(1, config=ALONE, settled=False)
    datagram = bytearray(data.draw(st.sampled_from(captured)))
    match data.draw(st.sampled_from(["flip", "cut", "extend", "noise"])):
        case "flip":
            bit = data.draw(st.integers(0, len(datagram) * 8 - 1))
            datagram[bit // 8] ^= 1 << bit % 8
        case "cut":
            del datagram[data.draw(st.integers(0, len(datagram) - 1)) :]
        case "extend":
            datagram += data.draw(st.binary(min_size=1, max_size=1500))
        case "noise":
            datagram = data.draw(st.binary(max_size=1300))
    assert all(len(answer) < len(datagram) for answer in answers_to(box, "n1", [bytes(datagram)]))
    reasons = ("malformed", "forged", "other_protocol", "other_cluster")
    assert sum(box.counter("n1", reason) for reason in reasons) == 1


def test_a_replayed_put_is_counted_and_does_nothing_and_a_first_contact_gets_a_hello_at_most():
    box, sent = Box(3, seed=9), []
    box.wiretap = lambda source, target, datagram: sent.append(datagram) or True if source == "client" else True
    client = box.client("n1")
    context = client.put(b"k", b"old").context
    replayed = list(sent)
    assert client.put(b"k", b"new", context).ok
    hellos = box.counter("n1", "hellos")
    (hello,) = answers_to(box, "n1", replayed)
    assert len(hello) < min(map(len, replayed))
    assert box.counter("n1", "hellos") == hellos + 1
    assert box.counter("n1", "replayed") == len(replayed) - 1 >= 1
    assert client.get(b"k").values == [b"new"]


def test_requests_without_the_key_get_a_rejection_and_no_answer():
    box = Box(3)
    wire = Wire(b"x" * 32, CLUSTER, "stranger", random.Random(1).getrandbits)
    (answer,) = answers_to(box, "n1", fragmented(wire, REQUEST, 1, 0, encode(Put(b"k", b"v", None))))
    assert said(answer, wire) is not None
    assert box.counter("n1", "forged") == 1


BIG = (1 << 64) - 1
ABSURD = [
    Write(b"k", EMPTY),
    Write(b"k", EMPTY, owner="n1"),
    Write(b"k", EMPTY, owner="n2"),
    Write(b"k", EMPTY, owner="nobody"),
    Write(b"k", EMPTY, owner="nobody\0" * 100),
    Write(b"k", EMPTY, owner="\N{SNOWMAN}" * 1000),
    Write(b"", EMPTY),
    Write(b"k" * (KEY_BYTES_MAX + 1), EMPTY),
    Write(b"\0\xff", EMPTY, owner="n2"),
    Write(b"k", VersionSet(Seen({BIG: 1 << 53}, ((0, 1 << 53), (0, 5), (0, 5))))),
    Write(b"k", VersionSet(Seen({1: 1 << 53}), (Version(1, 1, None, -(1 << 63), "?" * 999, 1 << 62),) * 3)),
    Write(b"k", VersionSet(NOTHING, (Version(5, 7, b"not seen", BIG, "", 0),))),
    Read(b""),
    Read(b"k" * 100_000),
    Local(b""),
    Get(b"k", -5),
    Get(b"", 1),
    Put(b"k", b"v", b"", 0),
    Put(b"k", None, b"\0" * 10_000, BIG),
    Put(b"k" * 5000, b"v", None),
    Forward(-1, Put(b"k", b"v", None)),
    Forward(BIG, Put(b"k", b"v", None, identity=(BIG, 1 << 53))),
    Put(b"k", b"v", None, identity=(0, 1)),
    Put(b"k", b"v", None, identity=(BIG, 7)),
    Forward(0, Get(b"", None)),
    Forward(7, Get(b"k", 3)),
]


@pytest.mark.parametrize("order", range(3))
def test_decodable_but_absurd_messages_from_a_key_holder_do_no_harm(order):
    box = Box(3)
    requests = random.Random(order).sample(ABSURD, len(ABSURD))
    client = box.client("n1")
    for request in requests:
        client.begin(request)
        box.run_for(0.01)
    box.run_for(3.0)
    for name in box.names:
        assert alive(box)
        assert box.client(name).ask(Status()).done
        assert box.client(name).get(b"k").ok
        assert box.client(name).put(b"k", b"v").ok
    box.run_for(3.0)
    for name in box.names:
        node = box.hosts[name].node
        assert node.inspect().reception.ongoing == 0
        assert not node.inspect().reception._putting


def raw(*fields):
    return msgspec.msgpack.encode(fields)


NONSENSE = [
    b"",
    b"\xc0",
    b"\x90",
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 5000,
    raw("put"),
    raw("put", "text", b"v", None),
    raw("put", b"k", b"v", None, 1.5),
    raw("put", b"k", b"v", None, True),
    raw("put", b"k", b"v", None, None, "more"),
    raw("nothing", b"k"),
    raw(["put"], b"k"),
    b"\x92\xa4read\xa1\xff",
    b"\x94\xa5write\xc4\x01k\x92\x92\x80\x90\x90\xa2\xff\xfe",
    raw("write", b"k", [[{}, []], [[1, 0, b"v", 1, "n", 0]]]),
    raw("write", b"k", [[{}, []], [[-1, 1, b"v", 1, "n", 0]]]),
    raw("write", b"k", [[{}, []], [[1, 1, b"v", 1, "n", -5]]]),
    raw("write", b"k", [[{}, []], [[1, 1, b"v", 1, "n", BIG]]]),
    raw("write", b"k", [[{1: BIG}, []], []]),
    raw("write", b"k", [[{1: 0}, []], []]),
    raw("write", b"k", [[{1: -3}, []], []]),
    raw("write", b"k", [[{}, [[1, BIG]]], []]),
    raw("write", b"k", [[{}, [[1, 2, 3]]], []]),
    raw("write", b"k", [[{b"x": 1}, []], []]),
    raw("write", b"k", [[{}, []], []], 5),
    raw("fwd", 1, ["read", b"k"]),
    raw("fwd", 1, ["fwd", 1, ["get", b"k"]]),
    raw("fwd", 1, ["put", b"k", b"v", None], [1, 0]),
    raw("fwd", 1, ["put", b"k", b"v", None], [1, BIG]),
    encode(Pong()),
]


@pytest.mark.parametrize("payload", NONSENSE)
def test_a_key_holders_nonsense_is_counted_and_gets_no_answer(payload):
    box = Box(3)
    wire = Wire(SECRET, CLUSTER, "holder", random.Random(1).getrandbits)
    answers = answers_to(box, "n1", fragmented(wire, REQUEST, 1, incarnation(box, "n1"), payload))
    # Of a long one it is said that it has come, before anybody looks into it.
    assert [wire.open(each).kind for each in answers] == [PROGRESS] * (len(payload) > wire.chunk_bytes)
    assert box.counter("n1", "malformed") == 1
    assert alive(box)


payloads = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=5)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 3) | st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
tags = st.sampled_from(["get", "put", "local", "status", "members", "fwd", "read", "write", "ping"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(tags, st.lists(payloads, max_size=5)), max_size=6))
def test_no_message_of_any_shape_stops_a_node(messages):
    box = Box(3, settled=False)
    wire = Wire(SECRET, CLUSTER, "holder", random.Random(1).getrandbits)
    for number, (tag, fields) in enumerate(messages):
        for datagram in fragmented(wire, REQUEST, number, incarnation(box, "n1"), raw(tag, *fields)):
            box.inject(box.hosts["n1"].address, datagram, ATTACKER)
    box.run_for(2.0)
    assert alive(box)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_state_a_key_holder_writes_makes_the_key_unusable_or_a_node_stop(data):
    """Up to the bounds that messages allow, and with clouds, duplicates and versions that nobody has seen."""
    counters = st.sampled_from([1, 2, 3, 100])
    seen = Seen(
        data.draw(st.dictionaries(st.integers(0, 3), counters, max_size=3)),
        tuple(data.draw(st.lists(st.tuples(st.integers(0, 3), counters), max_size=4))),
    )
    versions = st.builds(
        Version, st.integers(0, 3), counters, st.none() | st.binary(max_size=3), st.integers(-3, 3), st.text(), counters
    )
    state = VersionSet(seen, tuple(data.draw(st.lists(versions, max_size=4))))
    box = Box(3, config=Config(conflicts=data.draw(st.sampled_from(["siblings", "lww"]))), settled=False)
    client = box.client("n1")
    client.begin(Write(b"k", state, data.draw(st.sampled_from([None, "n1", "n2"]))))
    box.run_for(0.5)
    found = client.get(b"k")
    assert client.put(b"k", b"mine", found.context).ok
    assert b"mine" in client.get(b"k").values


def test_a_peer_that_makes_up_our_last_dot_does_not_stop_us_writing():
    box = Box(3)
    client = box.client("n1")
    client.put(b"k", b"a")
    ((actor, _),) = [version.dot for version in box.versions("n1", b"k")]
    client.begin(Write(b"k", VersionSet(Seen({actor: COUNTER_MAX}))))
    box.run_for(0.5)
    found = client.get(b"k")
    assert client.put(b"k", b"b", found.context).ok
    box.run_for(0.5)
    box.crash("n1")
    box.start("n1")
    assert box.client("n2").get(b"k", r=3).values == [b"b"]
