"""A store that takes no write any more, from some moment on and for ever, is found out after the last heal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from splitbrain.harness.environment import Environment
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.dynamo.store_system import Dynamo, DynamoConnection


class Muted(DynamoConnection):
    """Refuses puts while it is mute."""

    since_s, until_s = 0.0, 0.0

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> bytes:
        # The probe of the recovery is served: only what users write is refused.
        if self.since_s <= asyncio.get_running_loop().time() < self.until_s and not key.startswith(b"splitbrain/"):
            raise OperationFailed("mute", "no write is taken any more", definite=True)
        return await super().put(key, value, context)


@dataclass(frozen=True)
class Mute(Dynamo):
    """The store, which is mute from some moment to another."""

    since_s: float = 10.5
    until_s: float = 1e9

    async def connect(self, environment: Environment, node: str) -> Muted:
        inner = await super().connect(environment, node)
        connection = Muted(inner.client, inner.writer)
        connection.since_s, connection.until_s = self.since_s, self.until_s
        return connection


FOR_EVER = Mute()
FOR_TWENTY_SECONDS = Mute(until_s=30.5)


def ran(tmp_path: Path, system: str, faults: tuple[str, ...] = ("partition",)) -> Result:
    place = f"{Path(__file__)}:{system}"
    return run(Experiment("registers", system=place, faults=faults, seed=3, time_limit_s=20), out=tmp_path)


@pytest.mark.parametrize("faults", [("partition",), ("kill", "pause")])
def test_a_store_that_takes_no_write_after_half_the_time_for_ever_did_not_recover(
    tmp_path: Path, faults: tuple[str, ...]
) -> None:
    result = ran(tmp_path, "FOR_EVER", faults)
    assert result.status == "invalid"
    assert "evidence: the system did not recover: no write succeeded within 30 s after the heal at" in result.reason


def test_a_store_that_takes_writes_again_within_thirty_seconds_of_the_last_heal_recovered(tmp_path: Path) -> None:
    assert ran(tmp_path, "FOR_TWENTY_SECONDS").status == "valid"
