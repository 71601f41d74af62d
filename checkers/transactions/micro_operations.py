"""Transactions taken apart: every micro-operation of a history, by columns.

1. A client's operation is a transaction, whatever its `f`: its value lists micro-operations, `["r", key, value]`,
   `["append", key, element]` or `["w", key, value]`. An invocation's reads hold null.
2. An `ok` transaction did what its completion says. Of one that failed or crashed, the invocation says what it would
   have written; what it read nobody knows.
3. Keys are integers or strings, and 1 is not "1". What is written is a number, a string, true, false or (appended)
   null; two are the same only if they are the same JSON (`values`).
4. Refused with the line, the rule and the micro-operation: another shape; a completion that has other micro-operations
   than its invocation; appends and register writes in one history; an element appended, or a value written, twice to a
   key, by whomever and with whatever outcome, for then nobody knows whose write a read saw (Elle refuses these too);
   null written to a register, which is how a register says that nobody wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import OK, Columns, Integers
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.histories.values import identity

Model = Literal["list-append", "rw-register"]
Flags = NDArray[np.bool_]
WRITES: dict[str, Model] = {"append": "list-append", "w": "rw-register"}
_LISTS = {list, tuple}
_NAMES = {int, str}
_ELEMENTS = {int, str, float, bool, type(None)}


@dataclass(frozen=True)
class Transactions:
    """The transactions of a history in the order of their invocations, and their micro-operations in order.

    columns: of the events. model: what they write. process, invoked, completed, outcome: by transaction; as in
    `OperationColumns`. first: the number of each one's first micro-operation, with the total at the end.
    txn, write, key, value: by micro-operation; the transaction it is in, whether it writes, the key's code in keys, and
    what was written, or read as its completion says (None where nobody knows, see `known`).
    """

    columns: Columns
    model: Model
    process: Integers
    invoked: Integers
    completed: Integers
    outcome: NDArray[np.int8]
    first: Integers
    txn: Integers
    write: Flags
    key: Integers
    value: list[Any]
    keys: list[str | int]

    def __len__(self) -> int:
        return len(self.invoked)

    @cached_property
    def known(self) -> Flags:
        """By micro-operation: a read of which it is known what it returned."""
        found: Flags = ~self.write & (self.outcome[self.txn] == OK)
        return found

    @cached_property
    def meetings(self) -> tuple[Integers, Flags, Integers]:
        """Micro-operations by transaction and key, in order; which of these opens a pair; and the pair's number."""
        pair = self.txn * len(self.keys) + self.key
        order = np.argsort(pair, kind="stable")
        opens = np.diff(pair[order], prepend=-1) != 0
        return order, opens, np.cumsum(opens) - 1

    @cached_property
    def final(self) -> Flags:
        """By micro-operation: a write after which its transaction doesn't write that key again."""
        order, _, pair = self.meetings
        writes = np.flatnonzero(self.write[order])
        found = np.zeros(len(self.txn), bool)
        found[order[writes[np.diff(pair[writes], append=-1) != 0]]] = True
        return found

    def rereading(self) -> Iterator[list[tuple[int, int, bool, Any]]]:
        """Of each ok transaction that could contradict itself, as it reads a key that it met before or writes one that
        it read: number, key, whether it writes, and value of its micro-operations."""
        order, opens, _ = self.meetings
        again = np.flatnonzero(~opens)
        mixed = again[~(self.write[order[again - 1]] & self.write[order[again]])]
        found = np.unique(self.txn[order[mixed]])
        found = found[self.outcome[found] == OK]
        key, write = self.key.tolist(), self.write.tolist()
        for begin, end in zip(self.first[found].tolist(), self.first[found + 1].tolist(), strict=True):
            part = slice(begin, end)
            yield list(zip(range(begin, end), key[part], write[part], self.value[part], strict=True))

    def of(self, txn: int) -> range:
        """The numbers of its micro-operations."""
        return range(int(self.first[txn]), int(self.first[txn + 1]))

    def last_line(self, txn: int) -> int:
        """The line that says what it did: its completion's if it is ok, else its invocation's."""
        return int(self.completed[txn] if self.outcome[txn] == OK else self.invoked[txn]) + 1

    def refuse(self, micro_operation: int, rule: str) -> NoReturn:
        """Raise the error of a micro-operation that breaks a rule."""
        txn = int(self.txn[micro_operation])
        name = "r" if not self.write[micro_operation] else "append" if self.model == "list-append" else "w"
        shown = literal([name, self.keys[self.key[micro_operation]], self.value[micro_operation]])
        raise HistoryError(self.last_line(txn), f"{rule}; a transaction of process {self.process[txn]} has {shown}")


