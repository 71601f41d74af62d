"""A node by itself: idempotent, durable, and restored from its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from splitbrain.harness.systems.toys.toy_node import ToyNode, decode, encode

ADDRESSES = {"n1": ("n1", 1), "n2": ("n2", 1)}
CLIENT = ("client", 9)


class Paper:
    """A shell that keeps what it is given. durable: entries; pending: those that are not yet, with what to do then."""

    def __init__(self, durable: Sequence[bytes] = ()) -> None:
        self.sent: list[tuple[tuple[Any, ...], tuple[str, int]]] = []
        self.durable = list(durable)
        self.pending: list[tuple[Sequence[bytes], Callable[[], None]]] = []
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def send(self, datagram: bytes, to: tuple[str, int]) -> None:
        message = decode(datagram)
        assert message is not None
        self.sent.append((message, to))

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        raise AssertionError("a right node needs no timer")

    def append(self, entries: Sequence[bytes], done: Callable[[], None]) -> None:
        self.pending.append((entries, done))

    def journal(self) -> list[bytes]:
        return self.durable

    def log(self, text: str) -> None:
        raise AssertionError("a right node has nothing to say")

    def sync(self) -> None:
        for entries, done in self.pending:
            self.durable += entries
            done()
        self.pending = []

    @property
    def outcomes(self) -> list[Any]:
        return [message[4] for message, to in self.sent if to == CLIENT]


def node(paper: Paper, name: str = "n1") -> ToyNode:
    made = ToyNode(paper, name, ADDRESSES)
    made.start()
    return made


def ask(toy: ToyNode, number: int, op: str, *args: Any, client: str = "c") -> None:
    toy.received(encode("request", client, number, op, args), CLIENT)


def test_nothing_is_answered_before_it_is_durable() -> None:
    paper = Paper()
    ask(node(paper), 1, "send", "log", "a")
    assert paper.outcomes == []
    paper.sync()
    assert paper.outcomes == [{"ok": 0}]


def test_a_request_that_is_sent_again_is_answered_again_and_done_once() -> None:
    paper = Paper()
    toy = node(paper)
    for _ in range(3):
        ask(toy, 1, "send", "log", "a")
    paper.sync()
    ask(toy, 1, "send", "log", "a")
    assert paper.outcomes == [{"ok": 0}, {"ok": 0}]
    ask(toy, 2, "send", "log", "b")
    ask(toy, 1, "send", "log", "a")
    paper.sync()
    assert paper.outcomes == [{"ok": 0}, {"ok": 0}, {"ok": 1}]


def test_a_node_that_starts_again_has_everything_that_was_durable_and_nothing_else() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "enqueue", "q", "a")
    paper.sync()
    ask(toy, 2, "enqueue", "q", "b")
    again = Paper(paper.durable)
    toy = node(again)
    ask(toy, 1, "enqueue", "q", "a")
    ask(toy, 1, "dequeue", "q", client="d")
    ask(toy, 1, "dequeue", "q", client="e")
    again.sync()
    assert again.outcomes == [{"ok": None}, {"ok": "a"}, {"ok": None}]


def test_the_leases_of_the_journal_end_when_they_would_have() -> None:
    paper = Paper()
    ask(node(paper), 1, "acquire", "lock", 10)
    paper.sync()
    again = Paper(paper.durable)
    toy = node(again)
    again.time = 10.0  # The primary's clock may be ahead of the client's, so a lease is kept for somewhat longer.
    ask(toy, 1, "acquire", "lock", 10, client="d")
    again.time = 13.0
    ask(toy, 2, "acquire", "lock", 10, client="d")
    again.sync()
    assert again.outcomes == [{"ok": None}, {"ok": 2}]


def test_another_node_passes_requests_on_and_answers_back() -> None:
    paper = Paper()
    toy = node(paper, "n2")
    ask(toy, 1, "read", "x")
    assert paper.sent == [(("forward", "c", 1, "read", ["x"]), ("n1", 1))]
    toy.received(encode("answer", "c", 7, "read", {"ok": 1}), ("n1", 1))
    assert paper.outcomes == []
    toy.received(encode("answer", "c", 1, "read", {"ok": 5}), ("n1", 1))
    assert paper.outcomes == [{"ok": 5}]


def test_what_is_refused_changes_nothing_and_says_why() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "open_accounts", {"a": 5, "b": 0})
    ask(toy, 2, "transfer", "a", "b", 6)
    ask(toy, 3, "transfer", "a", "c", 1)
    ask(toy, 4, "balances")
    ask(toy, 5, "shrink")
    paper.sync()
    assert paper.outcomes[1:] == [
        {"refused": ["overdrawn", "a has 5, less than 6"]},
        {"refused": ["no-account", "there is no account c"]},
        {"ok": {"a": 5, "b": 0}},
        {"refused": ["unknown", "there is no operation shrink"]},
    ]


def test_accounts_that_are_open_stay_as_they_are() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "open_accounts", {"a": 5})
    ask(toy, 2, "open_accounts", {"a": 9, "b": 1})
    ask(toy, 3, "balances")
    paper.sync()
    assert paper.outcomes[2] == {"ok": {"a": 5, "b": 1}}


def test_a_transaction_reads_what_it_wrote() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "transact", [["r", "x", None], ["append", "x", 1], ["append", "x", 2], ["r", "x", None], ["w", "y", 3]])
    ask(toy, 2, "transact", [["r", "y", None]])
    paper.sync()
    done = [["r", "x", None], ["append", "x", 1], ["append", "x", 2], ["r", "x", [1, 2]], ["w", "y", 3]]
    assert paper.outcomes == [{"ok": done}, {"ok": [["r", "y", 3]]}]


def test_a_datagram_that_is_no_message_is_ignored() -> None:
    paper = Paper()
    toy = node(paper)
    right = encode("request", "c", 1, "read", ["x"])
    flipped = [
        bytes(b ^ (1 << bit) if at == i else b for i, b in enumerate(right))
        for at in range(len(right))
        for bit in range(8)
    ]
    for datagram in (b"", b"\xff", bytes(4), right[:-1], right[4:], encode("hum", "c", 1, "read", []), *flipped):
        toy.received(datagram, CLIENT)
    assert (paper.sent, paper.pending) == ([], [])


def test_an_answer_shows_nothing_that_was_done_after_it() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "add_element", "s", 1)
    ask(toy, 2, "elements", "s", 0)
    ask(toy, 1, "add_element", "s", 2, client="d")
    paper.sync()
    assert paper.outcomes == [{"ok": None}, {"ok": [1]}, {"ok": None}]


def test_a_request_that_was_given_up_does_not_hide_that_the_next_one_is_under_way() -> None:
    paper = Paper()
    toy = node(paper)
    ask(toy, 1, "open_accounts", {"a": 5, "b": 0})
    first, paper.pending = paper.pending, []
    ask(toy, 2, "transfer", "a", "b", 2)
    for entries, done in first:
        paper.durable += entries
        done()
    ask(toy, 2, "transfer", "a", "b", 2)
    ask(toy, 3, "balances")
    paper.sync()
    assert paper.outcomes[-1] == {"ok": {"a": 3, "b": 2}}
