from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from splitbrain.harness.hosts.containers.watch import Place, missing

PLACE = Place("n3", "c0ffee", "2026-01-01T00:00:00.1Z", "splitbrain-1", "172.20.0.4")


def said(networks: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """What the engine says of the container of n3, whole but for the changes."""
    whole = {"Running": True, "Paused": False, "StartedAt": PLACE.started, "ExitCode": 0, "OOMKilled": False}
    joined = {PLACE.network: {"IPAddress": PLACE.address}} if networks is None else networks
    return {"State": {**whole, **state}, "NetworkSettings": {"Networks": joined}}


def test_a_container_that_runs_as_it_was_started_lacks_nothing() -> None:
    assert missing(PLACE, said()) is None


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (said(Running=False, ExitCode=137), "container n3 was stopped from outside (status 137)"),
        (said(Running=False, ExitCode=137, OOMKilled=True), "stopped from outside (status 137, out of memory)"),
        (said(StartedAt="2026-01-01T00:00:09Z"), "container n3 was restarted from outside"),
        (said(Paused=True), "container n3 was paused from outside"),
        (said({}), "n3 is no longer on the network"),
        (said({PLACE.network: {"IPAddress": "172.20.0.9"}}), "n3 has another address than before"),
    ],
)
def test_whatever_is_done_to_a_container_from_outside_is_reported_by_name(
    attributes: dict[str, Any], told: str
) -> None:
    assert told in (missing(PLACE, attributes) or "")


def test_a_container_that_ends_with_its_program_may_end_or_be_paused_and_nothing_else() -> None:
    mortal = replace(PLACE, mortal=True)
    assert missing(mortal, said({}, Running=False, ExitCode=137)) is None
    assert missing(mortal, said(Paused=True)) is None
    assert missing(mortal, said(StartedAt="2026-01-01T00:00:09Z")) == "container n3 was restarted from outside"


def test_a_sidecar_has_no_network_of_its_own_to_lose() -> None:
    sidecar = replace(PLACE, network="", address="")
    assert missing(sidecar, said({})) is None
    assert missing(sidecar, said({}, Running=False, ExitCode=1)) == (
        "container n3's sidecar was stopped from outside (status 1)"
    )
