"""Dots given away with forwarded puts."""

import random

from splitbrain.store.versions import dots as module
from splitbrain.store.versions.dots import Dots


def make(seed=0):
    return Dots(random.Random(seed).getrandbits)


def test_dots_of_a_key_count_under_one_actor():
    dots = make()
    given = [dots.give(b"k") for _ in range(3)]
    assert len({actor for actor, _ in given}) == 1
    assert [counter for _, counter in given] == [1, 2, 3]
    assert dots.give(b"l")[0] != given[0][0]


def test_a_failed_put_takes_its_actor_with_it():
    dots = make()
    first = dots.give(b"k")
    dots.failed(b"k", first)
    assert dots.give(b"k")[0] != first[0]


def test_a_late_failure_of_an_abandoned_actor_does_not_touch_the_new_one():
    dots = make()
    first = dots.give(b"k")
    dots.failed(b"k", first)
    second = dots.give(b"k")
    dots.failed(b"k", first)
    assert dots.give(b"k") == (second[0], 2)


def test_a_restart_makes_new_actors():
    assert not {make(0).give(b"k")[0]} & {make(1).give(b"k")[0]}


def test_the_memory_of_keys_is_bounded_and_a_forgotten_key_gets_a_new_actor(monkeypatch):
    monkeypatch.setattr(module, "KEYS_MAX", 10)
    dots = make()
    first = dots.give(b"0")
    for i in range(1, 50):
        dots.give(b"%d" % i)
    assert len(dots._last) == 10
    assert dots.give(b"0")[0] != first[0]
