"""The checkers, by name.

1. A checker is a function from a history to a verdict. Its options follow the history: keyword-only, annotated, with
   defaults. Values are checked against the annotations, and nothing else describes the options.
2. A name or an option that doesn't exist, or a value of the wrong type, is a ValueError that names those that
   do.
3. Other packages add checkers through the entry-point group `splitbrain.checkers`; each entry names a `Checker`. They
   come after ours, and can't take the name of one of ours. One that can't be loaded is named, and hides no other.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from splitbrain.checkers import causal, linearizability, sessions, transactions
from splitbrain.checkers.error_origin import at_origin
from splitbrain.checkers.eventual import carts, convergence, lost_writes, siblings, staleness
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import (
    bank,
    broadcast,
    causal_reverse,
    counter,
    kafka,
    lock,
    long_fork,
    total_queue,
    unique_ids,
)
from splitbrain.checkers.service import (
    availability,
    evidence,
    latency,
    log_patterns,
    stats,
    thresholds,
    unhandled_errors,
)
from splitbrain.checkers.transactions import timestamps
from splitbrain.checkers.verdict import Verdict


@dataclass(frozen=True)
class Checker:
    """name, summary: for people. judge: takes the history and options by keyword, returns the verdict."""

    name: str
    summary: str
    judge: Callable[..., Verdict]

    @property
    def options(self) -> Mapping[str, Any]:
        """Each option's annotation by its name."""
        hints = typing.get_type_hints(self.judge, include_extras=True)
        parameters = inspect.signature(self.judge).parameters.values()
        return {p.name: hints[p.name] for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def accept(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with their values converted. Raises ValueError naming what is wrong and what is valid."""
        known = self.options
        accepted = {}
        for name, value in options.items():
            if name not in known:
                raise ValueError(f"{self.name} has no option {name!r}; it has {', '.join(known) or 'none'}")
            try:
                accepted[name] = _converted(value, known[name])
            except msgspec.ValidationError as problem:
                message = f"{self.name}: option {name} can't be {_shown(value)}: {problem}; it has {', '.join(known)}"
                raise ValueError(message) from None
        return accepted


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    return repr(value) if plain else f"a {type(value).__name__}"


def _converted(value: Any, annotation: Any) -> Any:
    """The value, converted to the annotation. Raises msgspec.ValidationError.

    An object that only a program can pass (a model of its own, an executor) is taken as it is. In a union, it stands
    beside None or the type of its name, and msgspec can't distinguish the two.
    """
    choices = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    objects = tuple(each for each in choices if isinstance(each, type) and each.__module__ != "builtins")
    if objects and isinstance(value, objects):
        return value
    rest = [each for each in choices if each not in objects]
    return msgspec.convert(value, functools.reduce(operator.or_, rest)) if rest else value


_ALL = (
    Checker("lost-writes", "no acknowledged write vanished, from sets or versioned registers", lost_writes.check),
    Checker("siblings", "how many versions a read returned, and that none of them was superseded", siblings.check),
    Checker("convergence", "after the heal all replicas came to hold the same, and how soon", convergence.check),
    Checker("carts", "no item that was added to a cart is gone, unless it was removed or ordered", carts.check),
    Checker("availability", "share of operations served, by fault; silences; time to recover", availability.check),
    Checker("latency", "percentiles of latency, under fault and without, against an SLA", latency.check),
    Checker("evidence", "the test was meaningful: operations, faults with effect, final reads", evidence.check),
    Checker("linearizable", "the operations could have happened one after the other", linearizability.check),
    Checker("transactions", "no anomaly that the promised consistency model forbids (Elle)", transactions.check),
    Checker("transaction-order", "the timestamps of transactions explain what they read (Chronos)", timestamps.check),
    Checker("sessions", "each session read its writes, and never went back in time", sessions.check),
    Checker("causal", "whoever saw something saw what it followed from", causal.check),
    Checker("staleness", "how many versions, and how long, reads were behind", staleness.check),
    Checker("counter", "every read of a counter lies within what the adds around it allow", counter.check),
    Checker("total-queue", "what was enqueued comes out, once, and nothing else does", total_queue.check),
    Checker("unique-ids", "no id is given out twice", unique_ids.check),
    Checker("bank", "transfers keep the total, and no account is missing or overdrawn", bank.check),
    Checker("long-fork", "all reads of a group of keys saw its writes happen in one order", long_fork.check),
    Checker("causal-reverse", "who saw a write saw those that were over before it", causal_reverse.check),
    Checker("kafka", "what is sent to a log is polled, once, and in one order", kafka.check),
    Checker("lock", "nobody holds a lock that another holds, and fencing tokens grow", lock.check),
    Checker("broadcast", "every acknowledged message comes to every node, and how soon", broadcast.check),
    Checker("thresholds", "latency, ok rate, silence and recovery within given bounds", thresholds.check),
    Checker("unhandled-errors", "errors by code: how many, and an example of each", unhandled_errors.check),
    Checker("log-patterns", "no line of the nodes' logs matches a pattern", log_patterns.check),
    Checker("stats", "operations by kind and outcome; every kind succeeded at least once", stats.check),
)
GROUP = "splitbrain.checkers"
"""The entry-point group of checkers that other packages add."""
ALIASES: Mapping[str, str] = {
    "linearizability": "linearizable",
    "elle": "transactions",
    "list-append": "transactions",
    "rw-register": "transactions",
    "session": "sessions",
    "counters": "counter",
    "queue": "total-queue",
    "unhandled-exceptions": "unhandled-errors",
    "log-file-pattern": "log-patterns",
}
"""Other names under which the field knows some of them."""
CHECKERS: Mapping[str, Checker] = {checker.name: checker for checker in _ALL}


def names() -> tuple[str, ...]:
    """The names of all checkers: ours, then those that other packages register."""
    return (*CHECKERS, *sorted(_registered()))


def catalogue() -> dict[str, str]:
    """Each checker's name and what it judges, in a line."""
    return {name: _summary(name) for name in names()}


def find(name: str) -> Checker:
    """The checker of that name. Raises ValueError: there is none, naming those that exist, or it can't be loaded."""
    name = ALIASES.get(name, name)
    if name in CHECKERS:
        return CHECKERS[name]
    entry = _registered().get(name)
    if entry is None:
        raise ValueError(f"there is no checker {name!r}; there are {', '.join(names())}")
    return _loaded(entry)


def _registered() -> dict[str, EntryPoint]:
    taken = CHECKERS.keys() | ALIASES.keys()
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in taken}


def _loaded(entry: EntryPoint) -> Checker:
    """The checker an entry point names. Raises ValueError naming the entry and what is wrong with it."""
    named = f"the checker {entry.name!r} ({entry.value}, from the entry points {GROUP})"
    try:
        found = entry.load()
    except (Exception, SystemExit) as problem:  # It is somebody else's module, so it may raise anything.
        reason = at_origin(f"{type(problem).__name__}: {problem}", problem)
        raise ValueError(f"{named} can't be loaded ({reason}); mend or uninstall its package") from None
    if not isinstance(found, Checker):
        raise ValueError(f"{named} is of type {type(found).__name__}; it must be a splitbrain.Checker")
    if found.name != entry.name:
        raise ValueError(f"{named} calls itself {found.name!r}; give the entry point and the checker one name")
    return found


def _summary(name: str) -> str:
    try:
        return find(name).summary
    except ValueError as problem:
        return str(problem)


def check(name: str, history: History, /, **options: Any) -> Verdict:
    """Let one checker judge a history.

    options: the checker's own. Raises ValueError for a name or an option that doesn't exist or a value of the wrong
    type, and HistoryError (a ValueError too) for a history that the checker can't read.
    """
    checker = find(name)
    return checker.judge(history, **checker.accept(options))
