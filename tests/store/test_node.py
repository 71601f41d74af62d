"""A node against whatever the network brings: senders without the key, replays, and key holders that send nonsense."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.harness.simulation.cluster import START_S
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import KEY_BYTES_MAX, Config
from splitbrain.store.coordination import reception as module
from splitbrain.store.versions.dotted import COUNTER_MAX, EMPTY, NOTHING, Seen, Version, VersionSet, write
from splitbrain.store.wire.client_messages import Failed, Get, Held, Local, Members, Put, Report, Status, View
from splitbrain.store.wire.datagrams import REQUEST, Wire
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Forward, Moved, Ping, Pong, Read, State, Write, Written
from splitbrain.store.wire.rejections import said
from tests.store.box import CLUSTER, SECRET, Box

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
    (answer,) = answers_to(box, "n1", wire.datagrams(REQUEST, 1, 0, encode(Put(b"k", b"v", None))))
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
    Forward(BIG, Put(b"k", b"v", None), (BIG, 1 << 53)),
    Forward(0, Put(b"k", b"v", None), (0, 1)),
    Forward(0, Get(b"", None)),
    Forward(7, Get(b"k", 3), (1, 1)),
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
    assert answers_to(box, "n1", wire.datagrams(REQUEST, 1, incarnation(box, "n1"), payload)) == []
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
        for datagram in wire.datagrams(REQUEST, number, incarnation(box, "n1"), raw(tag, *fields)):
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


# Requests of clients and of nodes


def test_every_kind_of_request_is_answered_in_kind():
    box = Box(3)
    client = box.client("n1")
    client.put(b"k", b"v")
    box.run_for(0.5)
    state = box.state("n1", b"k")
    assert client.ask(Ping()).reply == Pong()
    slot = box.ring.primaries(b"k").index("n1")
    assert client.ask(Read(b"k")).reply == State(state, slot)
    assert client.ask(Write(b"k", state)).reply == Written(slot)
    assert client.ask(Local(b"k")).reply == Held(True, state, [])
    assert isinstance(client.ask(Members()).reply, View)
    report = client.ask(Status()).reply
    assert isinstance(report, Report)
    status = msgspec.json.decode(report.json)
    assert {"name", "boot", "config", "ring", "peers", "hints", "queues", "counters", "latency_ms"} <= set(status)


def test_a_fallback_asked_for_a_key_answers_with_its_hints_and_no_primary_does():
    box = Box(4, seed=3)
    key = next(box.keys())
    (fallback,) = [name for name in box.names if name not in box.ring.primaries(key)]
    primary = box.ring.primaries(key)[0]
    state, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"v", request_id=1, coordinator="n", wall_ns=0)
    box.isolate(primary)
    assert box.client(fallback).ask(Read(key)).reply == Moved()
    assert box.client(fallback).ask(Write(key, state)).reply == Moved()
    assert box.client(fallback).ask(Read(key, primary)).reply == State(None)
    assert box.client(fallback).ask(Write(key, state, primary)).reply == Written()
    assert box.client(fallback).ask(Read(key, primary)).reply == State(state)
    assert box.client(fallback).ask(Local(key)).reply == Held(False, EMPTY, [primary])
    assert box.client(primary).ask(Read(key)).reply == State(EMPTY, 0)


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
def test_an_empty_or_oversized_key_is_refused_from_nodes_too(key):
    box = Box(3)
    state, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"v", request_id=1, coordinator="n", wall_ns=0)
    for request in (Read(key), Write(key, state), Write(key, state, "n2"), Local(key)):
        reply = box.client("n1").ask(request).reply
        assert isinstance(reply, Failed)
        assert reply.code == "bad_key"
    assert not box.versions("n1", key)
    assert not box.hints()


def test_a_hint_for_an_unknown_owner_is_refused():
    box = Box(4)
    key = box.key(others="n1")
    reply = box.client("n1").ask(Write(key, EMPTY, "nobody")).reply
    assert isinstance(reply, Failed)
    assert reply.code == "bad_request"


def test_a_node_with_all_it_can_take_under_way_says_busy_and_recovers(monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_MAX", 5)
    box = Box(3)
    for name in ("n2", "n3"):
        box.crash(name)
    client = box.client("n1")
    calls = [client.begin(Put(b"k%d" % i, b"v", None)) for i in range(8)]
    box.run_until(lambda: all(call.done for call in calls))
    assert sorted(call.error for call in calls) == ["busy"] * 3 + ["quorum_failed"] * 5
    assert client.get(b"k0", r=1).ok
    assert box.parts("n1").reception.ongoing == 0


def test_a_put_that_is_under_way_here_is_not_refused_as_busy_when_it_comes_again(monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_MAX", 1)
    box = Box(3)
    box.hold("n1")
    client = box.client("n1")
    call = client.begin(Put(b"k", b"v", None))
    box.run_for(0.05)
    forward = Forward(client.core._rpc._next_id, Put(b"k", b"v", None))
    twin = box.client("n1").begin(forward)
    box.run_for(0.05)
    assert not twin.done
    box.release("n1")
    box.run_until(lambda: call.done and twin.done)
    assert call.reply == twin.reply
    assert call.ok


def test_two_clients_with_one_request_id_for_two_keys_are_two_puts():
    box = Box(3)
    one, other = box.client("n1"), box.client("n1")
    other.core._rpc._next_id = one.core._rpc._next_id
    calls = [one.begin(Put(b"a", b"v", None)), other.begin(Put(b"b", b"w", None))]
    box.run_until(lambda: all(call.done for call in calls))
    assert one.get(b"a").values == [b"v"]
    assert one.get(b"b").values == [b"w"]


def test_a_retried_put_soon_after_a_start_is_indefinite_and_not_done():
    box = Box(3, settled=False)
    lost = iter([True])
    box.wiretap = lambda source, target, datagram: not (source == "client" and next(lost, False))
    call = box.client("n1").put(b"k", b"v")
    assert call.error == "timeout"
    assert box.now < START_S + 2
    assert not box.versions("n1", b"k")


def test_a_node_that_was_stalled_drops_the_puts_that_waited_and_takes_them_when_they_come_again():
    box = Box(3)
    client = box.client("n1")
    box.pause("n1")
    call, held = None, []
    box.wiretap = lambda source, target, datagram: held.append((target, datagram)) or target != "n1"
    call = client.begin(Put(b"k", b"v", None))
    box.run_for(1.0)
    box.resume("n1")
    first = next(datagram for target, datagram in held if target == "n1")
    box.inject(box.hosts["n1"].address, first, client.address)
    box.wiretap = lambda source, target, datagram: True
    box.run_until(lambda: call.done)
    assert call.ok
    assert box.counter("n1", "stalls") >= 1
    assert box.counter("n1", "stale_puts") >= 1
    assert len(box.versions("n1", b"k")) == 1


def test_an_idle_nodes_timers_and_tables_do_not_grow():
    box = Box(3)
    box.run_for(30.0)
    before = [len(host.node.inspect().core.timers._heap) for host in box.hosts.values()]
    box.run_for(300.0)
    after = [len(host.node.inspect().core.timers._heap) for host in box.hosts.values()]
    assert max(after) <= max(before) + 5


def test_after_traffic_nothing_is_left_over():
    box = Box(5, loss=0.1, seed=5)
    client = box.client("n1", "n2")
    for i in range(100):
        client.put(b"k%d" % (i % 7), b"%d" % i)
        client.get(b"k%d" % (i % 7))
    box.loss = 0.0
    box.run_for(30.0)
    client.get(b"k0")
    box.run_for(3.0)
    for host in box.hosts.values():
        queues = host.node.status()["queues"]
        assert queues["requests"] == queues["waiting"] == queues["unsynced"] == 0
        assert queues["asked"] <= 1
        assert queues["answers_kept"] <= 5
        assert not host.node.inspect().reception._putting
        assert len(host.node.inspect().core.timers._heap) < 40
    assert not box.hints()


def test_the_same_seed_makes_the_same_run():
    def run():
        box, trace = Box(4, seed=8, loss=0.1, duplicate=0.1, settled=False), []
        box.wiretap = lambda source, target, datagram: trace.append((box.now, source, target, datagram)) or True
        client = box.client()
        for i in range(10):
            client.put(b"k", b"%d" % i)
        return trace

    assert run() == run()


def test_a_client_core_needs_a_node():
    with pytest.raises(ValueError, match="at least one node"):
        ClientCore([], secret=SECRET, cluster=CLUSTER, bits=random.Random(1).getrandbits)
