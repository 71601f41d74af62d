"""Commands on the cluster: who is in it, joining and leaving, and how its nodes are."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from splitbrain.store.actions import host_port
from splitbrain.store.cli.arguments import MemberType, contact_options
from splitbrain.store.cli.queries import Cluster, ask, ask_each, look
from splitbrain.store.cli.tables import draw, matrix, status_tables, table
from splitbrain.store.config import CAPACITY_MAX, ConfigError, Member
from splitbrain.store.contact import Contact
from splitbrain.store.membership.history import Standing
from splitbrain.store.ring.ring import RING_SIZE, position


@click.command()
@contact_options
@click.option("--key", help="Which nodes hold this key, as well.")
def ring(contact: Contact, as_json: bool, key: str | None) -> None:
    """Print who is in the cluster, what each owns of the ring, and where a key belongs."""
    cluster = look(contact)
    report = ring_report(cluster, None if key is None else os.fsencode(key))
    if as_json:
        click.echo(json.dumps(report))
        return
    config = cluster.config
    about = {"view": report["view"], "n": config.n, "strategy": config.strategy, "partitions": cluster.ring.partitions}
    draw(
        [
            table("ring", ("", ""), about.items()),
            matrix("nodes", report["nodes"]),
            table(f"key {key}", ("", ""), report["key"].items() if report["key"] else ()),
        ]
    )


@click.command()
@contact_options
@click.argument("member", type=MemberType(), metavar="NAME=HOST:PORT")
@click.option("--zone", default="", help="The part of the world that may fail with it: a rack, a data centre.")
@click.option("--capacity", type=click.IntRange(1, CAPACITY_MAX), help="How many shares of the ring it takes.")
def join(contact: Contact, as_json: bool, member: Member, zone: str, capacity: int | None) -> None:
    """Have a node join the cluster: start it first, with --seed; it waits until it hears of this."""
    try:
        joining = Member(member.name, member.address, zone or member.zone, capacity or member.capacity)
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None
    ask(contact, lambda client: client.join(joining))
    _changed(as_json, {"joined": member.name}, f"{member.name} is a member; its partitions move to it from now on")


@click.command()
@contact_options
@click.argument("name")
@click.option("--gone", is_flag=True, help="Its machine is dead: it hands nothing over, and never comes back.")
@click.option("--yes", is_flag=True, help="With --gone: don't ask.")
def leave(contact: Contact, as_json: bool, name: str, gone: bool, yes: bool) -> None:
    """Have a node leave the cluster for good. One that is only down for a while should stay."""
    if gone and not yes:
        _confirm_gone(name)
    was = look(contact).nodes.get(name)
    already = was is not None and was[1] is Standing.GONE
    ask(contact, lambda client: client.leave(name, gone=gone))
    if already:
        text = f"{name} is gone already; stop it, if it still runs"
    elif gone:
        text = f"{name} is gone; the other replicas rebuild what it held"
    else:
        text = f"{name} is leaving, and hands over what it holds; stop it once `splitbrain-store ring` says it is gone"
    _changed(as_json, {"left": name, "gone": gone or already}, text)


@click.command()
@contact_options
@click.option("--local", is_flag=True, help="Of the node asked only, not of all.")
def hints(contact: Contact, as_json: bool, local: bool) -> None:
    """Print for whom writes are kept that could not reach them, and where."""
    if local:
        report = ask(contact, lambda client: client.status())
        answers: dict[str, Any] = {str(report["name"]): report}
    else:
        answers = ask_each(contact, look(contact).addresses, lambda client: client.status())
    held: dict[str, dict[str, int]] = {}
    for holder, answer in answers.items():
        if isinstance(answer, dict):
            for owner, number in answer["hints"].items():
                held.setdefault(owner, {})[holder] = number
    silent = [name for name, answer in answers.items() if not isinstance(answer, dict)]
    total = sum(sum(holders.values()) for holders in held.values())
    if as_json:
        click.echo(json.dumps({"total": total, "hints": held, "no_answer": silent}))
        return
    draw([table("", ("for", "hints", "kept by"), ((o, sum(h.values()), h) for o, h in sorted(held.items())))])
    unknown = f"; no answer from {', '.join(silent)}" if silent else ""
    click.echo(f"{total} hints are not delivered yet{unknown}" if total or silent else "no hints: all is delivered")


@click.command()
@contact_options
@click.option("--verbose", is_flag=True, help="Configuration and Merkle roots too.")
def status(contact: Contact, as_json: bool, verbose: bool) -> None:
    """Print how the node is: ring, peers, hints, queues, counters, latencies."""
    report = ask(contact, lambda client: client.status())
    if as_json:
        click.echo(json.dumps(report))
    else:
        draw(status_tables(report, verbose=verbose))


def ring_report(cluster: Cluster, key: bytes | None) -> dict[str, Any]:
    """The ring as JSON: nodes with their standing and share, and of a key, which of them hold it."""
    owned: dict[str, list[int]] = {}
    for partition, owner in enumerate(cluster.ring.owners):
        start, end = cluster.ring.range(partition)
        owned.setdefault(owner, []).append(end - start)
    nodes = {
        name: {
            "standing": str(standing),
            "address": host_port(member.address),
            "zone": member.zone,
            "capacity": member.capacity,
            "partitions": len(owned.get(name, ())),
            "share": round(sum(owned.get(name, ())) / RING_SIZE, 4),
        }
        for name, (member, standing) in sorted(cluster.nodes.items())
    }
    report: dict[str, Any] = {"view": f"{cluster.view:016x}", "nodes": nodes, "key": None}
    if key is not None:
        preference = cluster.ring.preference(key)
        report["key"] = {
            "position": f"{position(key):032x}",
            "partition": cluster.ring.partition(key),
            "homes": list(preference[: cluster.ring.n]),
            "then": list(preference[cluster.ring.n :]),
        }
    return report


def _confirm_gone(name: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"--gone gives up all that only {name} holds, for good; add --yes if that is meant")
    text = (
        f"{name} hands nothing over: writes that only it holds are lost, the other replicas rebuild the rest, and"
        f" it must never run again on its old data. If it may come back, it should not leave.\nIs {name} gone for good?"
    )
    click.confirm(text, abort=True, err=True)


def _changed(as_json: bool, report: dict[str, object], text: str) -> None:
    click.echo(json.dumps(report) if as_json else text)
