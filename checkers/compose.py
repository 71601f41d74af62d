"""Several checkers on one history, and one verdict from them.

1. Invalid outranks unknown, which outranks valid. The reason is that of the worst checker, and names it; of equally bad
   ones, the first in the order asked.
2. A checker that raises anything but a KeyboardInterrupt is contained: its name and error are in `broken`, and the
   other checkers still count. It may have failed itself, it may refuse the history (HistoryError), or a caller's own
   model may end the program (SystemExit). What it should have judged is unjudged, so the whole is at best unknown.
3. All checkers count alike. One that only describes (`latency` without an SLA) is valid as soon as it has something to
   describe. It makes the whole unknown only if there was nothing.
4. Without a checker the verdict is unknown.
5. A wrong name or option is the caller's mistake: it raises before anything is judged. Some wrong options only the
   checker can detect (a pattern that is no regular expression). Those are that checker's failure, as in rule 2.
6. Checkers without options may be given by name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor
from typing import Any

from splitbrain.checkers.error_origin import at_origin
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.registry import find
from splitbrain.checkers.verdict import Outcome, Verdict

_BADNESS = {Outcome.VALID: 0, Outcome.UNKNOWN: 1, Outcome.INVALID: 2}


def check_all(history: History, checkers: Mapping[str, Mapping[str, Any]] | Iterable[str]) -> Verdict:
    """Let several checkers judge one history.

    checkers: options by checker name; or names alone, such as a list or tuple, for checkers without options. Returns
    the composed verdict: `parts` by name, `broken` by name, the witness of the worst. Raises ValueError for a name or
    an option that doesn't exist, TypeError for anything but names or options by name.
    """
    checkers = _options_by_name(checkers)
    chosen = {name: (find(name), find(name).accept(options)) for name, options in checkers.items()}
    parts: dict[str, Verdict] = {}
    broken: dict[str, str] = {}
    for name, (checker, options) in chosen.items():
        try:
            parts[name] = checker.judge(history, **options)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # Whatever a checker does wrong must not hide what others found.
            broken[name] = describe_error(error)
    return compose(parts, broken)


def _options_by_name(checkers: Mapping[str, Mapping[str, Any]] | Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    wanted = "check_all takes names, such as ['stats'], or options by name; not"
    # A string is an iterable of letters, and no letter is a checker.
    if isinstance(checkers, str | bytes) or not isinstance(checkers, Iterable):
        raise TypeError(f"{wanted} {checkers!r:.60}")
    if isinstance(checkers, Mapping):
        for name, options in checkers.items():
            if not isinstance(name, str) or not isinstance(options, Mapping):
                raise TypeError(f"{wanted} {name!r:.60}: {options!r:.60}")
        return checkers
    names = list(checkers)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{wanted} {name!r:.60}")
    return {name: {} for name in names}


def describe_error(error: BaseException) -> str:
    """A checker's error as text: its message alone if the caller can act on it, else with its type and its origin."""
    if isinstance(error, BrokenExecutor):
        return "a worker process died (out of memory?); try one job (--jobs 1), or less memory (--memory)"
    return str(error) if isinstance(error, ValueError) else at_origin(f"{type(error).__name__}: {error}", error)


def compose(parts: Mapping[str, Verdict], broken: Mapping[str, str]) -> Verdict:
    """One verdict from several by name, and from the errors of checkers that failed."""
    worst = max(parts, key=lambda name: _BADNESS[parts[name].outcome], default=None)
    outcome = parts[worst].outcome if worst is not None else Outcome.UNKNOWN
    if broken and outcome is not Outcome.INVALID:
        failed = listing(f"{name} ({error})" for name, error in broken.items())
        return Verdict(Outcome.UNKNOWN, f"broken: {failed}", parts=parts, broken=broken)
    if worst is None:
        return Verdict.unknown("no checker was asked")
    if outcome is Outcome.VALID:
        return Verdict(outcome, f"{count(len(parts), 'checker')} passed: {listing(parts, len(parts))}", parts=parts)
    others = [name for name in parts if name != worst and parts[name].outcome is outcome]
    reason = f"{worst}: {parts[worst].reason}"
    if others:
        reason += f" (also {outcome}: {listing(others)})"
    return Verdict(outcome, reason, witness=parts[worst].witness, parts=parts, broken=broken)
