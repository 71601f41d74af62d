"""Anomalies of transactions that append to lists, other than cycles.

1. Duplicate elements. Garbage reads: an element that nobody appended to that key. G1a: an element of an aborted
   transaction. Incompatible orders. All are counted by read, each compared with the longest read of its key
   (`list_versions`).
2. Cyclic versions: a transaction's appends to a key are in another order than it made them, or a later one was read and
   an earlier one never. (Elle doesn't search for this.) Counted by key.
3. G1b: a read ends with an element after which its writer, another transaction, appended to that key again. By read.
4. Dirty update: an aborted transaction's element, followed by an ok one's. By aborted element.
5. Internal: a transaction reads a key again, and what it reads is not its last read with its own appends since. If it
   had not read the key before, what it reads must end with its own appends. By transaction.
6. Future read: a transaction reads what it appends only later. By transaction.
7. Lost updates: `lost_updates`. By version.

Kingsbury and Alvaro, Elle (VLDB 2020), section 6; elle/list_append.clj.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import FAIL, OK, Integers
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import AnomalyFinding, Example, finding
from splitbrain.checkers.transactions.lists.list_versions import ABSENT, Lists
from splitbrain.checkers.transactions.lost_updates import describe_lost_update
from splitbrain.checkers.transactions.micro_operations import Flags, same


def findings(lists: Lists) -> dict[str, AnomalyFinding]:
    """The anomalies found, by name."""
    anomalies = _Anomalies(lists)
    found = {
        **anomalies.of_elements(),
        "cyclic-versions": anomalies.cyclic_versions(),
        "dirty-update": anomalies.dirty_updates(),
        "G1b": anomalies.intermediate_reads(),
        "future-read": anomalies.future_reads(),
        "internal": anomalies.internal(),
        "lost-update": anomalies.lost_updates(),
    }
    return {name: each for name, each in found.items() if each.count}


class _Anomalies:
    def __init__(self, lists: Lists) -> None:
        self.lists, self.t, self.reads = lists, lists.t, lists.reads

    def of_elements(self) -> dict[str, AnomalyFinding]:
        """Anomalies of the elements that a read shows."""
        lists = self.lists
        return {
            "duplicate-elements": self._reads_past(~lists.first, self._repeats, self._describe_duplicate),
            "garbage-read": self._reads_past(
                lists.order_write == ABSENT, lambda at: ABSENT in lists.odd_writes[at], self._describe_garbage
            ),
            "incompatible-order": finding(lists.odd, "reads", self._describe_incompatible),
            "G1a": self._reads_past(
                self._aborted(lists.order_write),
                lambda at: bool(self._aborted(self._shown(at)).any()),
                self._describe_aborted,
            ),
        }

    def _reads_past(
        self, bad: Flags, odd_is_bad: Callable[[int], bool], describe: Callable[[int], Example]
    ) -> AnomalyFinding:
        """Reads that reach a bad element of their key's order, and incompatible reads that hold a bad one."""
        lists, reads = self.lists, self.reads
        where = np.flatnonzero(bad)[::-1]
        earliest = np.full(len(self.t.keys), np.iinfo(np.int64).max)
        earliest[lists.order_key[where]] = where - lists.start[lists.order_key[where]]
        hit = lists.prefix & (reads.length > earliest[reads.key])
        hit[[at for at in lists.odd if odd_is_bad(at)]] = True
        return finding(np.flatnonzero(hit).tolist(), "reads", describe)

    def _repeats(self, at: int) -> bool:
        return len(set(self.reads.lists[at])) < len(self.reads.lists[at])

    def _aborted(self, writes: Integers) -> Flags:
        found: Flags = (writes >= 0) & (self.t.outcome[self.t.txn[writes]] == FAIL)
        return found

    def _shown(self, at: int) -> Integers:
        """The appends of the elements that a read shows, in its order."""
        lists = self.lists
        if at in lists.odd_writes:
            return np.array(lists.odd_writes[at], dtype=np.int64)
        start = lists.start[self.reads.key[at]]
        return lists.order_write[start : start + self.reads.length[at]]

    def _read(self, at: int) -> str:
        """A read in a sentence: who read what."""
        micro = int(self.reads.at[at])
        key, who = wording.key(self.t, int(self.t.key[micro])), wording.who(self.t, int(self.t.txn[micro]))
        return f"{who} read {key} as {wording.read(self.t, micro)}"

    def _reader(self, at: int) -> int:
        return int(self.t.txn[self.reads.at[at]])

    def _append(self, write: int) -> str:
        """An append in a sentence: who appended what."""
        t = self.t
        key, element = wording.key(t, int(t.key[write])), wording.value(t.value[write])
        return f"{wording.who(t, int(t.txn[write]))} appended {element} to {key}"

    def _example(self, text: str, *operations: int, key: int, **data: Any) -> Example:
        return wording.example(self.t, text, operations, key=self.t.keys[key], **data)

    def _describe_duplicate(self, at: int) -> Example:
        elements = self.reads.lists[at]
        place = next(place for place, each in enumerate(elements) if each in elements[:place])
        element = self.t.value[self.reads.at[at]][place]
        text = f"duplicate-elements: {self._read(at)}, where {wording.value(element)} is twice; it was appended once"
        return self._example(text, self._reader(at), key=self.reads.key[at], value=element)

    def _describe_garbage(self, at: int) -> Example:
        element = self.t.value[self.reads.at[at]][self._shown(at).tolist().index(ABSENT)]
        text = f"garbage-read: {self._read(at)}, where {wording.value(element)} is, which nobody ever appended to it"
        return self._example(text, self._reader(at), key=self.reads.key[at], value=element)

    def _describe_incompatible(self, at: int) -> Example:
        code = int(self.reads.key[at])
        longest = int(self.lists.longest[code])
        pairs = zip(self.reads.lists[at], self.lists.orders[code], strict=False)
        place = next(place for place, (one, two) in enumerate(pairs) if one != two)
        text = (
            f"incompatible-order: {self._read(at)}, and {self._read(longest)}. They part at element {place + 1}: in "
            "whatever order the appends happened, one of the two never was the list"
        )
        return self._example(text, self._reader(at), self._reader(longest), key=code, place=place)

    def _describe_aborted(self, at: int) -> Example:
        shown = self._shown(at)
        write = int(shown[self._aborted(shown)][0])
        text = f"G1a: {self._append(write)} and aborted; but {self._read(at)}"
        writer = int(self.t.txn[write])
        return self._example(text, writer, self._reader(at), key=self.reads.key[at], value=self.t.value[write])

    def cyclic_versions(self) -> AnomalyFinding:
        t, lists = self.t, self.lists
        # Committed appends in the order that reads show; those that no read shows come last.
        shown = np.concatenate((lists.versions, lists.unseen))
        pair = t.txn[shown] * len(t.keys) + t.key[shown]
        order = np.argsort(pair, kind="stable")
        ordered, pair = shown[order], pair[order]
        # Unseen appends are in the order in which they were made, so a step back leads to one that came too late.
        back = np.flatnonzero((pair[1:] == pair[:-1]) & (ordered[1:] < ordered[:-1]))
        _, first = np.unique(t.key[ordered[back]], return_index=True)
        found = [(int(ordered[back[at]]), int(ordered[back[at] + 1])) for at in first.tolist()]
        return finding(found, "keys", self._describe_cyclic)

    def _describe_cyclic(self, pair: tuple[int, int]) -> Example:
        t, (later, earlier) = self.t, pair
        code, txn = int(t.key[later]), int(t.txn[later])
        longest = int(self.lists.longest[code])
        one, two = wording.value(t.value[earlier]), wording.value(t.value[later])
        text = (
            f"cyclic-versions: {wording.who(t, txn)} appended {one} to {wording.key(t, code)} and then {two}; but "
            f"{self._read(longest)}, where {one} is not before {two}"
        )
        return self._example(text, txn, self._reader(longest), key=code, value=t.value[earlier])

    def dirty_updates(self) -> AnomalyFinding:
        t, lists, writer = self.t, self.lists, self.lists.order_write
        aborted = self._aborted(writer) & lists.first
        ok = (writer >= 0) & (t.outcome[t.txn[writer]] == OK) & lists.first
        # For each place, the next ok append at or after it.
        place = np.where(ok, np.arange(len(writer)), len(writer))
        following = np.minimum.accumulate(place[::-1])[::-1]
        found = [
            (int(writer[at]), int(writer[following[at]]))
            for at in np.flatnonzero(aborted & (following < len(writer))).tolist()
            if lists.order_key[following[at]] == lists.order_key[at]
        ]
        return finding(found, "aborted writes", self._describe_dirty_update)

    def _describe_dirty_update(self, pair: tuple[int, int]) -> Example:
        t, (aborted, later) = self.t, pair
        code = int(t.key[aborted])
        longest = int(self.lists.longest[code])
        text = (
            f"dirty-update: {self._append(aborted)} and aborted; but {self._append(later)} on top "
            f"of it, for {self._read(longest)}"
        )
        operations = (int(t.txn[aborted]), int(t.txn[later]), self._reader(longest))
        return self._example(text, *operations, key=code, value=t.value[aborted])

    def intermediate_reads(self) -> AnomalyFinding:
        t, reads, lists = self.t, self.reads, self.lists
        last = np.full(len(reads.at), ABSENT)
        some = lists.prefix & (reads.length > 0)
        last[some] = lists.order_write[lists.start[reads.key[some]] + reads.length[some] - 1]
        for at in lists.odd:
            last[at] = lists.odd_writes[at][-1]
        hit = (last >= 0) & (t.txn[last] != t.txn[reads.at]) & ~t.final[last]
        found = [(at, int(last[at])) for at in np.flatnonzero(hit).tolist()]
        return finding(found, "reads", self._describe_intermediate)

    def _describe_intermediate(self, pair: tuple[int, int]) -> Example:
        t, (at, write) = self.t, pair
        writer = int(t.txn[write])
        later = next(each for each in t.of(writer) if each > write and t.write[each] and t.key[each] == t.key[write])
        text = (
            f"G1b: {self._read(at)}, which ends with {wording.value(t.value[write])}. But "
            f"{self._append(later)} as well, and so never left it like this"
        )
        return self._example(text, writer, self._reader(at), key=self.reads.key[at], value=t.value[write])

    def internal(self) -> AnomalyFinding:
        found = [found for each in self.t.repeated_accesses() if (found := _contradiction(each)) is not None]
        return finding(found, "transactions", self._describe_internal)

    def _describe_internal(self, found: tuple[int, Sequence[Any] | None, list[Any]]) -> Example:
        t, (at, base, mine) = self.t, found
        key = wording.key(t, int(t.key[at]))
        before = [f"read {key} as {wording.value(base)}"] if base is not None else []
        before += [f"appended {wording.value(element)} to {key}" for element in mine]
        text = (
            f"internal: {wording.who(t, int(t.txn[at]))} {', '.join(before)}, and then read {key} as "
            f"{wording.read(t, at)}, which {'is not that' if base is not None else 'does not end so'}"
        )
        return self._example(text, int(t.txn[at]), key=int(t.key[at]))

    def future_reads(self) -> AnomalyFinding:
        found = [found for each in self.t.repeated_accesses() if (found := _future(each)) is not None]
        return finding(found, "transactions", self._describe_future)

    def _describe_future(self, found: tuple[int, int]) -> Example:
        t, (read, write) = self.t, found
        text = (
            f"future-read: {wording.who(t, int(t.txn[read]))} read {wording.key(t, int(t.key[read]))} as "
            f"{wording.read(t, read)}, with {wording.value(t.value[write])}, which it appended only afterwards"
        )
        return self._example(text, int(t.txn[read]), key=int(t.key[read]), value=t.value[write])

    def lost_updates(self) -> AnomalyFinding:
        t, reads, lists = self.t, self.reads, self.lists
        order, opens, pair = t.accesses
        writes = np.zeros(int(opens.sum()), bool)
        writes[pair[t.write[order]]] = True
        opening = order[opens][writes]
        opening = opening[t.known[opening]]
        place = np.searchsorted(reads.at, opening)
        # A version is identified by its key and length; for a read that is no prefix, by the list itself.
        odd: dict[tuple[int, tuple[Any, ...]], list[int]] = defaultdict(list)
        for at in place[~lists.prefix[place]].tolist():
            odd[int(reads.key[at]), tuple(reads.lists[at])].append(int(reads.at[at]))
        place = place[lists.prefix[place]]
        version = lists.start[reads.key[place]] + reads.key[place] + reads.length[place]
        by_version = np.argsort(version, kind="stable")
        groups = np.split(reads.at[place[by_version]], np.flatnonzero(np.diff(version[by_version])) + 1)
        found = [group.tolist() for group in groups if len(group) > 1]
        found += [group for group in odd.values() if len(group) > 1]
        return finding(sorted(found), "versions", lambda group: describe_lost_update(t, group))


