"""Clocks, disks and power cuts of programs in real containers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.environment import (
    ClockSetting,
    DiskCondition,
    EnvironmentFailure,
    PowerCut,
    Program,
)
from splitbrain.harness.hosts.agent.reachable import obstacle
from splitbrain.harness.hosts.ssh_machine import SshMachine, drawn_bit

DATA = "/var/lib/splitbrain/data"


def python(body: str, *, name: str = "program", **more: Any) -> Program:
    """A program on a node that runs these lines, then sleeps; `until(condition)` waits."""
    before = f"import os, sqlite3, sys, threading, time\nos.makedirs({DATA!r}, exist_ok=True); os.chdir({DATA!r})\n"
    until = "def until(condition):\n    while not condition(): time.sleep(0.01)\n"
    script = f"{before}{until}{textwrap.dedent(body)}\ntime.sleep(3600)\n"
    return Program(name, ("python3", "-u", "-c", script), data=DATA, **more)


@pytest.fixture
def machine(cluster: Any) -> Any:
    """n1, with a right clock, a working disk and an empty data folder."""
    machine = cluster.machine("n1")
    cluster.run(machine.start(python("")))
    cluster.run(machine.set_clock(ClockSetting()))
    cluster.run(machine.set_disk(DiskCondition()))
    cluster.run(machine.kill())
    cluster.run(machine.wipe())
    return machine


def said(cluster: Any, name: str, words: int) -> list[str]:
    """The last so many words of the program's log, as soon as it has that many after the mark."""
    script = (
        f"while [ $(sed -n '/^begin$/,$p' /var/log/splitbrain/{name}.log | wc -w) -le {words} ]; do sleep 0.02; done"
    )
    cluster.shell("n1", script)
    return cluster.shell("n1", f"sed -n '/^begin$/,$p' /var/log/splitbrain/{name}.log").split()[1:]


@pytest.mark.parametrize("offset_s", [3600.0, -600.0, 0.25])
def test_a_clock_that_was_set_is_read_back_through_the_program_s_own_eyes(
    cluster: Any, machine: Any, offset_s: float
) -> None:
    cluster.run(machine.start(python("until(lambda: time.time() < 0)")))
    assert cluster.run(machine.read_clock()) == 0
    cluster.run(machine.set_clock(ClockSetting(offset_s=offset_s)))
    assert cluster.run(machine.read_clock()) == offset_s
    cluster.run(machine.set_clock(ClockSetting()))
    assert cluster.run(machine.read_clock()) == 0


def test_a_program_that_starts_again_has_the_same_wrong_clock(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python("")))
    cluster.run(machine.set_clock(ClockSetting(offset_s=3600)))
    cluster.run(machine.kill())
    real = int(cluster.shell("n1", "date +%s"))
    cluster.run(machine.start(python("print('begin'); print(int(time.time()))", name="again")))
    (told,) = said(cluster, "again", 1)
    assert 3600 <= int(told) - real < 3700


def test_a_machine_on_which_nothing_ran_yet_has_a_clock_and_a_disk_too(cluster: Any) -> None:
    fresh = cluster.machine("n1")
    bare = SshMachine("n1", fresh.connection)
    cluster.shell("n1", "rm -rf /dev/shm/splitbrain")
    cluster.run(bare.set_clock(ClockSetting(offset_s=5)))
    assert cluster.run(bare.read_clock()) == 5
    cluster.run(bare.set_disk(DiskCondition()))
    assert cluster.run(bare.read_disk()).refused == 0
    assert cluster.run(bare.power_cut()) == PowerCut(0, 0)
    cluster.shell("n1", "rm -rf /dev/shm/splitbrain")


def test_a_clock_that_drifts_gains_while_it_is_watched(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python("until(lambda: time.time() < 0)")))
    cluster.run(machine.set_clock(ClockSetting(offset_s=10, drift=0.5)))
    seen = [cluster.run(machine.read_clock())]
    while len(set(seen)) < 3:
        seen.append(cluster.run(machine.read_clock()))
    assert seen == sorted(seen)
    assert 10 <= seen[0] < seen[-1] < 70


