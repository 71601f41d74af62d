"""Errors: one registry, which says of each whether the outcome is known.

    StoreError
    ├── definite: it certainly did not happen
    │   busy, bad_context, bad_key, bad_request, cannot_connect, disk_full, not_member, too_large
    └── indeterminate: it may have happened, or may still happen
        timeout, quorum_failed

1. A definite error was raised before anything was stored or sent to a replica.
2. An answer that came too late or from too few replicas is indeterminate: a write that missed its quorum is still on
   the replicas it reached, and will spread.
3. A message names the cause, then the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error. definite: the operation certainly did not happen."""

    code: str
    definite: bool
    meaning: str


REGISTRY: dict[str, ErrorKind] = {
    kind.code: kind
    for kind in (
        ErrorKind("busy", True, "the node has as much under way as it takes"),
        ErrorKind("bad_context", True, "the context is forged, damaged, or another key's"),
        ErrorKind("bad_key", True, "the key is empty or too long"),
        ErrorKind("bad_request", True, "the request asks for what the cluster can't do"),
        ErrorKind("cannot_connect", True, "the client could not set out: its key file, a node's name, its socket"),
        ErrorKind("disk_full", True, "the node's disk has no room"),
        ErrorKind("not_member", True, "the node is not in the ring"),
        ErrorKind("too_large", True, "the value is over the limit"),
        ErrorKind("timeout", False, "no answer came in time"),
        ErrorKind("quorum_failed", False, "too few replicas answered in time"),
    )
}


class StoreError(Exception):
    """A request that did not succeed. `definite` says whether it certainly did not happen."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        # A newer peer may send codes that this version does not know: the outcome is indeterminate.
        self.kind = REGISTRY.get(code) or ErrorKind(code, False, "unknown to this version")
        self.message = message

    @property
    def code(self) -> str:
        return self.kind.code

    @property
    def definite(self) -> bool:
        return self.kind.definite
