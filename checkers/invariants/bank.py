"""Bank: transfers move money, and no read may see any made or gone.

Operations: `transfer` of {"from", "to", "amount"}; `read` of all balances at once, whose `ok` value is an object of
balances by account, or a list of pairs [account, balance]. Keys are judged apart: each is a bank of its own.

1. An account is named by a string or an integer; 1 and "1" are the same account, for the names in a JSON object are
   strings.
2. The accounts are `accounts`, or else those of the bank's first `ok` read; the total is `total`, or else what the
   balances in the first `ok` read that has all of them add up to. First is by completion. Should that read be the wrong
   one, the verdict is right all the same: two reads disagree, and one of them is wrong.
3. Unexpected key: a read shows an account that there isn't. Nil balance: it shows null for one that there is, or lacks
   it. Wrong total: it shows all accounts and no others, and they don't add up to the total. Negative value: a balance
   is below zero, unless `negative_balances` says that an account may be overdrawn. A read may be several of these.
4. Invalid if a read is any of these. Otherwise unknown if there is no `ok` read; or if none has a total to be compared
   with: a bank's first, where no `total` is given; or if nothing was at stake, for no transfer that was `ok` or crashed
   had begun in a bank by the end of its last read that has: balances that nobody moves add up. Otherwise valid.
5. Refused: a read that is `ok` without an object or a list of pairs, or that names an account twice; a balance that is
   neither an integer nor null; a transfer without its three parts, or of an amount that is no integer; an operation of
   another name.

Source: jepsen.tests.bank (Jepsen 0.3), whose anomalies these are. It notes only the first that a read shows, and an
account that a read lacks only by the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, listing, literal
from splitbrain.checkers.histories.values import is_integer, is_name, operations_of, refusal
from splitbrain.checkers.verdict import Verdict, Witness

_KINDS = ("unexpected-key", "nil-balance", "wrong-total", "negative-value")
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Balances:
    """What an ok read showed, by account."""

    operation: Operation
    by_account: Mapping[str, int | None]

    @property
    def completed(self) -> Event:
        assert self.operation.completion is not None
        return self.operation.completion

    @property
    def total(self) -> int:
        return sum(balance or 0 for balance in self.by_account.values())


@dataclass(frozen=True, slots=True)
class Bank:
    """One bank: its accounts and its total, and the reads that these were taken from where they were not given.

    total: None if no read shows one.
    """

    accounts: frozenset[str]
    total: int | None
    accounts_from: Balances | None = None
    total_from: Balances | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a read.

    badness: how wrong: accounts too many, balances that are nil, off the total, or overdrawn in all.
    """

    kind: str
    balances: Balances
    bank: Bank
    badness: int
    accounts: tuple[str, ...] = field(default=())


def check(
    history: History,
    *,
    accounts: tuple[int | str, ...] | None = None,
    total: int | None = None,
    negative_balances: bool = False,
) -> Verdict:
    """Judge every read of the balances.

    accounts: their names. total: of all balances in each bank. None: taken from the reads (rule 2).
    negative_balances: whether an account may be overdrawn.
    Evidence: `transfers`, `acknowledged` transfers, `banks`, `reads`; `bad_reads`; `errors` {kind: {count, first, last,
    worst}} of those kinds that occur, each read as {index, key, total, badness}, and for wrong totals `lowest` and
    `highest` too.
    Raises HistoryError by rule 5. O(balances read).
    """
    transfers: list[Operation] = []
    moved: dict[Key, int] = {}
    banks: dict[Key, list[Balances]] = {}
    for operation in operations_of(history, "a bank", ("read", "transfer")):
        if operation.f == "transfer":
            transfers.append(_transfer(operation))
            if operation.outcome != "fail":
                moved.setdefault(operation.key, operation.invocation.index)
        elif operation.outcome == "ok" and operation.completion is not None:
            read = Balances(operation, _by_account(operation.completion))
            banks.setdefault(operation.key, []).append(read)
    given = None if accounts is None else frozenset(map(str, accounts))
    found: list[Fault] = []
    compared, at_stake = 0, False
    for key, reads in banks.items():
        reads.sort(key=lambda read: read.completed.index)
        bank = _bank(reads, given, total)
        told = len(reads) if total is not None else len(reads) - 1 if bank.total is not None else 0
        compared += told
        at_stake = at_stake or (told > 0 and key in moved and moved[key] < reads[-1].completed.index)
        found += (fault for read in reads for fault in _faults(read, bank, negative_balances))
    found.sort(key=lambda fault: (fault.balances.completed.index, _KINDS.index(fault.kind)))
    number = sum(map(len, banks.values()))
    bad = len({fault.balances.completed.index for fault in found})
    evidence: dict[str, Any] = {
        "transfers": len(transfers),
        "acknowledged": sum(transfer.outcome == "ok" for transfer in transfers),
        "banks": len(banks),
        "reads": number,
        "bad_reads": bad,
        "errors": {kind: _summary(some) for kind in _KINDS if (some := [f for f in found if f.kind == kind])},
    }
    if found:
        kinds = ", ".join(f"{each['count']:,} {kind}" for kind, each in evidence["errors"].items())
        return Verdict.invalid(f"{bad:,} of {count(number, 'read')} wrong: {kinds}", _witness(found[0]), **evidence)
    if not number:
        return Verdict.unknown("no read was ok, so nobody saw a balance", **evidence)
    if not compared:
        return Verdict.unknown("no read has a total to be compared with: give the total, or read twice", **evidence)
    if not at_stake:
        return Verdict.unknown("no transfer that may have happened began before the last read was over", **evidence)
    return Verdict.valid(f"{count(number, 'read')}, every one with the same total", **evidence)


