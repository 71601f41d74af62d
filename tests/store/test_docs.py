"""docs/store.md explains every error, every field of the status, and every counter there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from splitbrain.store.errors import REGISTRY
from tests.store.box import Box

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "store.md").read_text()
NAMED = set(re.findall(r"`([^`]+)`", TEXT))
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "store").rglob("*.py")))


def test_every_error_is_explained():
    assert [code for code in REGISTRY if code not in NAMED] == []


def test_every_counter_is_explained():
    counters = set(re.findall(r"counters\[\"(\w+)\"\] \+= ", SOURCE)) | set(re.findall(r'Refused\("(\w+)"\)', SOURCE))
    assert len(counters) > 20
    assert sorted(counters - NAMED) == []


@pytest.fixture(scope="module")
def status():
    box = Box(4)
    client = box.client()
    client.put(b"k", b"v")
    client.get(b"k")
    return box.hosts["n1"].node.status()


def test_every_field_of_the_status_is_explained(status):
    told = {part for name in NAMED for part in re.split(r"[.*]+", name)}
    fields = set(status)
    for part, inner in status.items():
        if isinstance(inner, dict) and part not in ("config", "counters", "hints"):
            fields |= set(inner) - {"n1", "n2", "n3", "n4"}
    fields |= set(status["peers"]["n2"])
    assert sorted(fields - told - {"nodes"}) == []


def test_what_the_shell_adds_to_the_status_is_explained():
    assert {"kernel_drops", "damaged_records"} <= NAMED
