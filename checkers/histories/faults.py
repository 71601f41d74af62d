"""What the nemesis did: the faults, from when to when, and the stages of the run.

1. An action is an invocation and, unless the run ended first, a completion: the next event with the same `f` and the
   same strike. A completion carries `evidence` or an error. An action that failed, or whose evidence says so, had no
   effect.
2. A fault belongs to a family, `value.fault`. It holds from the completion of its start to the invocation of the stop
   that ends it. A stop that names a strike, `value.strike`, ends the fault of that strike. If several other stops
   brought its nodes back, the last of them ends it. A stop that names neither ends every fault of its family.
3. A fault struck an operation that was under way while it held: invoked before the fault ended, and completed after the
   fault began or never. Order decides, not time.
4. A stage is an event `f: "stage"`. If a stage occurs twice the last counts. In a history with the stage
   "environment-lost", machines or links vanished that neither the nemesis nor the system took away. What was not seen
   after that proves nothing.
5. A stop without effect leaves its fault unhealed, unless a later stop of that family covers its nodes or strike. A
   stop that
   names nodes, a restart or a resume, is made up for by the stage "recovered" as well: then every node answered.
6. Evidence of a stop may say `stood`: false if the fault had ended before the stop. It may say `died`: the nodes whose
   processes died by themselves. Evidence of a change of the cluster's members says who they are then, `members`.
7. Other nemesis events, as in Jepsen's own histories, neither start nor stop a fault.
8. Nodes are named by lists of strings: an action's `nodes`, the evidence's `died` and `members`. Anything else
   is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import listing, seconds

NEVER = np.iinfo(np.int64).max
LOST = "environment-lost"


@dataclass(slots=True, eq=False)
class Action:
    """Something that the nemesis did: it started or stopped a fault.

    fault: the family. phase: whether it starts or stops one. nodes: the nodes that it names, if any. Which node leads
    is known only once it is done.
    """

    fault: str
    phase: Literal["start", "stop"]
    invocation: Event
    completion: Event | None = None

    @property
    def nodes(self) -> frozenset[str]:
        done = self.completion.value if self.completion is not None else None
        said = done if isinstance(done, Mapping) and "nodes" in done else self.invocation.value
        return frozenset(said.get("nodes") or ())

    @property
    def strike(self) -> int | None:
        """The number of the strike that it starts or stops, if it says one."""
        number = self.invocation.value.get("strike")
        return number if isinstance(number, int) else None

    @property
    def effective(self) -> bool | None:
        """Whether it took effect; None if nothing says."""
        if self.completion is None:
            return None
        if self.completion.error is not None:
            return False
        effective = _evidence(self.completion).get("effective")
        return effective if isinstance(effective, bool) else None

    @property
    def gone_before(self) -> bool:
        """Whether the fault that it was to end had already ended."""
        return self.completion is not None and _evidence(self.completion).get("stood") is False

    @property
    def died(self) -> frozenset[str]:
        """Nodes whose processes were found dead although no fault had killed them."""
        return frozenset((self.completion is not None and _evidence(self.completion).get("died")) or ())

    @property
    def members(self) -> frozenset[str] | None:
        """The members of the cluster after it, if it changed them."""
        members = _evidence(self.completion).get("members") if self.completion is not None else None
        return None if members is None else frozenset(members)

    @property
    def detail(self) -> str:
        """The evidence of it, or its error."""
        if self.completion is None:
            return "the run ended before it was done"
        return self.completion.error or str(_evidence(self.completion).get("detail", "nothing was looked at"))


@dataclass(slots=True, eq=False)
class Fault:
    """One fault, from its start to its stop.

    start: the action that caused it. stop: the action that ended it, or None if it held until the end.
    """

    start: Action
    stop: Action | None = None
    _left: set[str] = field(default_factory=set)

    @property
    def family(self) -> str:
        return self.start.fault

    @property
    def label(self) -> str:
        """Family, then shape or nodes: `partition halves`, `kill n2`."""
        shape = self.start.invocation.value.get("shape")
        return " ".join(filter(None, [self.family, str(shape or ""), listing(sorted(self.start.nodes))]))

    @property
    def began(self) -> Event:
        return self.start.completion or self.start.invocation

    @property
    def ended(self) -> Event | None:
        return self.stop.invocation if self.stop else None

    def as_prose(self) -> str:
        until = f"to {seconds(self.ended.time)}" if self.ended else "until the end"
        return f"{self.label} stood from {seconds(self.began.time)} {until}"


def actions(history: History) -> list[Action]:
    """Every action that starts or stops a fault, in order. O(n). Raises HistoryError by rule 8."""
    done: list[Action] = []
    waiting: dict[tuple[str, str], Action] = {}
    for event in history.nemesis:
        value = event.value
        if not isinstance(value, Mapping) or "fault" not in value or value.get("phase") not in ("start", "stop"):
            continue
        for what in ("died", "members"):
            _hold_names(event, _evidence(event).get(what), what)
        _hold_names(event, value.get("nodes"), "nodes")
        one = (event.f, str(value.get("strike")))
        if one in waiting:
            waiting.pop(one).completion = event
            continue
        action = Action(str(value["fault"]), value["phase"], event)
        if "evidence" in value or event.error is not None:
            action.completion = event  # A history that keeps completions only.
        else:
            waiting[one] = action
        done.append(action)
    return done


def faults(history: History) -> list[Fault]:
    """The faults, in the order of their starts. O(n + starts * stops)."""
    found: list[Fault] = []
    standing: list[Fault] = []
    for action in actions(history):
        if action.phase == "start":
            fault = Fault(action, _left=set(action.nodes))
            found.append(fault)
            standing.append(fault)
            continue
        for fault in [fault for fault in standing if fault.family == action.fault]:
            if action.strike not in (None, fault.start.strike):
                continue
            fault._left -= action.nodes
            if not action.nodes or not fault._left or action.strike is not None:
                fault.stop = action
                standing.remove(fault)
    return found


def first_fault(history: History, families: Collection[str]) -> int | None:
    """The index of the event that starts the first fault of these families, or None if none began. O(n)."""
    found = faults(history) if families else ()
    return next((fault.start.invocation.index for fault in found if fault.family in families), None)


def unhealed(history: History) -> str | None:
    """Why nothing may be demanded at the end: a heal had no effect. None if every heal had one. O(n)."""
    recovered = stages(history).get("recovered")
    since = recovered.index if recovered else -1
    left = [stop for stop in vain_stops(history) if not stop.nodes or stop.invocation.index > since]
    if not left:
        return None
    return f"the last heal had no effect: {left[0].invocation.f} at {seconds(left[0].invocation.time)}"


def vain_stops(history: History) -> list[Action]:
    """The stops that had no effect, and that no later stop makes up for. O(actions)."""
    left: list[Action] = []
    for action in actions(history):
        if action.phase == "stop":
            left = [stop for stop in left if not _makes_up_for(action, stop)]
            if action.effective is False:
                left.append(action)
    return left


def _makes_up_for(action: Action, failed: Action) -> bool:
    if action.fault != failed.fault:
        return False
    if action.strike is not None and not action.nodes:
        return action.strike == failed.strike
    return not action.nodes or (bool(failed.nodes) and failed.nodes <= action.nodes)


def stages(history: History) -> dict[str, Event]:
    """The stages that were reached, by name. O(n)."""
    return {event.value: event for event in history.nemesis if event.f == "stage" and isinstance(event.value, str)}


@dataclass(frozen=True, slots=True)
class Span:
    """When operations were invoked and completed, as event indices (NEVER if they were not completed)."""

    invoked: npt.NDArray[np.int64]
    completed: npt.NDArray[np.int64]

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> Span:
        return cls(
            np.array([operation.invocation.index for operation in operations], dtype=np.int64),
            np.array([o.completion.index if o.completion else NEVER for o in operations], dtype=np.int64),
        )

    def struck(self, fault: Fault) -> npt.NDArray[np.bool_]:
        """Which of the operations were under way while the fault held. O(n)."""
        began = fault.began.index
        ended = fault.ended.index if fault.ended else NEVER
        return np.asarray((self.invoked < ended) & (self.completed > began), dtype=np.bool_)

    def struck_by_any(self, some: Iterable[Fault]) -> npt.NDArray[np.bool_]:
        """Which of the operations at least one of the faults struck. O(n * faults)."""
        mask = np.zeros(len(self.invoked), dtype=np.bool_)
        for fault in some:
            mask |= self.struck(fault)
        return mask


def meanwhile(found: Iterable[Fault], since: int, until: int, limit: int = 3) -> str:
    """The faults that held at some time between two events, in a sentence; "no fault stood meanwhile" if none did."""
    stood = [f for f in found if f.began.index < until and (f.ended is None or f.ended.index > since)]
    if not stood:
        return "no fault stood meanwhile"
    shown = [fault.as_prose() for fault in stood[:limit]]
    return "meanwhile " + "; ".join(shown) + (f"; and {len(stood) - limit} more" if len(stood) > limit else "")


def _hold_names(event: Event, nodes: Any, what: str) -> None:
    """Raise HistoryError unless these are names of nodes, or there are none."""
    if nodes and not (isinstance(nodes, list | tuple) and all(isinstance(node, str) for node in nodes)):
        problem = f"the {what} of a fault need a list of names; {event.f!r} of the nemesis has {nodes!r:.60}"
        raise HistoryError(event.index + 1, problem)


def _evidence(completion: Event) -> Mapping[str, Any]:
    evidence = completion.value.get("evidence") if isinstance(completion.value, Mapping) else None
    return evidence if isinstance(evidence, Mapping) else {}
