"""The clock shim, on this machine, without containers."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOUR_NS = 3600 * 10**9
# The reading by the program, between two readings of the machine's clock; both as the kernel gives them.
READ = """
import ctypes, struct, time
libc = ctypes.CDLL(None, use_errno=True)
class Spec(ctypes.Structure):
    _fields_ = [('s', ctypes.c_long), ('ns', ctypes.c_long)]
def real():
    spec = Spec()
    assert libc.syscall({number}, 0, ctypes.byref(spec)) == 0
    return spec.s * 10**9 + spec.ns
def ahead(read):
    before = real(); seen = read(); after = real()
    return seen - before, after - before
"""
CLOCK_GETTIME = {"x86_64": 228, "aarch64": 113}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "clock"
    path.write_bytes(bytes(4096))
    return path


def setting(number: int, offset_ns: int, drift: float = 0.0, anchor_ns: int = 0) -> bytes:
    return struct.pack("=QqqdQ", number, offset_ns, anchor_ns, drift, number)


def seen(page: Path) -> tuple[int, ...]:
    """By how much the last reading was ahead, in nanoseconds, and the number of the setting it was under."""
    return struct.unpack_from("=qQ", page.read_bytes(), 64)


def run(libraries: Path, page: Path, body: str) -> str:
    machine = os.uname().machine
    if machine not in CLOCK_GETTIME:
        pytest.skip(f"the number of clock_gettime on {machine} is not known here")
    script = READ.format(number=CLOCK_GETTIME[machine]) + f"page = {str(page)!r}\n" + body
    environment = {**os.environ, "LD_PRELOAD": str(libraries / "clock_shim.so"), "SPLITBRAIN_CLOCK": str(page)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@pytest.mark.parametrize("offset_ns", [0, HOUR_NS, -HOUR_NS // 6, 1])
@pytest.mark.parametrize("read", ["time.time_ns", "lambda: time.clock_gettime_ns(time.CLOCK_REALTIME)"])
def test_a_program_reads_the_clock_as_it_was_set(libraries: Path, page: Path, offset_ns: int, read: str) -> None:
    page.write_bytes(setting(3, offset_ns) + bytes(4056))
    found, took = map(int, run(libraries, page, f"print(*ahead({read}))").split())
    assert offset_ns <= found <= offset_ns + took
    assert seen(page) == (offset_ns, 3)


def test_a_jump_is_seen_by_a_program_that_runs(libraries: Path, page: Path) -> None:
    body = (
        "def put(packed):\n"
        "    with open(page, 'r+b') as file: file.write(packed)\n"
        "print(round(ahead(time.time_ns)[0] / 1e9))\n"
        f"put({setting(1, HOUR_NS)!r}); print(round(ahead(time.time_ns)[0] / 1e9))\n"
        f"put({setting(2, -HOUR_NS)!r}); print(round(ahead(time.time_ns)[0] / 1e9))\n"
    )
    assert run(libraries, page, body).split() == ["0", "3600", "-3600"]


def test_a_clock_that_drifts_gains_in_proportion_to_the_time_since_it_was_set(libraries: Path, page: Path) -> None:
    anchor_ns = time.time_ns() - HOUR_NS
    page.write_bytes(setting(1, 0, drift=0.5, anchor_ns=anchor_ns) + bytes(4056))
    body = f"before = real(); time.time_ns(); after = real(); print(before - {anchor_ns}, after - {anchor_ns})"
    before, after = map(int, run(libraries, page, body).split())
    assert before * 0.5 - 1000 <= seen(page)[0] <= after * 0.5 + 1000


def test_the_monotonic_clock_and_sleeps_stay_right(libraries: Path, page: Path) -> None:
    page.write_bytes(setting(1, HOUR_NS) + bytes(4056))
    body = (
        "import threading\n"
        "start = time.monotonic(); time.sleep(0.05); threading.Event().wait(0.05); lock = threading.Lock(); lock.acquire()\n"
        "lock.acquire(timeout=0.05); took = time.monotonic() - start; print(took >= 0.15, took < 3600)"
    )
    assert run(libraries, page, body).split() == ["True", "True"]


def test_other_programs_read_the_same_wrong_clock(libraries: Path, page: Path) -> None:
    page.write_bytes(setting(1, 365 * 24 * HOUR_NS * 10) + bytes(4056))
    body = "import subprocess; print(subprocess.run(['date', '+%Y'], capture_output=True, text=True).stdout)"
    assert int(run(libraries, page, body)) - time.gmtime().tm_year in (9, 10)


def test_without_a_page_the_clock_is_the_machine_s(libraries: Path, tmp_path: Path) -> None:
    found, took = map(int, run(libraries, tmp_path / "missing", "print(*ahead(time.time_ns))").split())
    assert 0 <= found <= took
