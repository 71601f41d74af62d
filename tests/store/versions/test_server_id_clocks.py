"""The paper's vector clocks, with one counter a server: what they are, and what they lose."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import Config
from splitbrain.store.versions.clocks import Clocks
from splitbrain.store.versions.dotted import EMPTY, NOTHING, next_dot
from tests.store.box import Box
from tests.store.test_convergence import KEYS, run

PAPER = Config(clocks="server-id")
DOTTED = Config()


# The paper's clocks as the paper has them: every version with a clock of its own, server to counter.


def dominates(one, other):
    return all(one.get(server, 0) >= counter for server, counter in other.items())


def maximal(found):
    """Of versions by number, those whose clock no other's has replaced."""
    return {n: c for n, c in found.items() if not any(m != n and dominates(d, c) for m, d in found.items())}


@st.composite
def histories(draw):
    return draw(
        st.lists(
            st.tuples(st.sampled_from(("read", "put", "blind", "merge")), st.integers(0, 2), st.integers(0, 2)),
            max_size=25,
        )
    )


@given(histories())
def test_a_key_holds_what_vector_clocks_with_a_counter_a_server_would_leave(history):
    """read: the client `b` reads at `a`. put: it writes at `a` with what it read. merge: `a` hears from `b`."""
    clocks = [Clocks(PAPER, Counter()) for _ in range(3)]
    states = [EMPTY] * 3
    model = [{}, {}, {}]
    counters = [0, 0, 0]
    contexts, model_contexts = [NOTHING] * 3, [{}] * 3
    for number, (step, a, b) in enumerate(history):
        if step == "read":
            contexts[b] = states[a].seen
            model_contexts[b] = {s: max(c.get(s, 0) for c in model[a].values()) for c in model[a].values() for s in c}
        elif step == "merge":
            states[a] = clocks[a].merge(states[a], states[b])
            model[a] = maximal(model[a] | model[b])
        else:
            context, clock = (contexts[b], dict(model_contexts[b])) if step == "put" else (NOTHING, {})
            dot = next_dot(states[a], context, a + 1)
            states[a], _ = clocks[a].write(
                states[a], context, 0, dot=dot, value=b"v", request_id=number, coordinator="n", wall_ns=0
            )
            counters[a] += 1
            clock[a] = counters[a]
            model[a] = maximal(model[a] | {number: clock})
        for state, versions in zip(states, model, strict=True):
            assert {version.request_id for version in state.versions} == set(versions)
            assert {version.request_id: list(version.clock.values()) for version in state.versions} == {
                number: [counter for _, counter in sorted(clock.items())] for number, clock in versions.items()
            }


# Through the store


def concurrent_puts(config):
    """Two clients read the same, and both put through one coordinator. Returns what is there then."""
    box = Box(3, config=config)
    one, two = box.client("n1"), box.client("n1")
    one.put(b"k", b"old")
    contexts = [one.get(b"k").context, two.get(b"k").context]
    assert one.put(b"k", b"first", contexts[0]).ok
    assert two.put(b"k", b"second", contexts[1]).ok
    box.run_until(lambda: box.agree(b"k"))
    return one.get(b"k", r=3).values


def test_of_two_concurrent_puts_through_one_coordinator_one_is_silently_lost_and_with_dots_both_are_there():
    assert concurrent_puts(PAPER) == [b"second"]
    assert concurrent_puts(DOTTED) == [b"first", b"second"]


def test_concurrent_puts_through_different_coordinators_are_siblings_as_in_the_papers_figure_3():
    box = Box(3, config=PAPER)
    client = box.client("n1")
    client.put(b"k", b"D1")
    client.put(b"k", b"D2", client.get(b"k").context)
    box.run_for(1.0)
    context = client.get(b"k").context
    box.isolate("n2")
    box.isolate("n3")
    box.client("n2").put(b"k", b"D3", context, w=1)
    box.client("n3").put(b"k", b"D4", context, w=1)
    # Both were handed to n1 first, which answered the get. Were it reached now, it would make them a second time.
    box.run_for(3.0)
    box.heal()
    box.run_until(lambda: box.agree(b"k"))
    found = client.get(b"k", r=3)
    assert found.values == [b"D3", b"D4"]
    client.put(b"k", b"D5", found.context)
    box.run_until(lambda: box.agree(b"k"))
    assert client.get(b"k", r=3).values == [b"D5"]
    (version,) = box.versions("n1", b"k")
    assert sorted(version.clock.values()) == [1, 1, 3]


def test_any_node_takes_a_put_and_the_coordinator_counts_it_as_its_own():
    box = Box(5, config=PAPER)
    key = next(box.keys())
    outside = next(name for name in box.names if name not in box.ring.primaries(key))
    client = box.client(outside)
    for value in (b"a", b"b", b"c"):
        client.put(key, value, client.get(key).context)
    box.run_for(1.0)
    state = box.state(box.ring.primaries(key)[0], key)
    assert [version.value for version in state.versions] == [b"c"]
    assert list(state.seen.clock.values()) == [3]


def test_a_wiped_server_does_not_count_from_one_again_under_its_old_id():
    box = Box(3, config=PAPER)
    dots = box.watch_dots()
    client = box.client("n1")
    client.put(b"k", b"a")
    client.put(b"k", b"b")
    box.run_for(1.0)
    box.isolate("n1")
    box.wipe("n1")
    box.run_for(11.0)
    assert box.client("n1").put(b"k", b"c", w=1).ok
    box.heal()
    box.run_until(lambda: box.agree(b"k"))
    assert client.get(b"k", r=3).values == [b"b", b"c"]
    assert max(map(len, dots.values())) == 1


@pytest.mark.parametrize("seed", range(30))
def test_after_faults_end_all_primaries_agree_and_no_dot_was_given_twice(seed):
    box, _, dots = run(3000 + seed, PAPER)
    box.run_until(lambda: box.agree(*KEYS), 15.0)
    assert max((len(ids) for ids in dots.values()), default=0) <= 1


# Sibling explosion


def alternate(read, write, rounds=30):
    """Two clients, each of which reads, waits while the other writes, and writes a merge of what it had read."""
    contexts = {0: read(), 1: read()}
    for turn in range(rounds):
        client = turn % 2
        write(contexts[client], b"%d" % turn)
        contexts[client] = read()


def test_one_clock_for_the_whole_state_makes_siblings_explode_under_interleaved_merges():
    """Riak before dotted version vectors: siblings share a clock, so a put that is one event behind replaces nothing."""
    state = {"events": 0, "values": []}

    def write(context, value):
        kept = [] if context == state["events"] else state["values"]
        state.update(events=state["events"] + 1, values=[*kept, value])

    alternate(lambda: state["events"], write)
    assert len(state["values"]) > 25


@pytest.mark.parametrize(("config", "most"), [(DOTTED, 2), (PAPER, 1)])
def test_with_dots_there_are_never_more_siblings_than_clients_that_read_before_they_write(config, most):
    # A client's write replaces all that it has read, its own write before among it: so of each client one is left.
    # With a counter a server not even those are: every second write is lost.
    box = Box(3, config=config)
    client = box.client("n1")
    seen = []

    def write(context, value):
        client.put(b"k", value, context)
        seen.append(len(client.get(b"k").values))

    alternate(lambda: client.get(b"k").context, write)
    assert max(seen) == most