def parse(history: History, model: Model | None = None) -> Transactions:
    """Take the transactions of a history apart. O(micro-operations).

    model: what they must write; None to be told by what they do. Raises HistoryError (rule 4).
    """
    columns = history.columns
    found = columns.operations
    values = columns.value
    asked = [values[at] for at in found.invoked.tolist()]
    ok = found.outcome == OK
    told = list(asked)
    for at, event in zip(np.flatnonzero(ok).tolist(), found.completed[ok].tolist(), strict=True):
        told[at] = values[event]
    lines = np.where(ok, found.completed, found.invoked) + 1
    invoked = _Flat.of(asked, found.invoked + 1, columns)
    flat = _Flat.of(told, lines, columns)
    _agree(invoked, flat, ok)
    names = set(flat.names)
    told_by = [name for name in WRITES if name in names]
    if len(told_by) > 1 or (model is not None and told_by and WRITES[told_by[0]] != model):
        wanted = model or WRITES[flat.names[next(at for at, name in enumerate(flat.names) if name in WRITES)]]
        at = next(at for at, name in enumerate(flat.names) if WRITES.get(name, wanted) != wanted)
        flat.refuse(at, f"transactions of a {wanted} history don't have {flat.names[at]!r}")
    if model is None:
        reads_lists = any(type(value) in _LISTS for value in flat.values)
        model = WRITES[told_by[0]] if told_by else "list-append" if reads_lists or not flat.values else "rw-register"
    table = {key: code for code, key in enumerate(dict.fromkeys(flat.keys))}
    txn = np.repeat(np.arange(len(told)), flat.lengths)
    write = np.fromiter((name != "r" for name in flat.names), bool, len(flat.names))
    transactions = Transactions(
        columns,
        model,
        columns.process[found.invoked],
        found.invoked,
        found.completed,
        found.outcome,
        np.concatenate(([0], np.cumsum(flat.lengths))),
        txn,
        write,
        np.fromiter(map(table.__getitem__, flat.keys), np.int64, len(flat.keys)),
        flat.values,
        list(table),
    )
    _hold_to_rules(transactions)
    return transactions


@dataclass(frozen=True)
class _Flat:
    """Micro-operations of some transactions, one after the other: lengths by transaction, the rest by each."""

    lengths: Integers
    names: list[str]
    keys: list[Any]
    values: list[Any]
    lines: Integers
    columns: Columns

    @classmethod
    def of(cls, transactions: Sequence[Any], lines: Integers, columns: Columns) -> _Flat:
        # Types of everything at once: a loop in C, where a million shapes looked at one by one would take seconds.
        if not set(map(type, transactions)) <= _LISTS:
            at = next(at for at, each in enumerate(transactions) if type(each) not in _LISTS)
            _refuse(columns, int(lines[at]), "a transaction is a list of micro-operations", transactions[at])
        every = list(chain.from_iterable(transactions))
        lengths = np.fromiter(map(len, transactions), np.int64, len(transactions))
        flat = cls(lengths, [], [], every, lines, columns)
        rule = 'a micro-operation is ["r", key, value], ["append", key, element] or ["w", key, value]'
        flat._every(every, lambda each: type(each) in _LISTS, lambda all_: set(map(type, all_)) <= _LISTS, rule)
        flat._every(every, lambda each: len(each) == 3, lambda all_: set(map(len, all_)) <= {3}, rule)
        names, keys = list(map(itemgetter(0), every)), list(map(itemgetter(1), every))
        flat._every(names, lambda each: type(each) is str, lambda all_: set(map(type, all_)) <= {str}, rule)
        known = {"r", *WRITES}
        flat._every(names, lambda each: each in known, lambda all_: set(all_) <= known, rule)
        rule = "a key is an integer or a string"
        flat._every(keys, lambda each: type(each) in _NAMES, lambda all_: set(map(type, all_)) <= _NAMES, rule)
        return cls(lengths, names, keys, list(map(itemgetter(2), every)), lines, columns)

    def _every(
        self, found: list[Any], good: Callable[[Any], bool], all_good: Callable[[list[Any]], bool], rule: str
    ) -> None:
        if not all_good(found):
            at = next(at for at, each in enumerate(found) if not good(each))
            _refuse(self.columns, self._line(at), rule, self.values[at])

    def _line(self, at: int) -> int:
        return int(self.lines[np.searchsorted(np.cumsum(self.lengths), at, side="right")])

    def refuse(self, at: int, rule: str) -> NoReturn:
        _refuse(self.columns, self._line(at), rule, [self.names[at], self.keys[at], self.values[at]])


