"""The client: its retries and its failures, in the box; its async face over real sockets is in test_server."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from splitbrain.store.actions import Instant
from splitbrain.store.client import Client
from splitbrain.store.client_core import HEDGE_FIRST_S, TIMEOUT_S, ClientCore
from splitbrain.store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX, Config
from splitbrain.store.errors import REGISTRY, StoreError
from splitbrain.store.node import Node
from splitbrain.store.wire.changes import Change, Kind
from splitbrain.store.wire.client_messages import Get, Members, Put, Report, Status, Stored, Values, View
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.messages import decode_request
from tests.store.box import CLUSTER, SECRET, Box


def test_a_silent_node_is_left_for_the_next():
    box = Box(3)
    box.crash("n1")
    began = box.now
    assert box.client("n1", "n2").put(b"k", b"v").ok
    assert HEDGE_FIRST_S <= box.now - began < 0.3


def test_without_any_answer_a_request_times_out_in_the_time_it_was_given():
    box = Box(3)
    for name in box.names:
        box.crash(name)
    began = box.now
    assert box.client().get(b"k").error == "timeout"
    assert box.now - began == pytest.approx(TIMEOUT_S)


def test_a_request_keeps_its_id_to_whichever_node_it_goes():
    box = Box(3)
    ids = []
    box.crash("n1")
    opener = Wire(SECRET, CLUSTER, "spy", lambda k: 1)

    def tap(source, target, datagram):
        fragment = opener.open(datagram)
        if source == "client" and isinstance(decode_request(fragment.chunk), Put):
            ids.append((target, fragment.request_id, decode_request(fragment.chunk).identity))
        return True

    box.wiretap = tap
    box.client("n1", "n2").put(b"k", b"v")
    assert {target for target, _, _ in ids} == {"n1", "n2"}
    assert len({(request_id, identity) for _, request_id, identity in ids}) == 1


def test_a_client_that_knows_the_members_goes_straight_to_a_primary():
    box = Box(5)
    client = box.client("n1")
    view = client.ask(Members()).reply
    assert isinstance(view, View)
    client.core.learn(view)
    for i in range(20):
        assert client.put(b"k%d" % i, b"v").ok
    assert sum(box.counter(name, "forwarded") for name in box.names) == 0


START = Change(0, "", Kind.START, "n1", ("10.0.0.1", 1))
ONE = {"n": "1", "r": "1", "w": "1"}


@pytest.mark.parametrize(
    "view",
    [
        View([START], {}),
        View([], {"n": "1"}),
        View([msgspec.structs.replace(START, name="")], ONE),
        View([START], {**ONE, "from_the_future": "yes"}),
        View([START], {"n": "many"}),
    ],
)
def test_a_view_that_makes_no_ring_is_an_error_of_the_store_and_changes_nothing(view):
    client = Box(3).client()
    with pytest.raises(StoreError, match=r"can't use the node's view|the node knows no ring"):
        client.core.learn(view)
    assert client.core.view == 0
    client.core.learn(View([START], ONE))
    known = client.core.view
    with contextlib.suppress(StoreError):
        client.core.learn(view)
    assert client.core.view == known


def test_the_registry_says_of_each_error_whether_it_is_definite():
    assert {code for code, kind in REGISTRY.items() if not kind.definite} == {"timeout", "quorum_failed"}
    assert not StoreError("from_the_future", "?").kind.definite


def test_a_direct_clients_put_goes_to_the_primary_that_answered_the_get_before_it():
    box = Box(5)
    client = box.client("n1")
    client.core.learn(client.ask(Members()).reply)
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    context = box.client(primaries[2]).get(key).context
    assert client.put(key, b"v", context).ok
    assert client.put(b"other", b"v").ok
    assert {version.coordinator for version in box.versions(primaries[2], key)} == {primaries[2]}
    assert sum(box.counter(name, "forwarded") for name in box.names) == 0


def test_a_direct_client_leaves_it_to_the_node_to_refuse_a_forged_context():
    box = Box(3)
    client = box.client("n1")
    client.core.learn(client.ask(Members()).reply)
    assert client.put(b"k", b"v", b"forged").error == "bad_context"


def test_a_direct_client_refreshes_from_a_random_node():
    box = Box(5, settled=False)
    client = box.client("n1")
    client.core.learn(client.ask(Members()).reply)
    asked = set()
    box.wiretap = lambda source, target, datagram: source != "client" or bool(asked.add(target)) or True
    for _ in range(30):
        assert client.ask(Members(client.core.view)).reply.changes == []
    assert asked == set(box.names)


# The async face, over an endpoint of our own


class Loopback:
    """One node and no network: a datagram arrives in the loop's next round."""

    def __init__(self, *, answers=True):
        config = Config(n=1, r=1, w=1)
        self.loop = asyncio.get_running_loop()
        box = Box(1, config=config)
        self.node: Node = box.hosts["n1"].node
        self.box, self.answers, self.sent = box, answers, 0
        core = ClientCore([box.hosts["n1"].address], secret=SECRET, cluster=CLUSTER, bits=box.rng.getrandbits)
        self.client = Client(core, lambda: Instant(self.loop.time(), 0))
        self.client.attach(self)
        self.closed = False

    def send(self, datagram, to):
        self.sent += 1
        if not self.answers:
            return
        self.box.clients[("client", 1)] = self
        self.box.inject(to, datagram, ("client", 1))
        self.box.run_for(0.5)

    def close(self):
        self.closed = True

    # What the box takes for a client core.
    next_wake = None

    def receive(self, datagram, source, now):
        self.loop.call_soon(self.client.received, datagram, source)
        return []


