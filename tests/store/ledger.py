"""What clients did to a cluster in a box, and what must therefore still be there.

1. A write is a value that no other write has. What it had seen is what its client was told: the values of the get, or
   the past of the put, that gave its context.
2. An acknowledged write is lost if at the end it is neither there nor replaced, directly or through others, by a write
   that had seen it. (Whatever a delete had seen may be gone: tombstones show in no get.)
3. A get hides a write that was acknowledged before the get began, if the write is neither among what the get returned nor
   replaced by any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from splitbrain.store.wire.client_messages import Get, Put, Stored, Values
from tests.store.box import Box, Call, Caller


@dataclass
class Write:
    seen: frozenset[bytes]
    acknowledged: bool = False


@dataclass
class Ledger:
    """All writes of a run by key and value, and what deletes had seen."""

    box: Box
    writes: dict[tuple[bytes, bytes], Write] = field(default_factory=dict)
    deleted: dict[bytes, set[bytes]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """What gets did not show and should have, as sentences."""

    def session(self, *via: str) -> Session:
        return Session(self, self.box.client(*via))

    def finish(self) -> None:
        """Wait for all that is under way."""
        self.box.run_until(lambda: all(call.done for call in self.calls), 10.0)

    def check(self, key: bytes) -> None:
        """Fails if an acknowledged write of the key is lost, or a value turned up that nobody wrote."""
        live = {value for primary in self.box.ring.primaries(key) for value in self.box.values(primary, key)}
        there = {value for k, value in self.writes if k == key}
        assert live <= there
        lost = self.acknowledged(key) - self.past(key, [*live, *self.deleted.get(key, ())])
        assert not lost, f"acknowledged writes lost: {sorted(lost)} of {key!r} (seed {self.box.seed})"

    def acknowledged(self, key: bytes) -> set[bytes]:
        return {v for (k, v), write in self.writes.items() if k == key and write.acknowledged}

    def past(self, key: bytes, values: list[bytes]) -> set[bytes]:
        """The values, and all that their writers had seen, directly or through others."""
        past, todo = set(), list(values)
        while todo:
            value = todo.pop()
            if value not in past:
                past.add(value)
                todo += self.writes[key, value].seen
        return past


@dataclass
class Session:
    """One client. It remembers the last context of each key, and which writes that stands for."""

    ledger: Ledger
    caller: Caller
    contexts: dict[bytes, tuple[bytes, frozenset[bytes]]] = field(default_factory=dict)

    def get(self, key: bytes) -> Call:
        ledger = self.ledger
        owed = ledger.acknowledged(key)
        began = ledger.box.now

        def answered(reply: object) -> None:
            if isinstance(reply, Values):
                hidden = owed - ledger.past(key, [*reply.values, *ledger.deleted.get(key, ())])
                if hidden:
                    ledger.hidden.append(f"{sorted(hidden)} of {key!r} in a get at {began} (seed {ledger.box.seed})")
                self.contexts[key] = (reply.context, frozenset(reply.values))

        return self._begin(Get(key), answered)

    def put(self, key: bytes, value: bytes, *, blind: bool = False) -> Call:
        context, seen = (None, frozenset()) if blind else self.contexts.get(key, (None, frozenset()))
        write = self.ledger.writes[key, value] = Write(seen)

        def answered(reply: object) -> None:
            if isinstance(reply, Stored):
                write.acknowledged = True
                self.contexts[key] = (reply.context, seen | {value})

        return self._begin(Put(key, value, context), answered)

    def delete(self, key: bytes) -> Call | None:
        if key not in self.contexts:
            return None
        context, seen = self.contexts[key]
        self.ledger.deleted.setdefault(key, set()).update(seen)
        return self._begin(Put(key, None, context), lambda reply: None)

    def _begin(self, request: Get | Put, answered) -> Call:
        call = Call()

        def on_reply(reply):
            call(reply)
            answered(reply)

        box, caller = self.caller.box, self.caller
        self.ledger.calls.append(call)
        box.send_all(caller.address, caller.core.request(request, box.instant(), on_reply))
        return call