def _refuse(columns: Columns, line: int, rule: str, shown: Any) -> NoReturn:
    raise HistoryError(line, f"{rule}; a transaction of process {columns.process[line - 1]} has {literal(shown)}")


def _agree(asked: _Flat, told: _Flat, ok: Flags) -> None:
    """Raise unless every ok completion has its invocation's micro-operations, reads filled in."""
    if not np.array_equal(asked.lengths, told.lengths):
        at = int(np.flatnonzero(asked.lengths != told.lengths)[0])
        process = told.columns.process[told.lines[at] - 1]
        had = f"process {process} asked for {asked.lengths[at]} of them and was told of {told.lengths[at]}"
        rule = "a completion has its invocation's micro-operations, reads filled in"
        raise HistoryError(int(told.lines[at]), f"{rule}; {had}")
    if asked.names == told.names and asked.keys == told.keys:
        same = [a is b or (a == b and type(a) is type(b)) for a, b in zip(asked.values, told.values, strict=True)]
        doubtful = [
            at for at, (good, name) in enumerate(zip(same, told.names, strict=True)) if not good and name != "r"
        ]
    else:
        doubtful = list(range(len(told.names)))
    for at in doubtful:
        mine = (asked.names[at], identity(asked.keys[at]))
        its = (told.names[at], identity(told.keys[at]))
        written = told.names[at] == "r" or identity(asked.values[at]) == identity(told.values[at])
        if mine != its or not written:
            shown = literal([asked.names[at], asked.keys[at], asked.values[at]])
            told.refuse(at, f"a completion has its invocation's micro-operations, which asked for {shown}")


def _hold_to_rules(transactions: Transactions) -> None:
    """Raise unless what was written and read has the shape that the model's values have."""
    writes = np.flatnonzero(transactions.write).tolist()
    written = [transactions.value[at] for at in writes]
    if not set(map(type, written)) <= _ELEMENTS:
        at = next(at for at, each in zip(writes, written, strict=True) if type(each) not in _ELEMENTS)
        transactions.refuse(at, "what is written is a number, a string, true, false or null")
    reads = np.flatnonzero(transactions.known).tolist()
    read = [transactions.value[at] for at in reads]
    if transactions.model == "rw-register":
        if None in written:
            at = next(at for at, each in zip(writes, written, strict=True) if each is None)
            transactions.refuse(at, "null is what a register holds before it is written, and can't be written")
        if not set(map(type, read)) <= _ELEMENTS:
            at = next(at for at, each in zip(reads, read, strict=True) if type(each) not in _ELEMENTS)
            transactions.refuse(at, "a read of a register returns a number, a string, true, false or null")
        return
    if not set(map(type, read)) <= {list, tuple, type(None)}:
        at = next(at for at, each in zip(reads, read, strict=True) if type(each) not in (list, tuple, type(None)))
        transactions.refuse(at, "a read of a list returns a list, or null for the empty one")
    if not set(map(type, chain.from_iterable(each for each in read if each is not None))) <= _ELEMENTS:
        at = next(at for at, each in zip(reads, read, strict=True) if each and not set(map(type, each)) <= _ELEMENTS)
        transactions.refuse(at, "the elements of a list are numbers, strings, true, false or null")


def same(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Whether two sequences of elements are the same JSON."""
    return one == two and list(map(type, one)) == list(map(type, two))


def plain(values: Iterable[Any]) -> bool:
    """Whether they are integers and strings only, which can be compared and looked up as they are."""
    return set(map(type, values)) <= _NAMES


def codes(values: list[Any]) -> list[Any]:
    """The values, or where some are neither integers nor strings, something of each to compare and look up by."""
    return values if plain(values) else [identity(value) for value in values]
