"""Selection: which checkers a history asks for by itself, told from what its clients did.

1. The names of the clients' operations decide. Where two objects share names (an `add` and a `read` are those of a set
   and of a counter), the shape of the values does.
2. A history is of a kind only if each of its operations is. One that is of no kind is refused, with the names that it
   has: a guess would be a verdict on another object.
3. Replica polls beside the operations ask for `convergence` too.
4. What a system promised can't be told. A register is taken for one that has to be linearizable, and transactions for
   what `transactions` takes for granted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import listing
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.histories.values import is_integer

Operations = Sequence[Operation]
Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """checkers: options by name, as `check_all` takes them. why: what was seen, as part of a sentence."""

    checkers: Mapping[str, Options]
    why: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of history.

    known: the operations of such an object. telling: those of which it must have one. checkers: what judges it, options
    by name. what: for people. shape: what the values must look like besides.
    """

    known: frozenset[str]
    telling: frozenset[str]
    checkers: Mapping[str, Options]
    what: str
    shape: Callable[[Operations], bool] = lambda operations: True

    def fits(self, operations: Operations) -> bool:
        asked = {operation.f for operation in operations}
        return asked <= self.known and bool(asked & self.telling) and self.shape(operations)


def fitting(history: History) -> Selection:
    """The checkers for this history. O(n). Raises ValueError naming what it has, if it is of no kind."""
    operations = [operation for operation in history.operations if operation.f != POLL]
    polled = len(operations) < len(history.operations)
    if not operations:
        if polled:
            return Selection({"convergence": {}}, "replicas were polled, and nothing else")
        raise ValueError("the history has no operation of a client")
    kind = next((kind for kind in _KINDS if kind.fits(operations)), None)
    if kind is None:
        asked = dict.fromkeys(operation.f for operation in operations)
        raise ValueError(f"its operations ({listing(asked, 10)}), with their values, are those of no one object")
    polls: Mapping[str, Options] = {"convergence": {}} if polled else {}
    return Selection({**kind.checkers, **polls}, kind.what + (", and replicas were polled" if polled else ""))


def _answers(operations: Operations) -> list[Any]:
    """What the ok reads returned."""
    return [
        operation.completion.value
        for operation in operations
        if operation.f == "read" and operation.outcome == "ok" and operation.completion is not None
    ]


def _read_as_lists(operations: Operations) -> bool:
    answers = _answers(operations)
    return bool(answers) and all(isinstance(answer, list) for answer in answers)


def _read_as_numbers(operations: Operations) -> bool:
    answers = _answers(operations)
    return bool(answers) and all(map(is_integer, answers))


def _puts_of_versions(operations: Operations) -> bool:
    puts = [operation.invocation.value for operation in operations if operation.f in ("put", "delete")]
    return all(isinstance(value, dict) and "write" in value for value in puts)


def _of_micro_operations(operations: Operations) -> bool:
    return all(
        isinstance(operation.value, list) and all(isinstance(each, list) and len(each) == 3 for each in operation.value)
        for operation in operations
    )


def _stamped(operations: Operations) -> bool:
    return any(isinstance(operation.value, dict) and "txn" in operation.value for operation in operations)


def _leased(operations: Operations) -> bool:
    asked = [operation.invocation.value for operation in operations if operation.f == "acquire"]
    return bool(asked) and all(isinstance(value, dict) and "lease_ms" in value for value in asked)


def _kind(
    known: str, telling: str, what: str, checkers: Mapping[str, Options], shape: Callable[[Operations], bool] | None
) -> Kind:
    words = frozenset(known.split()), frozenset((telling or known).split())
    return Kind(*words, checkers, what) if shape is None else Kind(*words, checkers, what, shape)


def _model(known: str, telling: str, model: str, what: str) -> Kind:
    return _kind(known, telling, what, {"linearizable": {"model": model}}, None)


_KINDS: Sequence[Kind] = (
    _kind("txn", "", "its operations are transactions with timestamps", {"transaction-order": {}}, _stamped),
    _kind("txn", "", "its operations are transactions", {"transactions": {}}, None),
    _kind("read write", "write", "it reads and writes in micro-operations", {"long-fork": {}}, _of_micro_operations),
    _kind("transfer read", "transfer", "money is transferred", {"bank": {}}, None),
    _kind("generate", "", "ids are generated", {"unique-ids": {}}, None),
    _kind("enqueue dequeue drain", "", "values are enqueued and dequeued", {"total-queue": {}}, None),
    _kind(
        "put read delete",
        "put",
        "puts say which write they make, as those of versioned registers",
        {"lost-writes": {}, "siblings": {}},
        _puts_of_versions,
    ),
    _kind("add remove checkout read", "checkout", "items are put in carts, and checked out", {"carts": {}}, None),
    _kind("add read", "add", "elements are added, and reads are lists", {"lost-writes": {}}, _read_as_lists),
    _kind("add read", "add", "numbers are added, and reads are numbers", {"counter": {}}, _read_as_numbers),
    _kind("broadcast read", "broadcast", "messages are broadcast", {"broadcast": {}}, None),
    _kind("send poll assign subscribe crash", "send", "records are sent to logs and polled", {"kafka": {}}, None),
    _kind("acquire release", "", "locks are acquired for a time", {"lock": {}}, _leased),
    _kind("write read", "write", "values are written, and reads are lists", {"causal-reverse": {}}, _read_as_lists),
    _model("add remove read contains", "remove contains", "set", "elements are added and removed"),
    _model("read write", "write", "register", "a register is read and written"),
    _model("read write cas", "cas", "cas-register", "a register is read, written and compared"),
    _model("get put append", "put append", "kv", "keys are put and got"),
    _model("push pop", "", "stack", "values are pushed and popped"),
    _model("acquire release", "", "mutex", "a lock is acquired and released"),
)
"""The first that fits counts."""