@pytest.mark.parametrize("state", ["idle", "paused", "dead"])
def test_a_program_that_reads_no_clock_is_stood_for_by_a_probe(cluster: Any, machine: Any, state: str) -> None:
    cluster.run(machine.start(python("")))
    if state == "paused":
        cluster.run(machine.pause())
    if state == "dead":
        cluster.run(machine.kill())
    cluster.run(machine.set_clock(ClockSetting(offset_s=-60)))
    assert cluster.run(machine.read_clock()) == -60


def test_a_wrong_monotonic_clock_is_refused_by_name(cluster: Any, machine: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="monotonic"):
        cluster.run(machine.set_clock(ClockSetting(monotonic_drift=0.1)))


COMMIT = """
c = sqlite3.connect('db', check_same_thread=False)
c.execute('PRAGMA journal_mode = WAL'); c.execute('PRAGMA synchronous = FULL')
c.execute('CREATE TABLE t (x)'); c.commit(); c.execute('PRAGMA synchronous = {}')
for i in range(200):
    c.execute('INSERT INTO t VALUES (?)', (i,)); c.commit()
print('begin'); print('committed')
"""
COUNT = (
    f"cd {DATA}; python3 -c \"import sqlite3; c = sqlite3.connect('db'); "
    "print(c.execute('PRAGMA integrity_check').fetchone()[0], c.execute('SELECT count(*) FROM t').fetchone()[0])\""
)


@pytest.mark.parametrize(("synchronous", "survive"), [("FULL", 200), ("OFF", 0)])
def test_a_power_cut_takes_what_sqlite_has_not_synced_and_nothing_else(
    cluster: Any, machine: Any, synchronous: str, survive: int
) -> None:
    name = f"commits-{synchronous}"
    cluster.run(machine.start(python(COMMIT.format(synchronous), name=name)))
    assert said(cluster, name, 1) == ["committed"]
    taken = cluster.run(machine.power_cut())
    assert not cluster.run(machine.running())
    assert cluster.shell("n1", COUNT) == f"ok {survive}"
    # A commit writes at least a frame of the log: a header of 24 bytes and a page of 4096.
    assert (taken.undone_bytes >= 200 * 4120) == (survive == 0)
    assert not taken.torn


def test_a_kill_takes_nothing_that_was_written(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python(COMMIT.format("OFF"), name="commits-kill")))
    assert said(cluster, "commits-kill", 1) == ["committed"]
    cluster.run(machine.kill())
    assert cluster.shell("n1", COUNT) == "ok 200"


def test_a_torn_write_is_kept_in_part(cluster: Any, machine: Any) -> None:
    body = (
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.fsync(f); os.write(f, b't' * 4096); print('begin'); print('x')"
    )
    cluster.run(machine.start(python(body, name="torn")))
    said(cluster, "torn", 1)
    assert cluster.run(machine.power_cut(torn=True)) == PowerCut(1, 2048, torn=True)
    assert cluster.shell("n1", f"stat -c %s {DATA}/f") == "2048"


def test_a_wipe_leaves_nothing_to_undo(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python("open('f', 'w').write('x' * 9); print('begin'); print('x')", name="wiped")))
    said(cluster, "wiped", 1)
    cluster.run(machine.kill())
    cluster.run(machine.wipe())
    cluster.run(machine.start(python("")))
    assert cluster.run(machine.power_cut()) == PowerCut(0, 0)


def test_a_power_cut_that_would_be_a_lie_is_refused_and_kills_nothing(cluster: Any, machine: Any) -> None:
    body = (
        "import ctypes; libc = ctypes.CDLL(None); libc.fopen.restype = ctypes.c_void_p; libc.fopen(b'f', b'w')\n"
        "print('begin'); print('x')"
    )
    cluster.run(machine.start(python(body, name="by-stdio")))
    said(cluster, "by-stdio", 1)
    try:
        with pytest.raises(EnvironmentFailure, match=r"by-stdio on n1 .*stdio.*leave power cuts out"):
            cluster.run(machine.power_cut())
        assert cluster.run(machine.running())
    finally:
        cluster.run(machine.kill())
        cluster.shell("n1", "rm /dev/shm/splitbrain/page")


