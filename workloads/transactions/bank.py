"""Bank: clients move money between accounts and read all balances at once.

1. A client sees to it that the accounts are open before its first operation.
2. Every read shows the same total. No account is overdrawn.

Source: jepsen.tests.bank (Jepsen 0.3).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from splitbrain.harness.generators import Generator, mix, numbered, repeat
from splitbrain.harness.interfaces import Bank
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import draw, shuffled, split
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.workload import Plan, Schema, Workload

BALANCE = 20
"""Of each account at first."""
MOST = 5
"""Moved by one transfer."""
KEY = "bank"


class Transfer(msgspec.Struct, forbid_unknown_fields=True):
    """What a transfer moves."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    amount: int = 0


SCHEMAS = (
    Schema("transfer", invoked=Transfer, ok=Transfer),
    Schema("read", invoked=None, ok=dict[str, int]),
)


class BankClient:
    """Transfers and reads through one connection. accounts: their names."""

    def __init__(self, connection: Bank, accounts: list[str]) -> None:
        self._connection = connection
        self._accounts = accounts
        self._opened = False

    async def invoke(self, invocation: Invocation) -> Completion:
        await self._open()
        if invocation.f == "read":
            return Completion("ok", await self._connection.balances())
        moved = invocation.value
        await self._connection.transfer(moved["from"], moved["to"], moved["amount"])
        return Completion("ok", moved)

    async def close(self) -> None:
        await self._connection.close()

    async def _open(self) -> None:
        if not self._opened:
            try:
                await self._connection.open_accounts(dict.fromkeys(self._accounts, BALANCE))
            except OperationFailed as problem:
                # Nothing was moved yet, whatever became of the accounts.
                raise OperationFailed(problem.code, f"while opening accounts: {problem}", definite=True) from None
            self._opened = True


def _accounts(config: Mapping[str, str]) -> list[str]:
    return [f"a{number}" for number in range(int(config["accounts"]))]


def _generator(plan: Plan) -> Generator:
    if plan.whole("accounts") < 2:
        raise ValueError("accounts=1: give 2 or more, or there is nowhere to move money to")
    accounts = _accounts(plan.config)

    def transfer(number: int) -> Invocation:
        rng = draw(split(plan.seed, number))
        source, target, *_ = shuffled(rng, accounts)
        return Invocation("transfer", {"from": source, "to": target, "amount": 1 + int(rng.random() * MOST)}, KEY)

    return mix(plan.seed, (1, numbered(transfer)), (1, repeat(Invocation("read", key=KEY))))


WORKLOAD = Workload(
    name="bank",
    summary="transfers between accounts, and reads of all balances; every read has the same total",
    interface="Bank",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: BankClient(connection, _accounts(config)),
    generator=_generator,
    final=lambda plan: final_reads([KEY], plan.nodes),
    checkers={"bank": {}, "availability": {}, "latency": {}},
    config={"accounts": "6"},
)
