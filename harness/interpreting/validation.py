"""Validation: operations and completions are checked against a workload's schemas before they enter a history.

1. Every problem is named, not only the first.
2. Nothing is converted: text that looks like an integer does not fit a schema's `int`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators import Context, Generator, Pending, Source, Step, Test, Thread, lift
from splitbrain.harness.operation import Invocation
from splitbrain.harness.workload import Schema


class InvalidOperation(ValueError):
    """An operation or completion does not fit its schema. The message names everything that is wrong with it."""

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}; correct the generator or client, or its schema")
        self.problems = tuple(problems)


def validated(schemas: Sequence[Schema], source: Source) -> Generator:
    """The source, every operation of its clients and every completion of theirs checked.

    Raises InvalidOperation from `op` or `update`. What the nemesis does is not checked.
    """
    return Validated(lift(source), {schema.f: schema for schema in schemas})


@dataclass(frozen=True, slots=True)
class Validated:
    """See `validated`."""

    inner: Generator
    schemas: Mapping[str, Schema]

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        if not isinstance(offered, Pending):
            problems = operation_problems(self.schemas, offered, test, context)
            if problems:
                raise InvalidOperation(f"operation {offered.f!r} of process {offered.process}", problems)
        return offered, Validated(after, self.schemas)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        problems = completion_problems(self.schemas, event)
        if problems:
            raise InvalidOperation(f"completion {event.index} of {event.f!r} by process {event.process}", problems)
        inner = self.inner.update(test, context, event)
        return self if inner is self.inner else Validated(inner, self.schemas)


def operation_problems(
    schemas: Mapping[str, Schema], invocation: Invocation, test: Test, context: Context
) -> list[str]:
    """All that is wrong with an operation as a generator offers it."""
    if invocation.process == NEMESIS:
        return []
    problems = []
    if invocation.f not in schemas:
        problems.append(f"its f is none of {', '.join(sorted(schemas))}")
    else:
        problems += _mismatch(invocation.value, schemas[invocation.f].invoked)
    if invocation.process is None:
        problems.append("no process is to do it")
    elif not context.with_spare().is_free(invocation.process) and not _is_idle_spare(invocation.process, context):
        problems.append("its process is not free")
    if invocation.node is not None and invocation.node not in test.nodes:
        problems.append(f"its node {invocation.node!r} is none of {', '.join(test.nodes)}")
    if invocation.time_ns is not None and invocation.time_ns < 0:
        problems.append(f"its time {invocation.time_ns} ns is before the start")
    return problems


def _is_idle_spare(process: Thread, context: Context) -> bool:
    """Whether it runs on a spare thread that waits for work. Only one of those is offered to generators as free."""
    thread = context.thread(process)
    return isinstance(thread, int) and thread >= context.concurrency and thread not in context.busy


def completion_problems(schemas: Mapping[str, Schema], event: Event) -> list[str]:
    """All that is wrong with an event of a client's operation; what was never `ok` need only have an error."""
    if event.process == NEMESIS or event.type == "invoke":
        return []
    if event.f not in schemas:
        return [f"its f is none of {', '.join(sorted(schemas))}"]
    if event.type == "ok":
        problems = _mismatch(event.value, schemas[event.f].ok)
        return [*problems, "it is ok and has an error"] if event.error is not None else problems
    return [] if event.error else [f"it is {event.type} and has no error"]


def _mismatch(value: Any, expected: Any) -> list[str]:
    try:
        msgspec.convert(value, expected, strict=True)
    except msgspec.ValidationError as problem:
        return [f"its value {value!r} is wrong: {problem}"]
    return []
