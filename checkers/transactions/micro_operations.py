"""Micro-operations: the transactions of a history as columns.

1. A client's operation is a transaction, whatever its `f`. Its value lists micro-operations: `["r", key, value]`,
   `["append", key, element]` or `["w", key, value]`. The reads of an invocation hold null.
2. An `ok` transaction did what its completion says. For one that failed or crashed, the invocation says what it would
   have written. What it read is unknown.
3. Keys are integers or strings, and 1 is not "1". Written values are numbers, strings, true, false or, if appended,
   null. Two are the same only if they are the same JSON (`values`).
4. A malformed transaction is refused with its line, the rule and the micro-operation. Malformed are:
   - a value of another shape;
   - a completion whose micro-operations differ from its invocation's;
   - appends and register writes in one history;
   - an element appended, or a value written, twice to a key, whatever the outcome. A read would not say which write it
     saw. (Elle refuses these too.)
   - null written to a register, because null is what an unwritten register holds.
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

    columns: of the events. model: what they write.
    process, invoked, completed, outcome: by transaction, as in `OperationColumns`.
    first: by transaction, the number of its first micro-operation, with the total at the end.
    txn, write, key, value: by micro-operation. The transaction it is in, whether it writes, the key's code in keys, and
    the value that it wrote, or that it read by its completion (None if that is not known, see `known`).
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
        """By micro-operation: whether it is a read whose result is known."""
        found: Flags = ~self.write & (self.outcome[self.txn] == OK)
        return found

    @cached_property
    def accesses(self) -> tuple[Integers, Flags, Integers]:
        """Micro-operations sorted by transaction and key; which of them are the first of their pair; and each one's
        pair, by number.
        """
        pair = self.txn * len(self.keys) + self.key
        order = np.argsort(pair, kind="stable")
        opens = np.diff(pair[order], prepend=-1) != 0
        return order, opens, np.cumsum(opens) - 1

    @cached_property
    def final(self) -> Flags:
        """By micro-operation: a write after which its transaction does not write that key again."""
        order, _, pair = self.accesses
        writes = np.flatnonzero(self.write[order])
        found = np.zeros(len(self.txn), bool)
        found[order[writes[np.diff(pair[writes], append=-1) != 0]]] = True
        return found

    @cached_property
    def own_before(self) -> Integers:
        """By micro-operation: the last write of its transaction to its key before it; -1 if there is none."""
        order, opens, pair = self.accesses
        numbers = np.arange(len(order))
        last = np.maximum.accumulate(np.where(self.write[order], numbers, -1)) if len(order) else numbers
        before = np.full(len(order), -1)
        before[1:] = last[:-1]
        within = before >= np.flatnonzero(opens)[pair]
        found = np.full(len(order), -1)
        found[order[within]] = order[before[within]]
        return found

    def repeated_accesses(self) -> Iterator[list[tuple[int, int, bool, Any]]]:
        """The ok transactions that could contradict themselves: they read a key that they accessed before, or write one
        that they read. Of each, the micro-operations: number, key, whether it writes, and value.
        """
        order, opens, _ = self.accesses
        again = np.flatnonzero(~opens)
        mixed = again[~(self.write[order[again - 1]] & self.write[order[again]])]
        found = np.unique(self.txn[order[mixed]])
        found = found[self.outcome[found] == OK]
        key, write = self.key.tolist(), self.write.tolist()
        for begin, end in zip(self.first[found].tolist(), self.first[found + 1].tolist(), strict=True):
            part = slice(begin, end)
            yield list(zip(range(begin, end), key[part], write[part], self.value[part], strict=True))

    def of(self, txn: int) -> range:
        """The numbers of a transaction's micro-operations."""
        return range(int(self.first[txn]), int(self.first[txn + 1]))

    def last_line(self, txn: int) -> int:
        """The line that says what it did: its completion's if it is ok, else its invocation's."""
        return int(self.completed[txn] if self.outcome[txn] == OK else self.invoked[txn]) + 1

    def refuse(self, micro_operation: int, rule: str) -> NoReturn:
        """Raise the HistoryError of a micro-operation that breaks a rule."""
        txn = int(self.txn[micro_operation])
        name = "r" if not self.write[micro_operation] else "append" if self.model == "list-append" else "w"
        shown = literal([name, self.keys[self.key[micro_operation]], self.value[micro_operation]])
        raise HistoryError(self.last_line(txn), f"{rule}; a transaction of process {self.process[txn]} has {shown}")


