"""Engines: what is committed is there, whole, and what is damaged is not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.actions import Record
from splitbrain.store.storage.engine import DamagedRecord, EngineError, MemoryEngine, SqliteEngine


@pytest.fixture(params=["memory", "sqlite"])
def engine(request, tmp_path):
    made = MemoryEngine() if request.param == "memory" else SqliteEngine(tmp_path / "data")
    yield made
    made.close()


records = st.builds(
    Record, st.sampled_from(["data", "hints"]), st.binary(min_size=1, max_size=3), st.none() | st.binary(max_size=9)
)


def contents(engine):
    return {(space, key): value for space in ("data", "hints") for key, value in engine.scan(space)}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(records, max_size=6), max_size=6))
def test_both_engines_hold_what_a_dictionary_would(tmp_path_factory, commits):
    engines = [MemoryEngine(), SqliteEngine(tmp_path_factory.mktemp("engine"))]
    expected = {}
    for commit in commits:
        for space, key, value in commit:
            expected.pop((space, key), None)
            if value is not None:
                expected[space, key] = value
        for each in engines:
            each.commit(commit)
    for each in engines:
        assert contents(each) == expected
        assert all(each.get(*place) == value for place, value in expected.items())
        assert each.get("data", b"absent") is None
        each.close()


def test_a_scan_is_in_the_order_of_keys(engine):
    engine.commit([Record("data", key, b"") for key in (b"b", b"a", b"\xff", b"\0")])
    assert [key for key, _ in engine.scan("data")] == [b"\0", b"a", b"b", b"\xff"]


bounds = st.binary(max_size=2)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(max_size=2), max_size=200), bounds, bounds | st.none()
)
def test_a_scan_is_of_the_keys_from_its_start_up_to_and_without_its_end(tmp_path_factory, known, start, end):
    for each in (MemoryEngine(), SqliteEngine(tmp_path_factory.mktemp("engine"))):
        each.commit([Record("data", key, value) for key, value in known.items()])
        wanted = sorted((key, value) for key, value in known.items() if key >= start and (end is None or key < end))
        assert list(each.scan("data", start, end)) == wanted
        each.close()


class Compared(bytes):
    """A key that counts how often it is compared."""

    times = 0

    def __lt__(self, other):
        Compared.times += 1
        return bytes.__lt__(self, other)


def test_a_slice_of_a_scan_costs_what_it_takes_and_not_what_there_is():
    engine = MemoryEngine()
    engine.commit([Record("data", Compared(b"%06d" % i), b"") for i in range(20_000)])
    Compared.times = 0
    assert [key for key, _ in islice(engine.scan("data", Compared(b"010000")), 3)] == [b"010000", b"010001", b"010002"]
    assert Compared.times < 100


def test_an_abandoned_scan_delays_no_checkpoint(tmp_path):
    engine = SqliteEngine(tmp_path)
    engine.commit([Record("data", b"%d" % i, b"") for i in range(100)])
    scan = engine.scan("data")
    next(scan)
    engine.commit([Record("data", b"new", b"")])
    checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
    engine._writer.execute("PRAGMA busy_timeout = 0")
    assert engine._writer.execute(checkpoint).fetchone()[0] == 1, "busy"
    del scan
    assert engine._writer.execute(checkpoint).fetchone()[0] == 0
    engine.close()


def test_a_scan_of_memory_goes_on_while_another_thread_commits():
    engine = MemoryEngine()
    engine.commit([Record("data", b"a%04d" % i, b"") for i in range(0, 2000, 2)])
    writer = threading.Thread(
        target=lambda: [
            engine.commit([Record("data", b"a%04d" % i, b""), Record("data", b"b%04d" % i, b"")])
            for i in range(1, 2000, 2)
        ]
    )
    writer.start()
    while writer.is_alive():
        keys = [key for key, _ in engine.scan("data", b"a", b"b")]
        assert keys == sorted(set(keys))
        assert {b"a%04d" % i for i in range(0, 2000, 2)} <= set(keys)
    writer.join()
    assert len(list(engine.scan("data"))) == 3000


def test_what_was_committed_is_there_after_reopening(tmp_path):
    first = SqliteEngine(tmp_path)
    first.commit([Record("data", b"k", b"v")])
    first.close()
    second = SqliteEngine(tmp_path)
    assert second.get("data", b"k") == b"v"
    second.close()


def test_a_commit_waits_for_the_disk_and_not_for_the_operating_system_only(tmp_path):
    engine = SqliteEngine(tmp_path)
    assert engine._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert engine._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    engine.close()


def test_what_was_committed_survives_the_death_of_the_process(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from splitbrain.store.storage.engine import *\n"
        "e = SqliteEngine(Path(sys.argv[1]))\n"
        "e.commit([Record('data', b'k', b'v')])\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60)
    engine = SqliteEngine(tmp_path)
    assert engine.get("data", b"k") == b"v"
    engine.close()


def test_reads_go_on_while_another_thread_commits(tmp_path):
    engine = SqliteEngine(tmp_path)
    writer = threading.Thread(
        target=lambda: [
            engine.commit([Record("data", b"k", b"%d" % i), Record("data", b"l", b"%d" % i)]) for i in range(100)
        ]
    )
    writer.start()
    while writer.is_alive():
        seen = dict(engine.scan("data"))
        assert len(set(seen.values())) <= 1, "half a commit"
    writer.join()
    assert engine.get("data", b"k") == b"99"
    engine.close()


def damage(folder, change):
    database = sqlite3.connect(folder / "store.sqlite")
    database.execute(change)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET value = x'00' WHERE key = x'6b'",
        "UPDATE records SET checksum = checksum + 1 WHERE key = x'6b'",
        "UPDATE records SET value = (SELECT value FROM records WHERE key = x'6c'), checksum ="
        " (SELECT checksum FROM records WHERE key = x'6c') WHERE key = x'6b'",
    ],
)
def test_a_damaged_record_is_reported_and_passed_over_in_scans(tmp_path, change):
    engine = SqliteEngine(tmp_path)
    engine.commit([Record("data", b"k", b"v"), Record("data", b"l", b"w")])
    damage(tmp_path, change)
    with pytest.raises(DamagedRecord):
        engine.get("data", b"k")
    assert dict(engine.scan("data")) == {b"l": b"w"}
    engine.close()


def test_a_file_that_is_no_database_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(EngineError, match="move it away"):
        SqliteEngine(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="check the path"):
        SqliteEngine(tmp_path / "file" / "data")


def test_two_nodes_cannot_share_a_folder(tmp_path):
    first = SqliteEngine(tmp_path)
    with pytest.raises(EngineError, match="another process runs on"):
        SqliteEngine(tmp_path)
    first.close()
    SqliteEngine(tmp_path).close()


def test_a_commit_that_fails_says_so_and_stores_nothing(tmp_path):
    engine = SqliteEngine(tmp_path)
    engine._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(EngineError, match="can't write"):
        engine.commit([Record("data", b"k", b"v")])
    assert engine.get("data", b"k") is None
    engine.close()
