"""Registers that transactions write: the known part of the order of a key's versions.

1. A version is a write. A key's initial version is null. A read doesn't say what was there before, so the order of
   versions is known in part. One version directly precedes another if one of these rules, where it is assumed, says so:
   - own: a transaction wrote both to the key, one after the other.
   - wfr (writes follow reads): an ok transaction found the first version, and the second is its first write there.
   - sequential: two transactions of one process accessed the key, and none between them did. The first left the key at
     the first version, and the second found the second version.
   - linearizable: an ok transaction left the key at the first version. It was over before a transaction began that
     found the second version. No third version lies between them in the same way.
   - initial: null precedes each version that no version of a committed transaction precedes by the rules above.
2. A transaction finds a key at what it read there before it wrote it, or else at its own first write. It leaves it at
   its own last write, or else at what it found. What a crashed transaction read is unknown.
3. `keys` says which rules are assumed. The rule initial always is.
4. If the versions of a key precede each other in a cycle once a rule is added, that is the anomaly cyclic-versions. No
   model that guarantees the rule allows it. The key is then judged without this rule and those after it.
5. A key may start as another value than null, under these conditions. Nobody wrote the value. Neither another such
   value nor null was read there. Every reader of it could have come before all writes of the key: no write was over
   before it began, and it had not found another version before. Any other value that nobody wrote is garbage.

The rules are the options wfr-keys?, sequential-keys? and linearizable-keys? of elle/rw_register.clj; there each stands
by itself, and none is the default. A version's zone, from first certainly there to last found: Gibbons and Korach 1997.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import FOREVER, INFO, OK, Integers
from splitbrain.checkers.transactions.graph import Pairs, components
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions, codes
from splitbrain.checkers.transactions.registers.keys import Keys, up_to

ABSENT = -1


class Registers:
    """The versions of each key, and the known part of their order.

    A write's version has the number of its micro-operation. After these come each key's initial version, then garbage.
    initial: by key that did not start as null, its initial value.
    writes, reads: writes and known reads, as micro-operations. read_version: by known read, the version it returned.
    garbage: whether nobody wrote that. committed: by transaction.
    access_txn, access_key: committed transactions with the keys that they accessed. The rest is by such an access.
    external, read: the version read from another transaction, and by which micro-operation; or ABSENT.
    first_write, last_write: there, or ABSENT. found, left: versions (rule 2).
    order: by rule, which versions directly precede which. cyclic: by key without an order, the rule that says so, and
    which versions precede which in cycles.
    """

    def __init__(self, transactions: Transactions, keys: Keys) -> None:
        self.t, self.keys_are = transactions, keys
        t = transactions
        self.writes = np.flatnonzero(t.write)
        self.reads = np.flatnonzero(t.known)
        self._name_versions()
        seen = np.zeros(len(t), bool)
        shown = self.read_version[(self.read_version >= 0) & (self.read_version < len(t.txn))]
        seen[t.txn[shown]] = True
        self.committed: Flags = (t.outcome == OK) | ((t.outcome == INFO) & seen)
        self._accesses()
        self._relate()

    def _name_versions(self) -> None:
        """By known read, the version that it returned."""
        t = self.t
        written = codes([t.value[at] for at in self.writes.tolist()])
        read = codes([t.value[at] for at in self.reads.tolist()])
        table = {value: code for code, value in enumerate(dict.fromkeys([*written, *read]))}
        span = len(table) + 1
        names = np.fromiter(map(table.__getitem__, written), np.int64, len(written)) + t.key[self.writes] * span
        order = np.argsort(names, kind="stable")
        again = np.flatnonzero(np.diff(names[order]) == 0)
        if len(again):
            t.refuse(int(self.writes[order[again + 1].min()]), "a value is written to a key once")
        wanted = np.fromiter(map(table.__getitem__, read), np.int64, len(read)) + t.key[self.reads] * span
        null = np.fromiter((t.value[at] is None for at in self.reads.tolist()), bool, len(self.reads))
        place = np.minimum(np.searchsorted(names[order], wanted), max(0, len(names) - 1))
        hit = names[order][place] == wanted if len(names) else np.zeros(len(wanted), bool)
        version = np.full(len(wanted), ABSENT)
        version[hit] = self.writes[order[place[hit]]]
        version[null] = len(t.txn) + t.key[self.reads[null]]
        odd = ~hit & ~null
        initial = self._initial(odd, null, wanted)
        version[initial] = len(t.txn) + t.key[self.reads[initial]]
        odd &= ~initial
        _, garbage = np.unique(wanted[odd], return_inverse=True)
        version[odd] = len(t.txn) + len(t.keys) + garbage
        self.garbage = odd
        self.read_version = version
        self.versions = len(t.txn) + len(t.keys) + int(garbage.max(initial=-1)) + 1
        self.version_of = np.full(len(t.txn), ABSENT)
        self.version_of[self.reads] = version
        self.version_of[self.writes] = self.writes
        garbage_keys = np.zeros(self.versions - len(t.txn) - len(t.keys), np.int64)
        self._keys = np.concatenate((t.key, np.arange(len(t.keys)), garbage_keys))
        self._keys[version] = t.key[self.reads]

    def _initial(self, odd: Flags, null: Flags, name: Integers) -> Flags:
        """By known read, whether it returned a value that its key started as (rule 5).

        odd: whether nobody wrote the value. null: whether it returned null. name: the value with its key, as a number.
        """
        t, key = self.t, self.t.key[self.reads]
        over = np.full(len(t.keys), FOREVER)
        ok = self.writes[t.outcome[t.txn[self.writes]] == OK]
        np.minimum.at(over, t.key[ok], t.completed[t.txn[ok]])
        order, opens, _ = t.accesses
        before = np.full(len(t.txn), ABSENT)
        before[order[1:]] = np.where(opens[1:], ABSENT, order[:-1])
        before = before[self.reads]
        names = np.full(len(t.txn), ABSENT)
        names[self.reads] = name
        first = (before < 0) | (names[before] == name)
        bad = null | (odd & ~(first & (t.invoked[t.txn[self.reads]] < over[key])))
        # A key has one initial version: the first value seen there that nobody wrote, and no other.
        value = np.full(len(t.keys), ABSENT)
        value[key[odd][::-1]] = name[odd][::-1]
        bad |= odd & (name != value[key])
        spoilt = np.zeros(len(t.keys), bool)
        spoilt[key[bad]] = True
        found: Flags = odd & ~spoilt[key]
        at = self.reads[found].tolist()
        self.initial: dict[int, Any] = dict(zip(t.key[at].tolist(), (t.value[each] for each in at), strict=True))
        return found

    def _accesses(self) -> None:
        """Committed transactions with the keys that they accessed: what each found there, wrote first, and left."""
        t = self.t
        met, opens, pair = t.accesses
        groups = int(opens.sum())
        opening = met[opens]
        first_write, last_write = np.full(groups, ABSENT), np.full(groups, ABSENT)
        writes = np.flatnonzero(t.write[met])
        first_write[pair[writes[::-1]]] = met[writes[::-1]]
        last_write[pair[writes]] = met[writes]
        read = t.known[opening]
        kept = self.committed[t.txn[opening]] & (read | (first_write >= 0))
        self.read = np.where(read, opening, ABSENT)[kept]
        found_read = np.where(read, self.version_of[opening], ABSENT)[kept]
        self.first_write, self.last_write = first_write[kept], last_write[kept]
        self.access_txn, self.access_key = t.txn[opening][kept], t.key[opening][kept]
        self.external = found_read
        self.found = np.where(found_read >= 0, found_read, self.first_write)
        self.left = np.where(self.last_write >= 0, self.last_write, self.found)

    def _own(self) -> Pairs:
        t = self.t
        writes = t.accesses[0][t.write[t.accesses[0]]]
        writes = writes[self.committed[t.txn[writes]]]
        same = (t.txn[writes[1:]] == t.txn[writes[:-1]]) & (t.key[writes[1:]] == t.key[writes[:-1]])
        return writes[:-1][same], writes[1:][same]

    def _wfr(self) -> Pairs:
        both = (self.external >= 0) & (self.first_write >= 0) & (self.external != self.first_write)
        return self.external[both], self.first_write[both]

    def _sequential(self) -> Pairs:
        t = self.t
        process = t.process[self.access_txn]
        order = np.lexsort((t.invoked[self.access_txn], self.access_key, process))
        one, two = order[:-1], order[1:]
        next_ = (process[one] == process[two]) & (self.access_key[one] == self.access_key[two])
        one, two = one[next_], two[next_]
        differ = self.left[one] != self.found[two]
        return self.left[one[differ]], self.found[two[differ]]

    def _linearizable(self) -> Pairs:
        """A version was there once the first transaction that left the key at it was over. Its zone ends as the last
        one began that found it.
        """
        t = self.t
        over, begun = np.full(self.versions, FOREVER), np.full(self.versions, -1)
        sure = t.outcome[self.access_txn] == OK
        np.minimum.at(over, self.left[sure], t.completed[self.access_txn[sure]])
        np.maximum.at(begun, self.found, t.invoked[self.access_txn])
        key_of = np.full(self.versions, ABSENT)
        key_of[self.found], key_of[self.left] = self.access_key, self.access_key
        met = np.flatnonzero(key_of >= 0)
        sources, targets = [], []
        for versions in np.split(met[np.argsort(key_of[met], kind="stable")], np.cumsum(np.bincount(key_of[met]))[:-1]):
            for source, following in precedences(over[versions], begun[versions]):
                sources.append(np.full(len(following), versions[source]))
                targets.append(versions[following])
        none = np.zeros(0, np.int64)
        return np.concatenate((none, *sources)), np.concatenate((none, *targets))

    def _relate(self) -> None:
        pairs_by: dict[Keys, Callable[[], Pairs]] = {
            "own": self._own,
            "wfr": self._wfr,
            "sequential": self._sequential,
            "linearizable": self._linearizable,
        }
        self.order: dict[Keys, Pairs] = {}
        self.cyclic: dict[int, tuple[Keys, Pairs]] = {}
        null = len(self.t.txn) + self.access_key
        later = np.concatenate((self.found, self.left))
        initial = np.concatenate((null, null))
        given: list[Pairs] = [(initial[later != initial], later[later != initial])]
        for rule in up_to(self.keys_are):
            source, target = self._without_cyclic(pairs_by[rule]())
            labels = components(self.versions, *given, (source, target))
            circular = np.flatnonzero(np.bincount(labels)[labels] > 1)
            every = [np.concatenate(ends) for ends in zip(*given, (source, target), strict=True)]
            for key in np.unique(self.key_of(circular)).tolist():
                inside = (labels[every[0]] == labels[every[1]]) & (self.key_of(every[0]) == key)
                self.cyclic[key] = rule, (every[0][inside], every[1][inside])
            self.order[rule] = self._without_cyclic((source, target))
            given.append(self.order[rule])

    def _without_cyclic(self, pairs: Pairs) -> Pairs:
        good = ~np.isin(self.key_of(pairs[0]), list(self.cyclic))
        return pairs[0][good], pairs[1][good]

    def key_of(self, versions: Integers) -> Integers:
        """The keys of versions."""
        return self._keys[versions]


def precedences(over: Integers, begun: Integers) -> Iterator[tuple[int, Integers]]:
    """Versions of a key, and which directly come after each: v before w if over[v] < begun[w], with nothing between.

    over: by version, when it was first certainly there. begun: when the last transaction began that found it. If two
    come before each other, they are given both ways. O(v log v) and the size of the result.
    """
    order = np.argsort(begun, kind="stable")
    sorted_begun = begun[order].tolist()
    places = np.searchsorted(begun[order], over, side="right").tolist()
    # From each place on, the three versions that were there first; two of them may be the pair in question.
    firsts: list[list[tuple[int, int]]] = [[]] * (len(order) + 1)
    for place in range(len(order) - 1, -1, -1):
        version = int(order[place])
        firsts[place] = sorted([*firsts[place + 1], (int(over[version]), version)])[:3]
    for version, place in enumerate(places):
        rivals = [each for each in firsts[place] if each[1] != version]
        if not rivals:
            continue
        (soonest, rival), *others = rivals
        if begun[version] > soonest:
            yield version, np.array([rival])
            yield rival, np.array([version])
            continue
        end = bisect_right(sorted_begun, soonest)
        following = [each for each in order[place:end].tolist() if each not in (version, rival)]
        if not others or begun[rival] <= others[0][0]:
            following.append(rival)
        yield version, np.array(following, dtype=np.int64)
