"""Random histories of logs: half of them from a service that loses, repeats, swaps or skips records."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.invariants.process_clients import Answer, Asked, Recording

LOGS = ("x", "y")


class Logs:
    """mistake: what it does wrong now and then."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.mistake = random.choice([None, None, None, "lose", "repeat", "swap", "skip", "back", "invent", "refuse"])
        self.logs: dict[str, list[Any]] = {log: [] for log in LOGS}
        self.positions: dict[tuple[int, str], int] = {}
        self.next = 0

    def ask(self, process: int) -> Asked:
        move = self.random.random()
        if move < 0.1:
            return Asked(self.random.choice(["assign", "subscribe"]), None, list(LOGS))
        if move < 0.5:
            return Asked("poll", None, [["poll"]])
        f, number = ("send", 1) if move < 0.8 else ("txn", self.random.randint(1, 3))
        micro: list[Any] = [self._send() for _ in range(number)]
        if f == "txn" and self.random.random() < 0.6:
            micro.insert(self.random.randint(0, number), ["poll"])
        return Asked(f, None, micro)

    def _send(self) -> list[Any]:
        self.next += 1
        return ["send", self.random.choice(LOGS), self.next]

    def do(self, process: int, node: str, asked: Asked, now_ms: int) -> Answer:
        if asked.f in ("assign", "subscribe"):
            for log in LOGS:
                self.positions[process, log] = self.random.randint(0, len(self.logs[log]))
            return Answer("ok", asked.value)
        wrong = self.random.random() < 0.3
        done = [self._append(each, wrong) if each[0] == "send" else self._poll(process, wrong) for each in asked.value]
        refused = (wrong and self.mistake == "refuse") or (self.random.random() < 0.05 and asked.f == "poll")
        return Answer("fail", None) if refused else Answer("ok", done)

    def _append(self, send: list[Any], wrong: bool) -> list[Any]:
        _, log, value = send
        records = self.logs[log]
        match self.mistake if wrong else None:
            case "lose":
                return ["send", log, [len(records), value]]
            case "repeat":
                records.append(value)
            case "swap" if records:
                records.insert(len(records) - 1, value)
                return ["send", log, [len(records) - 2, value]]
        records.append(value)
        return ["send", log, [len(records) - 1, value] if self.random.random() < 0.9 else value]

    def _poll(self, process: int, wrong: bool) -> list[Any]:
        found: dict[str, list[Any]] = {}
        for log in LOGS:
            records, start = self.logs[log], self.positions.get((process, log), 0)
            start = start + 1 if wrong and self.mistake == "skip" else start
            start = max(0, start - 1) if wrong and self.mistake == "back" else start
            end = min(len(records), start + self.random.randint(0, 3))
            if start < end:
                found[log] = [[offset, records[offset]] for offset in range(start, end)]
                self.positions[process, log] = end
            if wrong and self.mistake == "invent":
                found.setdefault(log, []).append([len(records), 999])
        return ["poll", found]


def kafka(random: Random) -> History:
    logs = Logs(random)
    recording = Recording(random, logs).run(random.randint(0, 50))
    if random.random() < 0.6:
        recording.stage("final-reads")
        for log in LOGS:
            logs.positions[90, log] = 0
        for _ in range(random.choice([1, 12])):
            recording.ask(90, Asked("poll", None, [["poll"]]))
    return recording.history
