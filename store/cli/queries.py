"""Queries: one request from a shell to a node, or to each of several nodes at once.

1. A failed request ends the command with exit code 1, and one line that says whether it happened.
2. If several nodes are asked a failure is an answer like others: a cluster with a dead node can still be inspected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn, TypeVar

import click

from splitbrain.store.actions import Address
from splitbrain.store.client import Client
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.connecting import no_socket, opened
from splitbrain.store.contact import Contact
from splitbrain.store.descriptors import LOOP, require
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import Standing, fold
from splitbrain.store.ring.ring import Ring
from splitbrain.store.wire.changes import identity

USAGE, FAILED, BROKEN = 64, 1, 3

T = TypeVar("T")
Question = Callable[[Client], Awaitable[T]]


@dataclass(frozen=True)
class Cluster:
    """The cluster as one node knows it. nodes: every one that its history names. view: the history's digest."""

    config: Config
    ring: Ring
    nodes: dict[str, tuple[Member, Standing]]
    view: int

    @property
    def addresses(self) -> dict[str, Address]:
        """The addresses of the nodes that can be asked: members, and those that are leaving."""
        return {name: m.address for name, (m, standing) in sorted(self.nodes.items()) if standing is not Standing.GONE}


def ask(contact: Contact, question: Question[T]) -> T:
    """Ask the nodes in turn; ends the command if none answers. Returns the first answer."""
    try:
        require(LOOP)
        return asyncio.run(answer(contact, question))
    except StoreError as problem:
        known = "it certainly did not happen" if problem.kind.definite else "it may or may not have happened"
        end(f"{problem.code}: {problem.message} ({known})", FAILED)
    except OSError as problem:
        end(no_socket(problem), FAILED)


def ask_each(contact: Contact, nodes: Mapping[str, Address], question: Question[T]) -> dict[str, T | StoreError]:
    """Ask each of the named nodes itself. Returns each answer, or the error, by name."""

    async def one(address: Address) -> T | StoreError:
        try:
            return await answer(replace(contact, nodes=(address,)), question)
        except StoreError as problem:
            return problem

    async def all_at_once() -> dict[str, T | StoreError]:
        return dict(zip(nodes, await asyncio.gather(*map(one, nodes.values())), strict=True))

    try:
        require(LOOP + len(nodes))
        return asyncio.run(all_at_once())
    except OSError as problem:
        end(no_socket(problem), FAILED)


def look(contact: Contact) -> Cluster:
    """The cluster, as the first node that answers knows it; ends the command if that node is in none."""
    view = ask(contact, lambda client: client.view())
    if not view.changes:
        end("not_member: the node asked is in no cluster yet; ask a member, or have it join first", FAILED)
    try:
        config = Config().changed(view.settings)
        ring, nodes = fold(view.changes, config)
    except ConfigError as problem:
        end(f"can't use the node's view of the cluster ({problem}); is it of another version?", FAILED)
    digest = 0
    for change in view.changes:
        digest ^= identity(change)
    return Cluster(config, ring, nodes, digest)


def end(text: str, code: int) -> NoReturn:
    """Say why, and exit."""
    click.echo(f"splitbrain-store: {text}", err=True)
    raise SystemExit(code)


async def answer(contact: Contact, question: Question[T]) -> T:
    """The first answer of the nodes, asked in turn. Raises StoreError if none answers, OSError without a socket."""
    client = opened(contact)
    try:
        return await question(client)
    finally:
        client.close()
