"""Commands on keys: get, put, delete, and what every node holds of one.

1. Each value is one line: line ends, backslashes and bytes that are no text are shown with backslashes, so that one
   value of two lines is told from two siblings.
2. `get --raw` writes a value's own bytes and nothing else; `--json` has values in base64 as well.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from splitbrain.store.cli.arguments import contact_options, context_of, read_quorum, write_quorum
from splitbrain.store.cli.queries import FAILED, ask, ask_each, end, look
from splitbrain.store.cli.tables import draw, table
from splitbrain.store.contact import Contact
from splitbrain.store.errors import StoreError
from splitbrain.store.versions.dotted import Version
from splitbrain.store.wire.client_messages import Held

LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@click.command()
@contact_options
@click.argument("key")
@read_quorum
@click.option("--local", is_flag=True, help="The raw versions this node itself holds.")
@click.option("--raw", is_flag=True, help="The value's own bytes; fails if there is none, or several.")
def get(contact: Contact, as_json: bool, key: str, local: bool, raw: bool, **quorum: Any) -> None:
    """Print the values of KEY, and the context that covers them."""
    if raw and (as_json or local):
        raise click.UsageError(f"--raw and {'--json' if as_json else '--local'} exclude each other; give one of them")
    if local:
        held = ask(contact, lambda client: client.local(os.fsencode(key)))
        if as_json:
            click.echo(json.dumps(_held(held)))
        else:
            role = "home" if held.home else "not a home"
            click.echo(f"{role}; hints for: {', '.join(held.hints_for) or 'none'}")
            draw([table("", VERSION, map(_row, held.state.versions))])
        return
    found = ask(contact, lambda client: client.get(os.fsencode(key), **quorum))
    context = base64.b64encode(found.context).decode()
    if as_json:
        encoded = [base64.b64encode(value).decode() for value in found.values]
        click.echo(json.dumps({"values": [*map(_text, found.values)], "base64": encoded, "context": context}))
        return
    if raw:
        _write_raw(found.values)
        click.echo(f"context: {context}", err=True)
        return
    for value in found.values:
        click.echo(_line(value), color=True)  # Else click takes a value's escape sequences away, into a pipe.
    if not found.values:
        click.echo("(no value)", err=True)
    click.echo(f"context: {context}", err=True)


@click.command()
@contact_options
@click.argument("key")
@click.argument("value", required=False)
@click.option("--context", help="From a get: the put replaces what that get returned. Without it: a sibling.")
@write_quorum
def put(contact: Contact, as_json: bool, key: str, value: str | None, context: str | None, **quorum: Any) -> None:
    """Write VALUE (or standard input) under KEY."""
    covered = context_of(context)
    data = sys.stdin.buffer.read() if value is None else os.fsencode(value)
    _show_context(ask(contact, lambda client: client.put(os.fsencode(key), data, covered, **quorum)), as_json)


@click.command()
@contact_options
@click.argument("key")
@click.option("--context", required=True, help="From a get: what it returned is deleted.")
@write_quorum
def delete(contact: Contact, as_json: bool, key: str, context: str, **quorum: Any) -> None:
    """Delete what a get of KEY returned."""
    covered = context_of(context)
    assert covered is not None
    _show_context(ask(contact, lambda client: client.delete(os.fsencode(key), covered, **quorum)), as_json)


@click.command()
@contact_options
@click.argument("key")
def versions(contact: Contact, as_json: bool, key: str) -> None:
    """Print what each node holds of KEY, side by side, and whether its homes agree."""
    cluster = look(contact)
    answers = ask_each(contact, cluster.addresses, lambda client: client.local(os.fsencode(key)))
    primaries = cluster.ring.primaries(os.fsencode(key))
    verdict, why = agreement(primaries, answers)
    if as_json:
        nodes = {
            name: _held(each) if isinstance(each, Held) else {"error": str(each)} for name, each in answers.items()
        }
        click.echo(json.dumps({"key": key, "homes": primaries, "agree": verdict, "why": why, "nodes": nodes}))
        return
    draw([table("", ("node", "holds it as", *VERSION), _rows(primaries, answers))])
    click.echo(why)


def agreement(primaries: tuple[str, ...], answers: Mapping[str, Held | StoreError]) -> tuple[bool | None, str]:
    """Whether the primary replicas of a key agree (None: not all of them answered), and a sentence that says so."""
    held = {primary: answer for primary in primaries if isinstance(answer := answers.get(primary), Held)}
    silent = ", ".join(primary for primary in primaries if primary not in held)
    first = next(iter(held.values()), None)
    differing = ", ".join(primary for primary, each in held.items() if first is not None and each.state != first.state)
    if differing:
        text = "the homes differ: a get repairs what it reads, anti-entropy the rest"
        return False, f"{text} ({differing} unlike {next(iter(held))})"
    if silent:
        return None, f"whether the homes agree is unknown: no answer from {silent}"
    hints = sum(len(each.hints_for) for each in answers.values() if isinstance(each, Held))
    return True, f"the {len(primaries)} homes agree" + (f"; {hints} hints of it are not delivered yet" if hints else "")


VERSION = ("dot", "coordinator", "request", "wall time", "value")


def _rows(primaries: tuple[str, ...], answers: Mapping[str, Held | StoreError]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    rank = {primary: place for place, primary in enumerate(primaries)}
    for name, each in sorted(answers.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])):
        if isinstance(each, StoreError):
            rows.append((name, "no answer", None, None, None, None, each.message))
            continue
        hints = f"hint for {', '.join(each.hints_for)}" if each.hints_for else ""
        role = ", ".join(filter(None, ("home" if each.home else "", hints)))
        found = each.state.versions
        if role or found:
            rows += [(name, role or "not a home", *_row(version)) for version in found] or [
                (name, role, None, None, None, None, "(nothing but the hint)" if hints else "(nothing)")
            ]
    return rows


def _row(version: Version) -> tuple[object, ...]:
    described = _described(version)
    value = "(tombstone)" if version.value is None else described["value"]
    return (described["dot"], described["coordinator"], described["request"], _moment(version.wall_ns), value)


def _described(version: Version) -> dict[str, Any]:
    return {
        "dot": f"{version.actor:x}:{version.counter}",
        "value": None if version.value is None else _text(version.value),
        "request": f"{version.request_id:016x}",
        "coordinator": version.coordinator,
        "wall_ns": version.wall_ns,
    }


def _held(held: Held) -> dict[str, object]:
    described = [_described(version) for version in held.state.versions]
    return {"home": held.home, "hints_for": held.hints_for, "versions": described}


def _moment(wall_ns: int) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(sep=" ", timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall_ns} ns"  # A coordinator's clock may say anything.


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _line(value: bytes) -> str:
    r"""A value as one line that stands for no other value (rule 1).

    >>> _line(b"milk\nand honey"), _line(b"\xff"), _line(rb"\xff")
    ('milk\\nand honey', '\\xff', '\\\\xff')
    """
    text = value.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    # All that Python, and so a reader of lines, takes for a line's end.
    return LINE_END.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _write_raw(values: Sequence[bytes]) -> None:
    if not values:
        end("no value: the key is not there, and no bytes would look like an empty value", FAILED)
    if len(values) > 1:
        end(f"{len(values)} siblings, which --raw can't tell apart: get them with --json, in base64", FAILED)
    sys.stdout.buffer.write(values[0])
    sys.stdout.buffer.flush()


def _show_context(context: bytes, as_json: bool) -> None:
    text = base64.b64encode(context).decode()
    if as_json:
        click.echo(json.dumps({"context": text}))
    else:
        click.echo(f"context: {text}", err=True)
