"""What the primary keeps: one state machine for every interface.

1. The same operations at the same times give the same state and answers, so a journal of them is all that a node needs.
2. An operation that is refused changes nothing.
3. What an answer holds is never changed afterwards: it is sent only once it is durable.
4. Time is an argument: seconds on the primary's monotonic clock. Only leases depend on it.

It imports nothing but the standard library, for it runs in containers too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

RECORDS_AT_ONCE = 50
"""Records of one key that a poll returns, so that an answer fits a datagram."""
PAGE = 2000
"""Elements or messages that one answer has, for the same reason."""
LEASE_MARGIN = 1.2
"""A lease is kept this much longer than asked for: the client's clock may be slower than the primary's."""


class Refused(Exception):
    """The operation was not done, and certainly so. code: for the history."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Objects:
    """The state. held: by lock its token, and when its lease ends."""

    def __init__(self) -> None:
        self.registers: dict[str, Any] = {}
        self.rows: dict[str, Any] = {}
        self.sets: dict[str, list[int]] = {}
        self.queues: dict[str, list[Any]] = {}
        self.counters: dict[str, int] = {}
        self.logs: dict[str, list[Any]] = {}
        self.positions: dict[str, int] = {}
        self.accounts: dict[str, int] = {}
        self.held: dict[str, tuple[int, float]] = {}
        self.tokens: dict[str, int] = {}
        self.ids = 0
        self.heard: list[int] = []

    def apply(self, op: str, args: Sequence[Any], now: float) -> Any:
        """Do one operation. Returns its answer. Raises Refused."""
        if op == "acquire":
            return self._acquire(*args, now=now)
        if op == "release":
            return self._release(*args, now=now)
        does: Mapping[str, Callable[..., Any]] = {
            "read": self.registers.get,
            "write": self._write,
            "cas": self._cas,
            "transact": self._transact,
            "add_element": self._add_element,
            "elements": lambda key, first: self.sets.get(key, [])[first : first + PAGE],
            "enqueue": lambda key, value: self.queues.setdefault(key, []).append(value),
            "dequeue": lambda key: self.queues[key].pop(0) if self.queues.get(key) else None,
            "add": self._add,
            "total": lambda key: self.counters.get(key, 0),
            "send": self._send,
            "poll": self._poll,
            "commit": self.positions.update,
            "committed": lambda keys: {key: self.positions.get(key, 0) for key in keys},
            "open_accounts": self._open_accounts,
            "transfer": self._transfer,
            "deposit": self._deposit,
            "balances": lambda: dict(self.accounts),
            "generate": self._generate,
            "broadcast": self.hear,
            "messages": lambda first: self.heard[first : first + PAGE],
            "echo": lambda payload: payload,
            "install": self.rows.update,
        }
        if op not in does:
            raise Refused("unknown", f"there is no operation {op}")
        return does[op](*args)

    def _write(self, key: str, value: Any) -> None:
        self.registers[key] = value

    def _cas(self, key: str, old: Any, new: Any) -> bool:
        if self.registers.get(key) != old:
            return False
        self.registers[key] = new
        return True

    def _transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        return transact(self.rows, micro_operations)

    def _add_element(self, key: str, element: int) -> None:
        if element not in self.sets.setdefault(key, []):
            self.sets[key].append(element)

    def _add(self, key: str, amount: int) -> None:
        self.counters[key] = self.counters.get(key, 0) + amount

    def _send(self, key: str, value: Any) -> int:
        log = self.logs.setdefault(key, [])
        log.append(value)
        return len(log) - 1

    def _poll(self, positions: Mapping[str, int]) -> dict[str, list[list[Any]]]:
        found = {}
        for key, first in positions.items():
            log = self.logs.get(key, [])
            if first < len(log):
                last = min(len(log), first + RECORDS_AT_ONCE)
                found[key] = [[offset, log[offset]] for offset in range(first, last)]
        return found

    def _open_accounts(self, balances: Mapping[str, int]) -> None:
        self.accounts = {**balances, **self.accounts}

    def _transfer(self, source: str, target: str, amount: int) -> None:
        for account in (source, target):
            if account not in self.accounts:
                raise Refused("no-account", f"there is no account {account}")
        if self.accounts[source] < amount:
            raise Refused("overdrawn", f"{source} has {self.accounts[source]}, less than {amount}")
        self._deposit(source, -amount)
        self._deposit(target, amount)

    def _deposit(self, account: str, amount: int) -> None:
        """Half of a transfer; only a mistake asks for it alone."""
        if self.accounts.get(account, 0) + amount < 0:
            raise Refused("overdrawn", f"{account} has less than {-amount}")
        self.accounts[account] += amount

    def _acquire(self, name: str, lease_s: float, *, now: float) -> int | None:
        if name in self.held and now < self.held[name][1]:
            return None
        self.tokens[name] = self.tokens.get(name, 0) + 1
        self.held[name] = (self.tokens[name], now + LEASE_MARGIN * lease_s)
        return self.tokens[name]

    def _release(self, name: str, token: int, *, now: float) -> bool:
        holds = self.held.get(name)
        if holds is None or holds[0] != token or holds[1] <= now:
            return False
        del self.held[name]
        return True

    def _generate(self) -> int:
        self.ids += 1
        return self.ids

    def hear(self, message: int) -> None:
        """Learn of a message."""
        if message not in self.heard:
            self.heard.append(message)


def transact(rows: dict[str, Any], micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Do the micro-operations on the rows. Returns them with what was read. Lists are replaced, never changed."""
    done = []
    for kind, key, value in micro_operations:
        match kind:
            case "r":
                done.append([kind, key, rows.get(key)])
            case "w":
                rows[key] = value
                done.append([kind, key, value])
            case _:
                rows[key] = [*(rows.get(key) or []), value]
                done.append([kind, key, value])
    return done