def run(scenario, **options):
    async def main():
        stand = Loopback(**options)
        try:
            return await asyncio.wait_for(scenario(stand), 30)
        finally:
            stand.client.close()

    return asyncio.run(main())


def test_put_get_delete_local_and_status_through_the_async_face():
    async def scenario(stand):
        client = stand.client
        context = await client.put(b"k", b"v")
        found = await client.get(b"k")
        assert found.values == (b"v",)
        held = await client.local(b"k")
        assert held.home
        assert [version.value for version in held.state.versions] == [b"v"]
        assert (await client.status())["name"] == "n1"
        await client.delete(b"k", context)
        assert (await client.get(b"k")).values == ()

    run(scenario)


def test_counts_of_one_request_through_the_async_face():
    async def scenario(stand):
        client = stand.client
        context = await client.put(b"k", b"v", w=1, pw=1, dw=1, sloppy=False)
        assert (await client.get(b"k", 1, pr=1, sloppy=False)).values == (b"v",)
        for request in (
            client.get(b"k", pr=2),
            client.put(b"k", b"v", context, pw=2),
            client.delete(b"k", context, dw=2),
        ):
            with pytest.raises(StoreError, match="with n=1: give 0 to 1") as refusal:
                await request
            assert refusal.value.code == "bad_request"
        await client.delete(b"k", context, pw=1, dw=0, sloppy=True)
        assert (await client.get(b"k")).values == ()

    run(scenario)


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
def test_a_bad_key_is_refused_before_anything_is_sent(key):
    async def scenario(stand):
        for request in (stand.client.get(key), stand.client.put(key, b"v"), stand.client.local(key)):
            with pytest.raises(StoreError) as refusal:
                await request
            assert refusal.value.code == "bad_key"
        assert stand.sent == 0

    run(scenario)


def test_a_value_over_the_limit_is_refused_before_anything_is_sent():
    async def scenario(stand):
        with pytest.raises(StoreError, match="split it over several keys") as refusal:
            await stand.client.put(b"k", bytes(VALUE_BYTES_MAX + 1))
        assert refusal.value.code == "too_large"
        assert refusal.value.kind.definite
        assert stand.sent == 0

    run(scenario)


def test_closing_ends_requests_that_are_under_way_as_timeouts():
    async def scenario(stand):
        request = asyncio.ensure_future(stand.client.get(b"k"))
        await asyncio.sleep(0)
        stand.client.close()
        with pytest.raises(StoreError) as failure:
            await request
        assert failure.value.code == "timeout"
        assert stand.closed

    run(scenario, answers=False)


def test_a_client_without_an_endpoint_says_so():
    async def scenario(stand):
        stand.client.close()
        with pytest.raises(RuntimeError, match="attach one first"):
            await stand.client.get(b"k")

    run(scenario)


def test_a_refusal_of_the_node_is_raised_with_its_code():
    async def scenario(stand):
        with pytest.raises(StoreError) as refusal:
            await stand.client.put(b"k", b"v", b"forged")
        assert refusal.value.code == "bad_context"
        assert refusal.value.kind.definite

    run(scenario)


def test_a_client_told_the_members_refreshes_until_closed():
    async def scenario(stand):
        await stand.client.direct()
        await stand.client.put(b"k", b"v")
        refresh = stand.client._refresh
        stand.client.close()
        await asyncio.wait([refresh], timeout=5)
        assert refresh.cancelled()

    run(scenario)


def test_replies_have_the_types_that_requests_ask_for():
    client = Box(3).client()
    assert isinstance(client.ask(Put(b"k", b"v", None)).reply, Stored)
    assert isinstance(client.ask(Get(b"k")).reply, Values)
    assert isinstance(client.ask(Status()).reply, Report)
