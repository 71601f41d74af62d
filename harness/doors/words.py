"""The words of the command line: options with suggestions, whole numbers, and completion of names.

1. An unknown command or option suggests the nearest known one, and none where none is near.
2. Completing a word imports no plugin: names come from the packages' metadata. A broken plugin completes as well.
3. No command ends by click's `Exit`: only code of a client, a model or a plugin raises it there.
4. What a command does is said in full, in as many lines as that takes.
5. A whole number may be written as people write it: `1000`, `1e3`, `1_000`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import click
from click.shell_completion import CompletionItem

from splitbrain.checkers.registry import names as checker_names
from splitbrain.harness.catalogue import SYSTEMS, WORKLOADS, names
from splitbrain.harness.nemesis import families
from splitbrain.harness.running.environments import ENVIRONMENTS
from splitbrain.harness.suggestions import did_you_mean, nearest

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Command(click.Command):
    """A command whose unknown options suggest the nearest known one, and that click's `Exit` does not end."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit as left:
            # No command of ours raises it. Click would make it the exit code, 0 for instance, without an answer.
            raise RuntimeError(f"a user's code raised click's Exit({left.exit_code})") from left

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            raise _no_such_option(problem, self, ctx) from None


class Group(click.Group):
    """A group whose unknown commands and options suggest the nearest known one."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Click cuts the sentence after what fits into one line, in a pipe too.
        told = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(10_000)) for name, command in told if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            raise _no_such_option(problem, self, ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and not ctx.resilient_parsing and args[0] not in self.commands:
            guess = did_you_mean(args[0], self.commands)
            raise click.UsageError(f"No such command {args[0]!r}; there are {', '.join(self.commands)}{guess}", ctx)
        return super().resolve_command(ctx, args)


def _no_such_option(problem: click.NoSuchOption, command: click.Command, ctx: click.Context) -> click.UsageError:
    given = problem.option_name
    options = [option for each in command.get_params(ctx) for option in each.opts]
    known = {option.lstrip("-"): option for option in options if option.startswith("--")}
    found = nearest(given.lstrip("-"), known)
    guess = f"; did you mean {known[found]}?" if found else f"; see {ctx.command_path} --help"
    return click.UsageError(f"No such option {given!r}{guess}", ctx)


class Whole(click.IntRange):
    """A whole number in a range; rule 5."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str):
            try:
                number = Decimal(value)
            except InvalidOperation:
                number = Decimal("NaN")
            if not number.is_finite() or number != number.to_integral_value() or number.adjusted() > 30:
                self.fail(f"{value!r} is no whole number; write it in digits, such as 1000", param, ctx)
            value = int(number)
        return super().convert(value, param, ctx)


def complete(known: Callable[[], Iterable[str]]) -> Complete:
    """Completes one of the names."""

    def found(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in known() if name.startswith(incomplete)]

    return found


def _faults(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    before, comma, last = incomplete.rpartition(",")
    known = families()
    name, sign, _ = last.partition("=" if "=" in last else "/")
    family = known.get(name.partition("/")[0])
    if sign and family is not None:
        words = [f"{name}{sign}{word}" for word in (family.targets if sign == "=" else family.shapes)]
    else:
        words = [name for name in known if name not in before.split(",")]
    return [CompletionItem(f"{before}{comma}{word}") for word in words if word.startswith(last)]


complete_workload = complete(lambda: names(WORKLOADS))
complete_system = complete(lambda: names(SYSTEMS))
complete_environment = complete(lambda: ENVIRONMENTS)
complete_checker = complete(checker_names)
complete_faults: Complete = _faults
