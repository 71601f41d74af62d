"""What an answer counts for."""

from __future__ import annotations

from splitbrain.store.coordination.quorum import Quorum
from splitbrain.store.coordination.quorum_count import Counts, QuorumCounter


def counter(*, sloppy=True):
    return QuorumCounter(Quorum("w", 3, 2, sloppy=sloppy))


def test_two_nodes_that_held_one_token_are_one_replica():
    count = counter()
    count.count("n1", None, 0)
    count.count("n2", None, 0)
    assert count.counts(degraded=False) == Counts(1, 1, 0)


def test_a_fallback_and_the_primary_it_stands_in_for_count_once():
    count = counter()
    count.count("n4", "n1", None)
    assert count.counts(degraded=False).replicas == 1
    count.count("n1", None, 0)
    assert count.counts(degraded=False) == Counts(1, 1, 0)


def test_in_a_strict_quorum_only_tokens_count():
    count = counter(sloppy=False)
    count.count("n4", "n1", None)
    count.count("n2", None, None)
    count.count("n3", None, 2)
    assert count.counts(degraded=True) == Counts(1, 1, 0)


def test_a_primary_without_a_token_counts_only_where_nodes_fail():
    count = counter()
    count.count("n1", None, None)
    assert count.counts(degraded=False).replicas == 0
    assert count.counts(degraded=True).replicas == 1


def test_a_fallback_that_holds_nothing_counts_once_no_primary_is_pending():
    count = counter()
    count.count_empty("n1")
    assert count.counts(degraded=True).replicas == 0
    count.none_pending()
    assert count.counts(degraded=False).replicas == 1


def test_what_only_a_write_buffer_holds_is_no_durable_replica():
    count = counter()
    count.count("n1", None, 0)
    count.count("n2", None, 1, durable=True)
    assert count.counts(degraded=False) == Counts(2, 2, 1)
