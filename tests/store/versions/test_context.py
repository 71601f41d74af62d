"""Contexts: only what this cluster gave for this key is taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.errors import StoreError
from splitbrain.store.versions.context import BLIND, FORMAT, Context, _seal, accept, issue
from splitbrain.store.versions.dotted import Seen

SECRET = b"s" * 32
clocks = st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 2**53), max_size=5)
contexts = st.builds(Context, st.builds(Seen, clocks), st.integers(0, 2**62))


@given(contexts, st.binary(min_size=1, max_size=1024))
def test_a_context_comes_back_as_it_was_given(context, key):
    assert accept(SECRET, key, issue(SECRET, key, context)) == context


def test_no_context_is_a_blind_write():
    assert accept(SECRET, b"k", None) == BLIND


@given(contexts, st.binary(max_size=20), st.binary(max_size=20))
def test_another_keys_context_is_refused(context, key, other):
    if key != other:
        with pytest.raises(StoreError, match="not one this cluster gave for this key"):
            accept(SECRET, other, issue(SECRET, key, context))


@given(contexts, st.data())
def test_a_damaged_context_is_refused(context, data):
    given_out = issue(SECRET, b"k", context)
    bit = data.draw(st.integers(0, len(given_out) * 8 - 1))
    damaged = bytearray(given_out)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreError) as refusal:
        accept(SECRET, b"k", bytes(damaged))
    assert refusal.value.code == "bad_context"
    assert refusal.value.kind.definite


@given(st.binary(max_size=200))
def test_any_bytes_that_are_no_context_are_refused(junk):
    with pytest.raises(StoreError):
        accept(SECRET, b"k", junk)


@given(contexts, st.data())
def test_a_truncated_context_is_refused(context, data):
    given_out = issue(SECRET, b"k", context)
    with pytest.raises(StoreError):
        accept(SECRET, b"k", given_out[: data.draw(st.integers(0, len(given_out) - 1))])


def test_another_clusters_context_is_refused():
    with pytest.raises(StoreError):
        accept(b"t" * 32, b"k", issue(SECRET, b"k", Context(Seen({1: 1}))))


@given(st.sampled_from([b"", FORMAT, b"\x02"]), st.binary(max_size=100))
def test_a_sealed_context_of_an_unknown_form_is_refused_and_does_not_crash(form, junk):
    body = form + junk
    try:
        accept(SECRET, b"k", body + _seal(SECRET, b"k", body))
    except StoreError as refusal:
        assert refusal.code == "bad_context"  # Else it happened to be a well-formed one.
