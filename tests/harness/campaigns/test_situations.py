"""Situations: each is met by a history made for it, and not by one that lacks one thing."""

from __future__ import annotations

from splitbrain.harness.campaigns.situations import SITUATIONS, occurred
from tests.checkers.script import Script


def cut(script: Script, first: int, last: int) -> Script:
    script.act("start-partition", "partition", "start", at=first, strike=first)
    return script


def healed(script: Script, first: int, at: int) -> Script:
    return script.act("stop-partition", "partition", "stop", at=at, strike=first)


def kill(script: Script, node: str, at: int) -> Script:
    return script.act("kill", "kill", "start", at=at, strike=at, nodes=[node])


def restart(script: Script, node: str, killed: int, at: int) -> Script:
    return script.act("restart", "kill", "stop", at=at, strike=killed, nodes=[node])


def hinted(script: Script, number: int, *, node: str, at: int, key: str = "r0") -> Script:
    value = {"home": False, "versions": [], "values": [], "hinted": number}
    script.invoke(7, "replica", key, at=at, node=node)
    return script.complete(7, "ok", value, at=at + 1)


def met(script: Script, name: str) -> bool | None:
    return occurred(script.history).get(name)


def test_siblings_read_during_a_cut() -> None:
    name = "siblings were read during a cut"
    assert met(healed(cut(Script(), 5, 50).read([1, 2], at=10, key="r0"), 5, 50), name) is True
    assert met(healed(cut(Script(), 5, 50).read([1], at=10, key="r0"), 5, 50), name) is False
    assert met(healed(cut(Script(), 5, 50), 5, 50).read([1, 2], at=60, key="r0"), name) is False


def test_both_sides_of_a_cut_acknowledge_writes_of_one_key() -> None:
    name = "both sides of a cut acknowledged writes of one key"
    both = cut(Script(), 5, 50).add(1, at=10, node="n1").add(2, at=20, node="n2")
    assert met(healed(both, 5, 50), name) is True
    one = cut(Script(), 5, 50).add(1, at=10, node="n1").add(2, at=20, node="n1")
    assert met(healed(one, 5, 50), name) is False


def test_a_node_ends_while_a_write_through_it_is_under_way() -> None:
    name = "a node ended while a write through it was under way"
    script = Script().invoke(0, "add", "s0", 1, at=5, node="n2")
    assert met(kill(script, "n2", 6).complete(0, "info", at=10), name) is True
    script = Script().invoke(0, "add", "s0", 1, at=5, node="n2")
    assert met(kill(script, "n1", 6).complete(0, "info", at=10), name) is False


def test_a_write_of_unknown_outcome_is_read_later() -> None:
    name = "a write of unknown outcome was read later"
    assert met(Script().add(1, at=5, type_="info").read([1], at=20, process=1), name) is True
    assert met(Script().add(1, at=5).read([1], at=20), name) is False
    assert met(Script().put(4, [], at=5, type_="info").read([4], at=20, process=1, key="r0"), name) is True


def test_a_hint_is_delivered_after_its_owner_has_restarted() -> None:
    name = "a hint was delivered after its owner had restarted"
    script = hinted(kill(Script(), "n1", 5), 1, node="n4", at=10)
    assert met(hinted(restart(script, "n1", 5, 20), 0, node="n4", at=30), name) is True
    script = hinted(kill(Script(), "n1", 5), 1, node="n4", at=10)
    assert met(restart(hinted(script, 0, node="n4", at=15), "n1", 5, 20), name) is False


def test_a_node_ends_while_it_keeps_hints() -> None:
    name = "a node ended while it kept hints"
    assert met(kill(hinted(Script(), 1, node="n4", at=5), "n4", 10), name) is True
    assert met(kill(hinted(Script(), 1, node="n4", at=5), "n1", 10), name) is False


def test_a_read_races_with_a_write_of_a_key_whose_replicas_differ() -> None:
    name = "a read raced with a write of a key whose replicas differed"

    def script(second: list[str]) -> Script:
        seen = Script().poll(["a"], at=1, node="n1", key="r0").poll(second, at=3, node="n2", key="r0")
        seen.invoke(1, "put", "r0", {"write": 3}, at=10).invoke(2, "read", "r0", at=11)
        return seen.complete(2, "ok", [1], at=12).complete(1, "ok", {"write": 3, "seen": []}, at=13)

    assert met(script(["b"]), name) is True
    assert met(script(["a"]), name) is False


def test_replicas_differ_after_the_last_heal() -> None:
    name = "replicas differed after the last heal"

    def polled(at: int) -> Script:
        script = cut(Script(), 1, 50)
        if at > 50:
            healed(script, 1, 50)
        script.poll(["a"], at=at, node="n1").poll(["b"], at=at + 2, node="n2")
        return script if at > 50 else healed(script, 1, 50)

    assert met(polled(60), name) is True
    assert met(polled(10), name) is False


def test_faults_of_two_families_stand_at_once() -> None:
    name = "faults of two families stood at once"
    assert met(kill(cut(Script(), 5, 50), "n1", 10), name) is True
    assert met(kill(healed(cut(Script(), 5, 50), 5, 10), "n1", 20), name) is False


def test_a_node_comes_back_while_the_network_is_cut() -> None:
    name = "a node came back while the network was cut"
    inside = restart(kill(cut(Script(), 5, 50), "n1", 10), "n1", 10, 20)
    assert met(healed(inside, 5, 50), name) is True
    outside = restart(healed(kill(cut(Script(), 5, 50), "n1", 10), 5, 20), "n1", 10, 30)
    assert met(outside, name) is False


def test_a_node_is_struck_again_within_a_second() -> None:
    name = "a node was struck again within a second"
    assert met(kill(restart(kill(Script(), "n1", 5), "n1", 5, 20), "n1", 900), name) is True
    assert met(kill(restart(kill(Script(), "n1", 5), "n1", 5, 20), "n2", 900), name) is False
    assert met(kill(restart(kill(Script(), "n1", 5), "n1", 5, 20), "n1", 1100), name) is False


def test_a_delete_is_acknowledged_during_a_fault() -> None:
    name = "a delete was acknowledged during a fault"
    assert met(healed(cut(Script(), 5, 50).delete(2, [1], at=10), 5, 50), name) is True
    assert met(healed(cut(Script().delete(2, [1], at=1), 5, 50), 5, 50), name) is False
    assert met(Script().add(1, at=5), name) is None, "no run without deletes can tell"


def test_a_key_at_rest_is_read_after_a_later_fault() -> None:
    name = "a key at rest was read after a later fault"
    assert met(healed(cut(Script().add(1, at=1), 5, 50), 5, 50).read([1], at=60), name) is True
    again = healed(cut(Script(), 5, 50).add(1, at=10), 5, 50).read([1], at=60)
    assert met(again, name) is False


def test_each_situation_has_a_test_above() -> None:
    import re
    from pathlib import Path

    named = set(re.findall(r'^    name = "(.*)"$', Path(__file__).read_text(), re.MULTILINE))
    assert named == {situation.name for situation in SITUATIONS}


def test_where_no_replica_is_polled_nothing_is_said_of_hints() -> None:
    told = occurred(Script().add(1, at=5).history)
    assert "a hint was delivered after its owner had restarted" not in told