def test_a_full_disk_refuses_writes_until_it_has_room_again(cluster: Any, machine: Any) -> None:
    body = """
    c = sqlite3.connect('db'); c.execute('PRAGMA journal_mode = WAL'); c.execute('CREATE TABLE t (x)'); c.commit()
    def insert():
        try:
            c.execute("INSERT INTO t VALUES (zeroblob(9000))"); c.commit(); return 'done'
        except sqlite3.Error as error:
            c.rollback(); return str(error).replace(' ', '-')
    print('begin'); print(insert())
    until(lambda: insert() != 'done'); print(insert())
    until(lambda: insert() == 'done'); print('done')
    """
    cluster.run(machine.start(python(body, name="filler")))
    assert said(cluster, "filler", 1) == ["done"]
    assert cluster.run(machine.read_disk()).free_bytes > 0
    cluster.run(machine.set_disk(DiskCondition(full=True)))
    assert said(cluster, "filler", 2)[1] == "database-or-disk-is-full"
    seen = cluster.run(machine.read_disk())
    assert (seen.free_bytes, seen.stalled) == (0, 0)
    assert seen.refused > 0
    cluster.run(machine.set_disk(DiskCondition()))
    assert said(cluster, "filler", 3)[2] == "done"
    assert cluster.run(machine.read_disk()).refused == 0


def test_a_failing_disk_refuses_syncs_and_a_stalled_one_holds_them_up(cluster: Any, machine: Any) -> None:
    body = """
    f = os.open('f', os.O_CREAT | os.O_WRONLY)
    def sync():
        try:
            os.fsync(f); return 0
        except OSError as error:
            return error.errno
    print('begin'); until(lambda: sync() == 5); print('failed'); until(lambda: sync() == 0); print('stands')
    until(lambda: sync() == 5)
    """
    cluster.run(machine.start(python(body, name="syncs")))
    cluster.run(machine.set_disk(DiskCondition(failing=True)))
    assert said(cluster, "syncs", 1) == ["failed"]
    assert cluster.run(machine.read_disk()).refused > 0
    cluster.run(machine.set_disk(DiskCondition(stall_s=3600)))
    cluster.shell("n1", "while [ $(od -An -tu8 -j 72 -N 8 /dev/shm/splitbrain/page) -eq 0 ]; do sleep 0.02; done")
    seen = cluster.run(machine.read_disk())
    assert (seen.refused, seen.stalled) == (0, 1)
    cluster.run(machine.set_disk(DiskCondition()))
    assert said(cluster, "syncs", 2) == ["failed", "stands"]


def test_a_flipped_bit_is_the_only_change(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python("")))
    with pytest.raises(EnvironmentFailure, match="kill it before the flip"):
        cluster.run(machine.flip_bit(1))
    cluster.run(machine.kill())
    assert cluster.run(machine.flip_bit(1)) == ""
    cluster.shell("n1", f"mkdir -p {DATA}/deep; head -c 5000 /dev/zero > '{DATA}/deep/a file'")
    for seed in range(5):
        name, at, bit = cluster.run(machine.flip_bit(seed)).split(", ")
        assert name == "deep/a file"
        index, number = int(at.removeprefix("byte ")), int(bit.removeprefix("bit "))
        listed = cluster.shell("n1", f"cmp -l '{DATA}/deep/a file' /dev/zero -n 5000 || true").split()
        assert listed == [str(index + 1), oct(1 << number)[2:], "0"]
        assert cluster.run(machine.flip_bit(seed)) == f"{name}, {at}, {bit}", "a second flip restores it"
    assert cluster.shell("n1", f"cmp '{DATA}/deep/a file' /dev/zero -n 5000") == ""


def test_the_bit_that_is_flipped_depends_on_the_seed_and_the_files_alone() -> None:
    listed = b"3 b\x0010 a/c\x00"
    drawn = [drawn_bit(listed, seed) for seed in range(200)]
    assert drawn == [drawn_bit(b"10 a/c\x003 b\x00", seed) for seed in range(200)]
    assert {(name, at) for name, at, bit in filter(None, drawn)} == {
        *(("b", at) for at in range(3)),
        *(("a/c", at) for at in range(10)),
    }
    assert {bit for _, _, bit in filter(None, drawn)} == set(range(8))
    assert drawn_bit(b"", 1) is None


