"""The engine of a simulated node: a simulated disk, and a checksum for each record.

It is to a simulated disk what `SqliteEngine` is to a real one. A record that does not match its checksum is reported:
`get` raises DamagedRecord, `scan` passes it over.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

from splitbrain.harness.simulation.disk import Done, Failed
from splitbrain.harness.simulation.simulated_machine import MachineDisk
from splitbrain.store.actions import Record
from splitbrain.store.storage.engine import DamagedRecord

CHECKSUM_BYTES = 4


class CheckedDisk:
    """Implements `store.actions.Reader`. on_damage: called with every damaged record that is met."""

    def __init__(self, disk: MachineDisk, on_damage: Callable[[DamagedRecord], None]) -> None:
        self._disk = disk
        self._on_damage = on_damage

    def get(self, space: str, key: bytes) -> bytes | None:
        stored = self._disk.get(space, key)
        if stored is None:
            return None
        value = stored[CHECKSUM_BYTES:]
        if stored[:CHECKSUM_BYTES] != _checksum(space, key, value):
            damage = DamagedRecord(space, key)
            self._on_damage(damage)
            raise damage
        return value

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Records by key; damaged ones are passed over."""
        for key, stored in self._disk.scan(space, start, end):
            value = stored[CHECKSUM_BYTES:]
            if stored[:CHECKSUM_BYTES] == _checksum(space, key, value):
                yield key, value
            else:
                self._on_damage(DamagedRecord(space, key))

    def commit(self, records: Sequence[Record], done: Done, failed: Failed) -> None:
        """Make the records durable as a whole: see `SimulatedDisk.commit`."""
        self._disk.commit([_with_checksum(*record) for record in records], done, failed)


def _with_checksum(space: str, key: bytes, value: bytes | None) -> tuple[str, bytes, bytes | None]:
    return space, key, None if value is None else _checksum(space, key, value) + value


def _checksum(space: str, key: bytes, value: bytes) -> bytes:
    # Over the key too: a record that appears under another's key must not pass.
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(space.encode()))).to_bytes(CHECKSUM_BYTES, "big")
