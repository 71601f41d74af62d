"""Reclaim: finds out which node holds which token, and takes tokens that no node holds.

1. A primary replica that lacks a token asks every node of the cluster, twice. A token is lost only if all have
   answered, in one view, nothing moved in between, and no node holds it or passes it on. Then its node was removed, or
   lost its disk.
2. The primary replicas that lack a token take the lost ones in the order of preference. Each first fetches all keys of
   the range from every other holder: what a quorum had acknowledged is on one of them. Then it holds the token.
3. If two nodes hold one token (two clusters met, or a disk was lost) one of them gives it up and claims another: the
   one that is fresh, or else the later in the order of preference.
4. A node's tokens are lost because an operator removed it, never because it is silent: while one node does not answer,
   nothing is claimed.

Dynamo (SOSP 2007), section 4.9, moves ranges between live nodes; this is what it leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from splitbrain.store.membership.history import Standing
from splitbrain.store.ownership.receiver import Receiver
from splitbrain.store.ownership.sender import Sender
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import keep, page_of
from splitbrain.store.ring.ring import Range
from splitbrain.store.storage.tokens import Token, overlap, pack, unpack, without
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Fetch, Fetched, Holding, Tokens
from splitbrain.store.wire.taken import Incoming

ASK_EVERY_S = 1.0
PATIENCE_S = 3.0
FLUSHED_AFTER_S = 0.1


@dataclass(frozen=True)
class _Report:
    """The tokens that a node said it holds."""

    version: int
    fresh: bool
    tokens: tuple[Token, ...]


@dataclass
class _Claim:
    """A token being claimed. holders: the nodes whose keys are still to be fetched."""

    token: Token
    view: int
    holders: list[str]


class Reclaim:
    """This node's inspection of all tokens, and its claims."""

    def __init__(self, core: Core, sender: Sender, receiver: Receiver) -> None:
        self._core = core
        self._sender = sender
        self._receiver = receiver
        self._asked_of: set[str] = set()
        self._reports: dict[str, _Report] = {}
        self._before: dict[str, _Report] = {}
        self._claims: list[_Claim] = []
        self._settled: int | None = None
        """The view under which every token was found where it should be."""
        receiver.claimed = lambda token_range: any(overlap(claim.token, token_range) for claim in self._claims)

    def start(self) -> None:
        """Begin to inspect the tokens."""
        self._tick()

    def answer(self, incoming: Incoming, request: Tokens | Fetch) -> None:
        """Answer another node's question."""
        match request:
            case Tokens():
                tokens = [(*pack(t.range), t.slot) for t in [*self._core.ownership.tokens, *self._sender.in_transit]]
                view, version = self._core.membership.view, self._core.ownership.version
                holding = Holding(view, version, self._core.ownership.fresh, tokens, self._sender.numbers)
                self._core.rpc.answer(incoming, holding)
            case Fetch():
                if request.after is None and self._core.replica.unsettled(unpack(request.span)):
                    # Pages show what is durable; what the write buffer holds may be acknowledged as well.
                    self._core.buffer.flush()
                    self._core.after(FLUSHED_AFTER_S, partial(self._fetched, incoming, request))
                else:
                    self._fetched(incoming, request)

    def _fetched(self, incoming: Incoming, request: Fetch) -> None:
        states = page_of(self._core, unpack(request.span), request.after)
        self._core.rpc.answer(incoming, Fetched(states, bool(states)))

    def _tick(self) -> None:
        core = self._core
        if core.membership.standing is Standing.MEMBER and core.ring.members:
            view = core.membership.view
            self._claims = [claim for claim in self._claims if claim.view == view]
            if self._settled != view and not self._claims:
                self._ask_all()
        # At a time of its own: otherwise all nodes would ask at once.
        core.after(ASK_EVERY_S * (1 + core.rpc.jitter() / 2), self._tick)

    def _ask_all(self) -> None:
        core = self._core
        others = core.membership.others() if self._lacking() else self._neighbours()
        self._before, self._reports = self._reports, {}
        asked = self._asked_of = set(others)
        view = core.membership.view
        taking = self._receiver.numbers

        def answered(node: str, reply: Reply | None) -> None:
            if self._asked_of is not asked or not isinstance(reply, Holding):
                return
            self._receiver.forget(node, (number for number in taking if number not in reply.transfers))
            if reply.view == view == core.membership.view:
                tokens = tuple(Token(*unpack((start, end)), slot) for start, end, slot in reply.tokens)
                self._reports[node] = _Report(reply.version, reply.fresh, tokens)
                if len(self._reports) == len(asked):
                    self._judge()

        for node in others:
            core.ask(node, Tokens(), core.now + ASK_EVERY_S, partial(answered, node))
        if not others:
            self._judge()

    def _lacking(self) -> bool:
        return any(self._core.ownership.lacking(token_range) for token_range, _ in self._primary_of())

    def _primary_of(self) -> list[tuple[Range, tuple[str, ...]]]:
        """The ranges of which this node is a primary replica, each with all its primary replicas."""
        ring, name = self._core.ring, self._core.name
        found = ((ring.range(p), ring.primaries_of(p)) for p in range(ring.partitions))
        return [(token_range, primaries) for token_range, primaries in found if name in primaries]

    def _neighbours(self) -> list[str]:
        return sorted({primary for _, primaries in self._primary_of() for primary in primaries} - {self._core.name})

    def _judge(self) -> None:
        """All nodes have answered: check each range."""
        well = self._reports == self._before
        for token_range, primaries in self._primary_of():
            well = self._judge_range(token_range, primaries, self._reports == self._before) and well
        if well and not (self._sender.numbers or self._receiver.numbers or self._claims):
            self._settled = self._core.membership.view
            self._core.ownership.settle()

    def _judge_range(self, token_range: Range, primaries: tuple[str, ...], unmoved: bool) -> bool:
        """Whether every token of the range is where it should be; claim what is lost if not."""
        core = self._core
        mine = self._core.ownership.within(token_range)
        theirs = {node: _within(report.tokens, token_range) for node, report in self._reports.items()}
        for token in mine:
            for node, tokens in theirs.items():
                if any(other.slot == token.slot and overlap(token, other) for other in tokens) and node in primaries:
                    if self._yields_to(node, primaries) and unmoved:
                        core.counters["tokens_yielded"] += 1
                        self._core.ownership.drop(token.range, [], lambda: None)
                    return False
        lacking = without(token_range, mine)
        if not lacking:
            return True
        if unmoved and len(self._reports) == len(core.membership.others()) and not self._receiver.takes(lacking[0]):
            self._claim_lost(lacking[0], primaries, theirs)
        return False

    def _yields_to(self, other: str, primaries: tuple[str, ...]) -> bool:
        name = self._core.name
        own_fresh, other_fresh = self._core.ownership.fresh, self._reports[other].fresh
        if own_fresh != other_fresh:
            return own_fresh
        return primaries.index(name) > primaries.index(other)

    def _claim_lost(self, token_range: Range, primaries: tuple[str, ...], theirs: dict[str, list[Token]]) -> None:
        core = self._core
        # Up to where any node's token begins or ends: in between, the same nodes hold the same tokens.
        start = token_range[0]
        ends = [at for tokens in theirs.values() for t in tokens for at in t.range if start < at < token_range[1]]
        part = (start, min(ends, default=token_range[1]))
        holders = {node: [t.slot for t in tokens if overlap(t, part)] for node, tokens in theirs.items()}
        held = {slot for slots in holders.values() for slot in slots}
        lost = [slot for slot in range(core.ring.n) if slot not in held]
        without_one = [primary for primary in primaries if primary == core.name or not holders[primary]]
        turn = without_one.index(core.name)
        if turn >= len(lost):
            return
        core.counters["tokens_claimed"] += 1
        claim = _Claim(
            Token(*part, lost[turn]), core.membership.view, [node for node, slots in holders.items() if slots]
        )
        self._claims.append(claim)
        self._fetch(claim, None)

    def _fetch(self, claim: _Claim, after: bytes | None) -> None:
        """Fetch the next page from the first of the holders; take the token once no holder is left."""
        core = self._core
        if claim not in self._claims:
            return
        if not claim.holders:
            core.ownership.take(claim.token, [], partial(self._end, claim))
            return

        def answered(reply: Reply | None) -> None:
            if not isinstance(reply, Fetched):
                self._end(claim)
                return
            if not reply.more:
                claim.holders.pop(0)
                core.background.soon(partial(self._fetch, claim, None))
                return
            states = reply.states
            keep(core, states, lambda: core.background.soon(partial(self._fetch, claim, states[-1][0])))

        core.ask(claim.holders[0], Fetch(pack(claim.token.range), after), core.now + PATIENCE_S, answered)

    def _end(self, claim: _Claim) -> None:
        if claim in self._claims:
            self._claims.remove(claim)


def _within(tokens: tuple[Token, ...], token_range: Range) -> list[Token]:
    return [t for t in tokens if t.start < token_range[1] and token_range[0] < t.end]