def _contradiction(
    micro_operations: list[tuple[int, int, bool, Any]],
) -> tuple[int, Sequence[Any] | None, list[Any]] | None:
    """A transaction's first read that contradicts what came before; what it read before; what it appended since."""
    base: dict[int, list[Any]] = {}
    since: dict[int, list[Any]] = {}
    for at, key, write, held in micro_operations:
        if write:
            since.setdefault(key, []).append(held)
            continue
        returned, mine = list(held or ()), since.get(key, [])
        if key in base:
            good = same(returned, base[key] + mine)
        else:
            good = len(mine) <= len(returned) and same(returned[len(returned) - len(mine) :], mine)
        if not good:
            return at, base.get(key), mine
        base[key], since[key] = returned, []
    return None


def _future(micro_operations: list[tuple[int, int, bool, Any]]) -> tuple[int, int] | None:
    """A read of a transaction, and a later append of the same transaction whose element it shows."""
    reads: dict[int, list[tuple[int, Sequence[Any]]]] = defaultdict(list)
    for at, key, write, held in micro_operations:
        if not write:
            reads[key].append((at, held or ()))
            continue
        for read, shown in reads[key]:
            # In Python, True is in [1].
            if held in shown and any(same([held], [each]) for each in shown):
                return read, at
    return None
