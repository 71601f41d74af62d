"""The services keep what they promise, and no more."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from splitbrain.harness.systems.maelstrom.kv_services import (
    PAST,
    REPLICAS,
    LastWriteKv,
    LinearKv,
    SequentialKv,
    Service,
    Timestamps,
    services,
)

CLIENTS = ("n1", "n2", "n3")
Done = tuple[str, dict[str, Any], dict[str, Any]]
"""A client, its request, and the answer."""


def read(key: Any) -> dict[str, Any]:
    return {"type": "read", "key": key}


def write(key: Any, value: Any) -> dict[str, Any]:
    return {"type": "write", "key": key, "value": value}


def cas(key: Any, old: Any, new: Any, **more: Any) -> dict[str, Any]:
    return {"type": "cas", "key": key, "from": old, "to": new, **more}


def request(rng: random.Random) -> dict[str, Any]:
    key, one, other = rng.choice("xy"), rng.randrange(3), rng.randrange(3)
    return rng.choice([read(key), read(key), write(key, one), cas(key, one, other)])


def played(service: Service, seed: int, length: int) -> list[Done]:
    rng = random.Random(seed)
    done = []
    for number in range(length):
        client, asked = rng.choice(CLIENTS), request(rng)
        done.append((client, asked, service.handle(client, asked, float(number))))
    return done


def on_one_state(state: tuple[tuple[str, int], ...], asked: dict[str, Any]) -> tuple[Any, Any]:
    """A request on a plain dictionary: its answer in short, and the state after it. Written apart from the services."""
    rows = dict(state)
    if asked["type"] == "read":
        return rows.get(asked["key"], "no key"), state
    if asked["type"] == "write":
        return "done", tuple(sorted({**rows, asked["key"]: asked["value"]}.items()))
    if asked["key"] not in rows:
        return "no key", state
    if rows[asked["key"]] != asked["from"]:
        return "refused", state
    return "done", tuple(sorted({**rows, asked["key"]: asked["to"]}.items()))


def short(answer: dict[str, Any]) -> Any:
    if answer["type"] == "error":
        return {20: "no key", 22: "refused"}[answer["code"]]
    return answer.get("value", "done")


def sequentially_consistent(done: list[Done]) -> bool:
    """Whether some order of all requests, in which each client's are in its own, gives these answers: by trying all."""
    own = {client: [(asked, short(answer)) for who, asked, answer in done if who == client] for client in CLIENTS}

    @cache
    def possible(at: tuple[int, ...], state: tuple[tuple[str, int], ...]) -> bool:
        if all(place == len(own[client]) for client, place in zip(CLIENTS, at, strict=True)):
            return True
        for number, client in enumerate(CLIENTS):
            if at[number] == len(own[client]):
                continue
            asked, answer = own[client][at[number]]
            said, after = on_one_state(state, asked)
            if said == answer and possible((*at[:number], at[number] + 1, *at[number + 1 :]), after):
                return True
        return False

    return possible((0,) * len(CLIENTS), ())


def in_the_order_of_arrival(done: list[Done]) -> bool:
    state: tuple[tuple[str, int], ...] = ()
    for _, asked, answer in done:
        said, state = on_one_state(state, asked)
        if said != short(answer):
            return False
    return True


@pytest.mark.parametrize("seed", range(100))
def test_lin_kv_answers_in_the_order_of_arrival(seed: int) -> None:
    assert in_the_order_of_arrival(played(LinearKv(), seed, 50))


@pytest.mark.parametrize("seed", range(200))
def test_seq_kv_has_an_order_in_which_all_answers_are_right(seed: int) -> None:
    assert sequentially_consistent(played(SequentialKv(seed=seed), seed, 18))


def test_seq_kv_shows_what_was_replaced() -> None:
    assert sum(not in_the_order_of_arrival(played(SequentialKv(seed=seed), seed, 18)) for seed in range(200)) > 100


def test_seq_kv_shows_a_client_its_own_writes_and_never_takes_it_back() -> None:
    service = SequentialKv(seed=1)
    seen = []
    for number in range(200):
        service.handle("n1", write("x", number), 0.0)
        assert service.handle("n1", read("x"), 0.0)["value"] == number
        seen.append(service.handle("n2", read("x"), 0.0).get("value", -1))
    assert seen == sorted(seen)
    assert any(shown < number for number, shown in enumerate(seen))
    # Whoever comes for the first time sees what is old, but not older than that.
    assert all(service.handle(f"m{n}", read("x"), 0.0)["value"] >= 199 - PAST for n in range(100))


def test_lww_kv_is_not_even_sequentially_consistent() -> None:
    assert any(not sequentially_consistent(played(LastWriteKv(seed=seed), seed, 18)) for seed in range(20))


def test_lww_kv_loses_an_acknowledged_write_to_an_older_one_of_a_clock_that_is_ahead() -> None:
    def final(seed: int) -> Any:
        service = LastWriteKv(seed=seed)
        for value in (1, 2):
            assert service.handle("n1", write("x", value), 0.001 * value) == {"type": "write_ok"}
        for _ in range(200):
            service.handle("n1", read("x"), 1.0)
        last = {service.handle("n1", read("x"), 1.0)["value"] for _ in range(10 * REPLICAS)}
        assert len(last) == 1  # The replicas have learned from each other.
        return last.pop()

    assert {final(seed) for seed in range(50)} == {1, 2}


def test_lin_tso_gives_each_request_a_larger_number() -> None:
    service = Timestamps()
    given = [service.handle("n1", {"type": "ts"}, 0.0)["ts"] for _ in range(100)]
    assert given == sorted(set(given))
    assert service.handle("n1", {"type": "read"}, 0.0)["code"] == 10


def test_a_cas_creates_a_key_only_if_it_is_asked_to() -> None:
    service = LinearKv()
    assert service.handle("n1", cas("x", 0, 1), 0.0)["code"] == 20
    assert service.handle("n1", cas("x", 0, 1, create_if_not_exists=True), 0.0) == {"type": "cas_ok"}
    assert service.handle("n1", read("x"), 0.0) == {"type": "read_ok", "value": 1}
    assert service.handle("n1", cas("x", 0, 2), 0.0)["code"] == 22


def test_keys_and_values_are_any_json_and_one_is_not_true() -> None:
    service = LinearKv()
    for key in (1, "1", [1], {"a": 1, "b": 2}, None):
        service.handle("n1", write(key, [key]), 0.0)
    assert service.handle("n1", read({"b": 2, "a": 1}), 0.0)["value"] == [{"a": 1, "b": 2}]
    assert service.handle("n1", read(1), 0.0)["value"] == [1]
    service.handle("n1", write("x", True), 0.0)
    assert service.handle("n1", cas("x", 1, 2), 0.0)["code"] == 22


@pytest.mark.parametrize(
    ("body", "code"), [({"type": "delete", "key": 1}, 10), ({"type": "write", "key": 1}, 12), ({}, 10)]
)
def test_a_request_that_can_not_be_done_is_refused_with_a_code(body: dict[str, Any], code: int) -> None:
    for name, service in services(1).items():
        if name != "lin-tso":
            assert service.handle("n1", body, 0.0)["code"] == code
