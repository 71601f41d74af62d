"""Limits: the size of keys and values, and the time that large values are granted on their way."""

from __future__ import annotations

from splitbrain.store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX
from splitbrain.store.errors import StoreError

SLOWEST_BYTES_PER_S = 1_000_000
"""A path or a node that takes in less than this is too slow for large values."""
ALIVE_S = 1.0
"""How long a node that was heard of may be silent. It answers by then, if only with a failure
(`config.request_timeout_s`); to give its large values to others as well would add to what made it slow."""
KEY_RULE = f"give a key of 1 to {KEY_BYTES_MAX} bytes"


def is_key(key: bytes) -> bool:
    """Whether the bytes may be a key."""
    return 1 <= len(key) <= KEY_BYTES_MAX


def check_key(key: bytes) -> None:
    """Check a key. Raises StoreError `bad_key` for one that is empty, oversized, or no bytes."""
    if not isinstance(key, bytes):
        raise StoreError("bad_key", f"the key {key!r:.80} is no bytes; {KEY_RULE}")
    if not is_key(key):
        raise StoreError("bad_key", f"the key has {len(key)} bytes; {KEY_RULE}")


def check_value(value: bytes) -> None:
    """Check a value. Raises StoreError `too_large` for one over the limit, `bad_request` for what is no bytes."""
    if not isinstance(value, bytes):
        raise StoreError("bad_request", f"the value {value!r:.80} is no bytes; encode it, or give a resolver that does")
    if len(value) > VALUE_BYTES_MAX:
        text = f"the value has {len(value)} bytes, the limit is {VALUE_BYTES_MAX}; split it over several keys"
        raise StoreError("too_large", text)


def check_timeout(timeout_s: float) -> None:
    """Check how long a call may take. Raises StoreError `bad_request` if it is no positive number of seconds."""
    if not timeout_s > 0:
        raise StoreError("bad_request", f"timeout_s={timeout_s}: give a number of seconds above 0, or leave it out")


def transfer_s(value: bytes | None) -> float:
    """How much longer than a small one a put of that value may take, from one node to the next."""
    return len(value or b"") / SLOWEST_BYTES_PER_S


def silent_at(asked_at: float, heard_at: float, patience_s: float, value: bytes | None) -> float:
    """When a node that was asked counts as silent, and another is asked as well. Monotonic seconds.

    heard_at: when it last took in some of the request, or sent some of the answer. A dead one is so found out by the
    first fragments of a large value; one that took all of it in is given `ALIVE_S`, and as long again to hand it on.
    """
    return max(asked_at + patience_s, heard_at + max(patience_s, ALIVE_S) + transfer_s(value))
