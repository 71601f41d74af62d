"""Bank: transfers move money, and no read may see any made or gone.

Operations: `transfer` of {"from", "to", "amount"}; `read` of all balances at once, whose `ok` value is an object of
balances by account, or a list of pairs [account, balance]. Keys are judged separately: each is a bank of its own.

1. An account is named by a string or an integer; 1 and "1" are the same account, for the names in a JSON object are
   strings.
2. The accounts are `accounts`, or else those of the bank's first `ok` read. The total is `total`, or else what the
   balances in the first `ok` read with all accounts add up to. First is by completion. If that read is the wrong one,
   the verdict is right all the same: two reads disagree, and one of them is wrong.
3. A read may be wrong in several ways. Unexpected key: it shows an account that does not exist. Nil balance: it shows
   null for one that does, or lacks it. Wrong total: it shows exactly the accounts, and they don't add up to the total.
   Negative value: a balance is below zero, unless `negative_balances` says that an account may be overdrawn.
4. Invalid if a read is wrong. Otherwise unknown if there is no `ok` read, or if none has a total to be compared with: a
   bank's first has none where no `total` is given.
5. Unknown too if nothing was at stake: in no bank with such a read had a transfer that was `ok` or crashed begun by the
   end of its last read. Balances that no transfer moves always add up. Otherwise valid.
6. Refused is an `ok` read that is no object and no list of pairs, that names an account twice, or in which a balance is
   neither an integer nor null. Refused is a transfer without its three parts, or of an amount that is no integer; and
   an operation of another name.

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
from splitbrain.checkers.real_time import needs_real_time
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
class WrongRead:
    """A read, and one thing that is wrong with it.

    badness: how wrong: accounts too many, balances that are nil, off the total, or overdrawn in all.
    """

    kind: str
    balances: Balances
    bank: Bank
    badness: int
    accounts: tuple[str, ...] = field(default=())


@dataclass(slots=True)
class BankOperations:
    """What was asked of one bank.

    transfers: all of them. reads: ok ones, in the order of their completions.
    """

    transfers: list[Operation] = field(default_factory=list)
    reads: list[Balances] = field(default_factory=list)

    def moved_by(self, index: int) -> bool:
        """Whether a transfer that was ok or crashed had been invoked before that event."""
        return any(each.outcome != "fail" and each.invocation.index < index for each in self.transfers)


@dataclass(frozen=True, slots=True)
class Audit:
    """The reads of one bank, judged.

    compared: how many have a total to be compared with. at_stake: whether a transfer might have changed one of these.
    """

    reads: int
    compared: int
    at_stake: bool
    wrong: Sequence[WrongRead]


@needs_real_time
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
    Raises HistoryError by rule 6. O(balances read).
    """
    given = None if accounts is None else frozenset(map(str, accounts))
    banks = _gather(history)
    audits = [_audit(each, given, total, negative_balances) for each in banks if each.reads]
    found = [wrong for audit in audits for wrong in audit.wrong]
    found.sort(key=lambda wrong: (wrong.balances.completed.index, _KINDS.index(wrong.kind)))
    evidence = _evidence(banks, audits, found)
    if found:
        kinds = ", ".join(f"{each['count']:,} {kind}" for kind, each in evidence["errors"].items())
        reason = f"{evidence['bad_reads']:,} of {count(evidence['reads'], 'read')} wrong: {kinds}"
        return Verdict.invalid(reason, _witness(found[0]), **evidence)
    doubt = _doubt(audits)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    return Verdict.valid(f"{count(evidence['reads'], 'read')}, every one with the same total", **evidence)


def _evidence(banks: Sequence[BankOperations], audits: Sequence[Audit], found: Sequence[WrongRead]) -> dict[str, Any]:
    transfers = [transfer for each in banks for transfer in each.transfers]
    return {
        "transfers": len(transfers),
        "acknowledged": sum(transfer.outcome == "ok" for transfer in transfers),
        "banks": len(audits),
        "reads": sum(audit.reads for audit in audits),
        "bad_reads": len({wrong.balances.completed.index for wrong in found}),
        "errors": {kind: _summary(some) for kind in _KINDS if (some := [each for each in found if each.kind == kind])},
    }


