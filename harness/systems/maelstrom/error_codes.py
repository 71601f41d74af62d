"""Error codes: what a node may answer instead of what was asked for, and whether that is definite.

1. A definite error says that the operation certainly did not happen, and never will: `fail` in the history. Any other
   leaves its outcome indeterminate: `info`.
2. A code that is not in the table is a program's own. Whether it is definite is unknown, so it is not.

Source: the table of errors in Maelstrom's protocol document (doc/protocol.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 0
NODE_NOT_FOUND = 1
NOT_SUPPORTED = 10
MALFORMED_REQUEST = 12
KEY_DOES_NOT_EXIST = 20
PRECONDITION_FAILED = 22


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One kind of error. definite: see rule 1."""

    name: str
    definite: bool


ERROR_CODES: Mapping[int, ErrorCode] = {
    TIMEOUT: ErrorCode("timeout", definite=False),
    NODE_NOT_FOUND: ErrorCode("node-not-found", definite=True),
    NOT_SUPPORTED: ErrorCode("not-supported", definite=True),
    11: ErrorCode("temporarily-unavailable", definite=True),
    MALFORMED_REQUEST: ErrorCode("malformed-request", definite=True),
    13: ErrorCode("crash", definite=False),
    14: ErrorCode("abort", definite=True),
    KEY_DOES_NOT_EXIST: ErrorCode("key-does-not-exist", definite=True),
    21: ErrorCode("key-already-exists", definite=True),
    PRECONDITION_FAILED: ErrorCode("precondition-failed", definite=True),
    30: ErrorCode("txn-conflict", definite=True),
}
"""By number."""


def meaning(code: int) -> ErrorCode:
    """What a code means; rule 2 for one that is not in the table.

    >>> meaning(11).definite, meaning(1000)
    (True, ErrorCode(name='error-1000', definite=False))
    """
    return ERROR_CODES.get(code) or ErrorCode(f"error-{code}", definite=False)
