"""Anomalies of transactions that write registers, other than cycles.

1. Garbage reads: a value that nobody wrote to that key, and that it can't have started as (`register_versions`). G1a: a
   value of an aborted transaction. Counted by read.
2. G1b: a read of a version that its writer, another transaction, then overwrote. By read.
3. Internal: a read of a key differs from what the transaction itself last read or wrote there. By transaction.
4. Future read: a transaction reads what it writes only later. By transaction.
5. Lost updates: `lost_updates`. By version. Cyclic versions: `register_versions`. By key.

Kingsbury and Alvaro, Elle (VLDB 2020), section 6; elle/rw_register.clj. (There any value that nobody wrote is taken for
one that was there before the history.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import FAIL, OK
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import AnomalyFinding, Example, finding
from splitbrain.checkers.transactions.lost_updates import describe_lost_update
from splitbrain.checkers.transactions.micro_operations import Flags, same
from splitbrain.checkers.transactions.registers.register_versions import Registers

_SHOWN = 12  # Versions of a cycle in a sentence.


def findings(registers: Registers) -> dict[str, AnomalyFinding]:
    """The anomalies found, by name."""
    anomalies = _Anomalies(registers)
    found = {
        **anomalies.of_reads(),
        "cyclic-versions": anomalies.cyclic_versions(),
        "future-read": anomalies.future_reads(),
        "internal": anomalies.internal(),
        "lost-update": anomalies.lost_updates(),
    }
    return {name: each for name, each in found.items() if each.count}


class _Anomalies:
    def __init__(self, registers: Registers) -> None:
        self.registers, self.t = registers, registers.t

    def of_reads(self) -> dict[str, AnomalyFinding]:
        """Anomalies of what a read returned."""
        t, registers = self.t, self.registers
        version = registers.read_version
        written = (version >= 0) & (version < len(t.txn))
        writer = t.txn[np.where(written, version, 0)]
        aborted = written & (t.outcome[writer] == FAIL)
        others = writer != t.txn[registers.reads]
        between = written & others & ~t.final[np.where(written, version, 0)]

        def found(which: Flags, describe: str) -> AnomalyFinding:
            where = np.flatnonzero(which).tolist()
            return finding(where, "reads", lambda at: self._describe_read(describe, at))

        return {
            "garbage-read": found(registers.garbage, "garbage-read"),
            "G1a": found(aborted, "G1a"),
            "G1b": found(between, "G1b"),
        }

    def _describe_read(self, name: str, at: int) -> Example:
        t, read = self.t, int(self.registers.reads[at])
        key, code = wording.key(t, int(t.key[read])), int(t.key[read])
        reader, returned = int(t.txn[read]), wording.read(t, read)
        reading = f"{name}: {wording.who(t, reader)} read {key} as {returned}"
        if name == "garbage-read":
            return wording.example(t, f"{reading}, which nobody ever wrote to it", [reader], key=t.keys[code])
        write = int(self.registers.read_version[at])
        writer = int(t.txn[write])
        if name == "G1a":
            text = f"{reading}. {wording.who(t, writer)} wrote that and aborted"
        else:
            later = next(each for each in t.of(writer) if each > write and t.write[each] and t.key[each] == code)
            over = wording.value(t.value[later])
            text = f"{reading}. {wording.who(t, writer)} wrote that, and then {over}, and so never left it like this"
        return wording.example(t, text, [writer, reader], key=t.keys[code], value=t.value[write])

    def cyclic_versions(self) -> AnomalyFinding:
        found = sorted(self.registers.cyclic)
        return finding(found, "keys", self._describe_cyclic)

    def _describe_cyclic(self, code: int) -> Example:
        t, registers = self.t, self.registers
        rule, (source, target) = registers.cyclic[code]
        cycle = _cycle_of(source.tolist(), target.tolist())
        shown = [self._version(version) for version in cycle]
        steps, involved = [], list[int]()
        for at, (one, two) in enumerate(zip(cycle, [*cycle[1:], cycle[0]], strict=True)):
            why, those = self._before(code, one, two)
            steps.append(f"{shown[at]} came before {shown[(at + 1) % len(shown)]}: {why}")
            involved += those
        sentences = [f"{'But ' if at and at == len(steps) - 1 else ''}{step}" for at, step in enumerate(steps[:_SHOWN])]
        if len(steps) > _SHOWN:
            sentences.append("And so on, in a cycle")
        text = f"cyclic-versions: the versions of {wording.key(t, code)} can't be put in order, given {rule} keys. "
        return wording.example(t, text + ". ".join(sentences), involved[: 2 * _SHOWN], key=t.keys[code], versions=shown)

    def _before(self, code: int, one: int, two: int) -> tuple[str, list[int]]:
        """Why one version precedes the other, by the weakest rule that says so, and which transactions show it."""
        t, registers = self.t, self.registers
        if one == len(t.txn) + code:
            return f"{wording.key(t, code)} began with it", []
        if max(one, two) < len(t.txn) and t.txn[one] == t.txn[two] and one < two:
            return f"{wording.who(t, int(t.txn[one]))} wrote both, in this order", [int(t.txn[one])]
        txn, of = registers.access_txn, registers.access_key == code
        for by in txn[of & (registers.external == one) & (registers.first_write == two)].tolist():
            return f"{wording.who(t, by)} read the one and wrote the other", [by]
        leaving, finding_ = txn[of & (registers.left == one)], txn[of & (registers.found == two)]
        met = txn[of]
        leaving = leaving[t.outcome[leaving] == OK]
        for by in leaving.tolist():
            for after in np.sort(met[(t.process[met] == t.process[by]) & (met > by)])[:1].tolist():
                if after in finding_:
                    left = f"{wording.who(t, by)} left it so, and then the same process ran"
                    return f"{left} {wording.who(t, after)}, which found the other", [by, after]
        by, last = leaving[np.argmin(t.completed[leaving])], finding_[np.argmax(t.invoked[finding_])]
        left = f"{wording.who(t, int(by))} left it so, and was over before {wording.who(t, int(last))} began"
        return f"{left}, which found the other", [int(by), int(last)]

    def _version(self, version: int) -> str:
        if version < len(self.t.txn):
            return wording.value(self.t.value[version])
        if version < len(self.t.txn) + len(self.t.keys):
            return wording.value(self.registers.initial.get(version - len(self.t.txn)))
        read = int(np.flatnonzero(self.registers.read_version == version)[0])
        return wording.value(self.t.value[self.registers.reads[read]])

    def internal(self) -> AnomalyFinding:
        found = [found for each in self.t.repeated_accesses() if (found := _contradiction(each)) is not None]
        return finding(found, "transactions", self._describe_internal)

    def _describe_internal(self, found: tuple[int, int]) -> Example:
        t, (before, read) = self.t, found
        key, txn = wording.key(t, int(t.key[read])), int(t.txn[read])
        did = (
            f"wrote {wording.value(t.value[before])} to {key}"
            if t.write[before]
            else (f"read {key} as {wording.read(t, before)}")
        )
        text = f"internal: {wording.who(t, txn)} {did}, and then read it as {wording.read(t, read)}"
        return wording.example(t, text, [txn], key=t.keys[t.key[read]])

    def future_reads(self) -> AnomalyFinding:
        t, registers = self.t, self.registers
        version = registers.read_version
        own = np.flatnonzero((version > registers.reads) & (version < len(t.txn)))
        own = own[t.txn[version[own]] == t.txn[registers.reads[own]]]
        _, first = np.unique(t.txn[version[own]], return_index=True)
        return finding(own[first].tolist(), "transactions", self._describe_future)

    def _describe_future(self, at: int) -> Example:
        t, read = self.t, int(self.registers.reads[at])
        txn, key = int(t.txn[read]), wording.key(t, int(t.key[read]))
        text = (
            f"future-read: {wording.who(t, txn)} read {key} as {wording.read(t, read)}, which it wrote only afterwards"
        )
        return wording.example(t, text, [txn], key=t.keys[t.key[read]], value=t.value[read])

    def lost_updates(self) -> AnomalyFinding:
        t, registers = self.t, self.registers
        both = (registers.external >= 0) & (registers.first_write >= 0) & (t.outcome[registers.access_txn] == OK)
        version, read = registers.external[both], registers.read[both]
        order = np.argsort(version, kind="stable")
        groups = np.split(read[order], np.flatnonzero(np.diff(version[order])) + 1)
        found = sorted(group.tolist() for group in groups if len(group) > 1)
        return finding(found, "versions", lambda group: describe_lost_update(t, group))


def _contradiction(micro_operations: list[tuple[int, int, bool, Any]]) -> tuple[int, int] | None:
    """What a transaction last read or wrote of a key, and its first read that differs from it."""
    last: dict[int, tuple[int, Any]] = {}
    for at, key, write, held in micro_operations:
        if not write and key in last and not same([last[key][1]], [held]):
            return last[key][0], at
        last[key] = at, held
    return None


def _cycle_of(source: list[int], target: list[int]) -> list[int]:
    """A shortest cycle through the first of the versions."""
    following: dict[int, list[int]] = {}
    for one, two in sorted(zip(source, target, strict=True)):
        following.setdefault(one, []).append(two)
    begin = min(following)
    came: dict[int, int] = {}
    frontier = [begin]
    while begin not in came:
        reached = []
        for version in frontier:
            for each in following[version]:
                if each not in came:
                    came[each] = version
                    reached.append(each)
        frontier = reached
    cycle = [came[begin]]
    while cycle[-1] != begin:
        cycle.append(came[cycle[-1]])
    return cycle[::-1]