def _transfer(operation: Operation) -> Operation:
    value = operation.invocation.value
    if not isinstance(value, dict) or not {"from", "to", "amount"} <= value.keys():
        raise refusal(operation.invocation, 'a transfer needs {"from", "to", "amount"}')
    if not is_name(value["from"]) or not is_name(value["to"]) or not is_integer(value["amount"]):
        raise refusal(operation.invocation, "a transfer needs names of accounts, and an amount that is an integer")
    return operation


def _by_account(completion: Event) -> dict[str, int | None]:
    value = completion.value
    pairs = list(value.items()) if isinstance(value, dict) else value
    rule = "an ok read of a bank needs balances by account"
    if not isinstance(pairs, list):
        raise refusal(completion, rule)
    found: dict[str, int | None] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not is_name(pair[0]):
            raise refusal(completion, rule)
        name, balance = str(pair[0]), pair[1]
        if name in found:
            raise refusal(completion, f"{rule}, each account once and not {name} twice")
        if balance is not None and not is_integer(balance):
            raise refusal(completion, f"{rule}, every one an integer or null")
        found[name] = balance
    return found


def _bank(reads: Sequence[Balances], accounts: frozenset[str] | None, total: int | None) -> Bank:
    first = reads[0] if accounts is None else None
    named = frozenset(reads[0].by_account) if accounts is None else accounts
    if total is not None:
        return Bank(named, total, first)
    for read in reads:
        if read.by_account.keys() == named and None not in read.by_account.values():
            return Bank(named, read.total, first, read)
    return Bank(named, None, first)


def _faults(read: Balances, bank: Bank, negative_balances: bool) -> list[Fault]:
    shown = read.by_account
    unexpected = tuple(sorted(shown.keys() - bank.accounts))
    nil = tuple(sorted(account for account in bank.accounts if shown.get(account) is None))
    negative = {account: balance for account, balance in sorted(shown.items()) if balance is not None and balance < 0}
    found = []
    if unexpected:
        found.append(Fault("unexpected-key", read, bank, len(unexpected), unexpected))
    if nil:
        found.append(Fault("nil-balance", read, bank, len(nil), nil))
    if not unexpected and not nil and bank.total is not None and read.total != bank.total:
        found.append(Fault("wrong-total", read, bank, abs(read.total - bank.total)))
    if negative and not negative_balances:
        found.append(Fault("negative-value", read, bank, -sum(negative.values()), tuple(negative)))
    return found


def _summary(some: Sequence[Fault]) -> dict[str, Any]:
    worst = max(some, key=lambda fault: fault.badness)
    summary = {"count": len(some), "first": _as_data(some[0]), "last": _as_data(some[-1]), "worst": _as_data(worst)}
    if worst.kind == "wrong-total":
        summary["lowest"] = _as_data(min(some, key=lambda fault: fault.balances.total))
        summary["highest"] = _as_data(max(some, key=lambda fault: fault.balances.total))
    return summary


def _as_data(fault: Fault) -> dict[str, Any]:
    read = fault.balances
    return {
        "index": read.operation.invocation.index,
        "key": read.operation.key,
        "total": read.total,
        "badness": fault.badness,
    }


def _witness(fault: Fault) -> Witness:
    read, bank = fault.balances, fault.bank
    names = listing(fault.accounts)
    shown = "; ".join(f"{account}: {literal(balance)}" for account, balance in list(read.by_account.items())[:_SHOWN])
    if len(read.by_account) > _SHOWN:
        shown += f"; and {len(read.by_account) - _SHOWN:,} more"
    yardstick = None
    match fault.kind:
        case "unexpected-key":
            told, yardstick = f"with {names}, which this bank does not have", bank.accounts_from
        case "nil-balance":
            told, yardstick = f"without that of {names}", bank.accounts_from
        case "wrong-total":
            told, yardstick = f"which add up to {read.total:,} and not to {bank.total:,}", bank.total_from
        case _:
            told = f"with {names} overdrawn"
    where = "" if read.operation.key is None else f" of {key_name(read.operation.key)}"
    text = f"process {read.operation.process} read the balances{where} at {at(read.completed)}, {told}: {shown}"
    operations = [read.operation]
    if yardstick is not None and yardstick is not read:
        text += f"; the yardstick is the read of process {yardstick.operation.process} at {at(yardstick.completed)}"
        operations.append(yardstick.operation)
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    balances = dict(list(read.by_account.items())[:100])
    data = {"kind": fault.kind, "expected": bank.total, "balances": balances, **_as_data(fault)}
    return Witness(text, tuple(sorted(events)), data)