def test_a_size_that_is_none_is_the_machine_s_failure() -> None:
    with pytest.raises(EnvironmentFailure, match="bytes"):
        drawn_bit(b"many x\x00", 1)


def test_a_terminated_program_may_end_in_its_own_way(cluster: Any, machine: Any) -> None:
    body = (
        "import signal\n"
        "def end(*_): print('ended', flush=True); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('begin', flush=True)"
    )
    cluster.run(machine.start(python(body, name="ender")))
    cluster.run(machine.terminate())
    assert said(cluster, "ender", 1) == ["ended"]
    cluster.run(machine.terminate())


def test_a_program_may_ignore_a_sigterm(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(python("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)")))
    cluster.run(machine.terminate())
    assert cluster.run(machine.running())


def test_a_static_binary_is_refused_before_the_start(cluster: Any, machine: Any) -> None:
    with pytest.raises(EnvironmentFailure, match=r"n1: /sbin/ldconfig is a static binary.*preload=False"):
        cluster.run(machine.start(Program("static", ("/sbin/ldconfig", "-v"))))
    assert "static.log" not in cluster.run(machine.logs())


def test_a_program_that_drops_its_environment_is_refused(cluster: Any, machine: Any) -> None:
    bare = Program("bare", ("env", "-i", "/usr/bin/python3", "-c", "import time; time.sleep(3600)"))
    with pytest.raises(EnvironmentFailure, match=r"bare did not start on n1: libraries can't be preloaded"):
        cluster.run(machine.start(bare))
    assert not cluster.run(machine.running())


def test_a_program_without_shims_runs_and_its_faults_are_refused_by_name(cluster: Any, machine: Any) -> None:
    bare = Program("bare", ("env", "-i", "/usr/bin/sleep", "3600"), data=DATA, preload=False)
    everything = cluster.environment.abilities
    cluster.run(machine.start(bare))
    assert everything - cluster.environment.abilities == {
        *("clock", "power-cut", "torn-write", "full-disk", "failing-disk", "stalled-disk")
    }
    for fault in (
        machine.set_clock(ClockSetting(offset_s=1)),
        machine.read_clock(),
        machine.set_disk(DiskCondition(full=True)),
        machine.read_disk(),
        machine.power_cut(),
    ):
        with pytest.raises(EnvironmentFailure, match=r"nothing is preloaded into bare on n1 .*leave that fault out"):
            cluster.run(fault)
    assert cluster.run(machine.running())


def test_a_disk_without_a_data_folder_is_refused_by_name(cluster: Any, machine: Any) -> None:
    cluster.run(machine.start(Program("stateless", ("sleep", "3600"))))
    with pytest.raises(EnvironmentFailure, match=r"stateless on n1 names no data folder"):
        cluster.run(machine.power_cut())
    cluster.run(machine.set_clock(ClockSetting(offset_s=1)))
    assert cluster.run(machine.read_clock()) == 1


def test_a_script_is_as_reachable_as_its_interpreter(tmp_path: Path) -> None:
    go = tmp_path / "go"
    content = Path(sys.executable).resolve().read_bytes()
    go.write_bytes(content + b"\xff Go buildinf:")
    script, wrapper = tmp_path / "script", tmp_path / "wrapper"
    script.write_text(f"#!{go} -x\n")
    wrapper.write_text(f"#!/usr/bin/env {sys.executable}\n")
    for path in (go, script, wrapper):
        path.chmod(0o755)
    assert obstacle(str(script)) == f"{go} is written in Go, and asks the kernel without libc"
    assert obstacle(str(wrapper)) == ""
    assert obstacle("sh") == ""
    assert obstacle("no-such-command") == ""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")
def test_a_static_binary_has_no_loader(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("void _start(void) { for (;;) ; }\n")
    for name, flags in (("static", ["-static"]), ("static-pie", ["-static-pie"])):
        command = ["cc", "-nostdlib", *flags, "-o", tmp_path / name, tmp_path / "main.c"]
        subprocess.run(command, check=True, capture_output=True)
        assert obstacle(str(tmp_path / name)) == f"{tmp_path / name} is a static binary"