def parse(history: History, model: Model | None = None) -> Transactions:
    """Parse the transactions of a history. O(micro-operations).

    model: what they must write; None to infer it from what they do. Raises HistoryError (rule 4).
    """
    return parse_columns(history.columns, model)


def parse_columns(columns: Columns, model: Model | None = None) -> Transactions:
    """The same, of columns of which the values may be others than the history's."""
    found = columns.operations
    values = columns.value
    asked = [values[at] for at in found.invoked.tolist()]
    ok = found.outcome == OK
    done = list(asked)
    for at, event in zip(np.flatnonzero(ok).tolist(), found.completed[ok].tolist(), strict=True):
        done[at] = values[event]
    lines = np.where(ok, found.completed, found.invoked) + 1
    invoked = _Flat.of(asked, found.invoked + 1, columns)
    flat = _Flat.of(done, lines, columns)
    _agree(invoked, flat, ok)
    names = set(flat.names)
    write_names = [name for name in WRITES if name in names]
    if len(write_names) > 1 or (model is not None and write_names and WRITES[write_names[0]] != model):
        wanted = model or WRITES[flat.names[next(at for at, name in enumerate(flat.names) if name in WRITES)]]
        at = next(at for at, name in enumerate(flat.names) if WRITES.get(name, wanted) != wanted)
        flat.refuse(at, f"transactions of a {wanted} history don't have {flat.names[at]!r}")
    if model is None:
        reads_lists = any(type(value) in _LISTS for value in flat.values)
        of_reads: Model = "list-append" if reads_lists or not flat.values else "rw-register"
        model = WRITES[write_names[0]] if write_names else of_reads
    table = {key: code for code, key in enumerate(dict.fromkeys(flat.keys))}
    txn = np.repeat(np.arange(len(done)), flat.lengths)
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
    _check_shapes(transactions)
    return transactions


@dataclass(frozen=True)
class _Flat:
    """The micro-operations of some transactions in one sequence.

    lengths: by transaction. The rest: by micro-operation.
    """

    lengths: Integers
    names: list[str]
    keys: list[Any]
    values: list[Any]
    lines: Integers
    columns: Columns

    @classmethod
    def of(cls, transactions: Sequence[Any], lines: Integers, columns: Columns) -> _Flat:
        # All types at once, in a C loop: checking a million shapes one by one would take seconds.
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


def _agree(asked: _Flat, done: _Flat, ok: Flags) -> None:
    """Raise unless every ok completion has its invocation's micro-operations, with reads filled in."""
    if not np.array_equal(asked.lengths, done.lengths):
        at = int(np.flatnonzero(asked.lengths != done.lengths)[0])
        process = done.columns.process[done.lines[at] - 1]
        had = f"process {process} asked for {asked.lengths[at]} of them and was told of {done.lengths[at]}"
        rule = "a completion has its invocation's micro-operations, reads filled in"
        raise HistoryError(int(done.lines[at]), f"{rule}; {had}")
    if asked.names == done.names and asked.keys == done.keys:
        same = [a is b or (a == b and type(a) is type(b)) for a, b in zip(asked.values, done.values, strict=True)]
        doubtful = [
            at for at, (good, name) in enumerate(zip(same, done.names, strict=True)) if not good and name != "r"
        ]
    else:
        doubtful = list(range(len(done.names)))
    for at in doubtful:
        mine = (asked.names[at], identity(asked.keys[at]))
        its = (done.names[at], identity(done.keys[at]))
        written = done.names[at] == "r" or identity(asked.values[at]) == identity(done.values[at])
        if mine != its or not written:
            shown = literal([asked.names[at], asked.keys[at], asked.values[at]])
            done.refuse(at, f"a completion has its invocation's micro-operations, which asked for {shown}")


def _check_shapes(transactions: Transactions) -> None:
    """Raise unless what was written and read has the shape of the model's values."""
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
    """Whether they are all integers and strings, which can be compared and looked up as they are."""
    return set(map(type, values)) <= _NAMES


def codes(values: list[Any]) -> list[Any]:
    """The values; if some are neither integers nor strings, a key to compare and look up each by."""
    return values if plain(values) else [identity(value) for value in values]