def _gather(history: History) -> list[BankOperations]:
    """What was asked of each bank. Raises HistoryError by rule 6."""
    banks: dict[Key, BankOperations] = {}
    for operation in operations_of(history, "a bank", ("read", "transfer"), "transfer"):
        bank = banks.setdefault(operation.key, BankOperations())
        if operation.f == "transfer":
            bank.transfers.append(_transfer(operation))
        elif operation.outcome == "ok" and operation.completion is not None:
            bank.reads.append(Balances(operation, _by_account(operation.completion)))
    for bank in banks.values():
        bank.reads.sort(key=lambda read: read.completed.index)
    return list(banks.values())


def _audit(asked: BankOperations, accounts: frozenset[str] | None, total: int | None, negative: bool) -> Audit:
    """Judge the reads of a bank that has some."""
    reads = asked.reads
    bank = _bank(reads, accounts, total)
    # A total that was taken from a read can't be compared with that read.
    compared = 0 if bank.total is None else len(reads) - (total is None)
    at_stake = compared > 0 and asked.moved_by(reads[-1].completed.index)
    return Audit(len(reads), compared, at_stake, [wrong for read in reads for wrong in _wrong(read, bank, negative)])


def _doubt(audits: Sequence[Audit]) -> str | None:
    """Why reads of which none is wrong prove nothing (rules 4 and 5), or None."""
    if not audits:
        return "no read was ok, so nobody saw a balance"
    if not any(audit.compared for audit in audits):
        return "no read has a total to be compared with: give the total, or read twice"
    if not any(audit.at_stake for audit in audits):
        return "no transfer that may have happened began before the last read was over"
    return None


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


def _wrong(read: Balances, bank: Bank, negative_balances: bool) -> list[WrongRead]:
    shown = read.by_account
    unexpected = tuple(sorted(shown.keys() - bank.accounts))
    nil = tuple(sorted(account for account in bank.accounts if shown.get(account) is None))
    negative = {account: balance for account, balance in sorted(shown.items()) if balance is not None and balance < 0}
    found = []
    if unexpected:
        found.append(WrongRead("unexpected-key", read, bank, len(unexpected), unexpected))
    if nil:
        found.append(WrongRead("nil-balance", read, bank, len(nil), nil))
    if not unexpected and not nil and bank.total is not None and read.total != bank.total:
        found.append(WrongRead("wrong-total", read, bank, abs(read.total - bank.total)))
    if negative and not negative_balances:
        found.append(WrongRead("negative-value", read, bank, -sum(negative.values()), tuple(negative)))
    return found


def _summary(some: Sequence[WrongRead]) -> dict[str, Any]:
    worst = max(some, key=lambda wrong: wrong.badness)
    summary = {"count": len(some), "first": _as_data(some[0]), "last": _as_data(some[-1]), "worst": _as_data(worst)}
    if worst.kind == "wrong-total":
        summary["lowest"] = _as_data(min(some, key=lambda wrong: wrong.balances.total))
        summary["highest"] = _as_data(max(some, key=lambda wrong: wrong.balances.total))
    return summary


def _as_data(wrong: WrongRead) -> dict[str, Any]:
    read = wrong.balances
    return {
        "index": read.operation.invocation.index,
        "key": read.operation.key,
        "total": read.total,
        "badness": wrong.badness,
    }


def _witness(wrong: WrongRead) -> Witness:
    read, bank = wrong.balances, wrong.bank
    names = listing(wrong.accounts)
    shown = "; ".join(f"{account}: {literal(balance)}" for account, balance in list(read.by_account.items())[:_SHOWN])
    if len(read.by_account) > _SHOWN:
        shown += f"; and {len(read.by_account) - _SHOWN:,} more"
    match wrong.kind:
        case "unexpected-key":
            clause, expected = f"with {names}, which this bank does not have", bank.accounts_from
        case "nil-balance":
            clause, expected = f"without that of {names}", bank.accounts_from
        case "wrong-total":
            clause, expected = f"which add up to {read.total:,} and not to {bank.total:,}", bank.total_from
        case _:
            clause, expected = f"with {names} overdrawn", None
    where = "" if read.operation.key is None else f" of {key_name(read.operation.key)}"
    text = f"process {read.operation.process} read the balances{where} at {at(read.completed)}, {clause}: {shown}"
    operations = [read.operation]
    if expected is not None and expected is not read:
        text += f"; it is compared with the read of process {expected.operation.process} at {at(expected.completed)}"
        operations.append(expected.operation)
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    balances = dict(list(read.by_account.items())[:100])
    data = {"kind": wrong.kind, "expected": bank.total, "balances": balances, **_as_data(wrong)}
    return Witness(text, tuple(sorted(events)), data)
