"""What a program finds in the standard library: its machine's clocks and randomness, and refusals by name."""

from __future__ import annotations

import asyncio
import builtins
import datetime
import logging
import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from random import randint
from random import random as drawn
from time import time as clock

import pytest

from splitbrain.harness.environment import ClockSetting
from splitbrain.harness.simulation.programs import NotSimulatedError
from splitbrain.harness.simulation.simulated_machine import EPOCH_NS
from tests.harness.simulation.programs.bench import Bench, on_machines

EPOCH_S = EPOCH_NS / 1e9


async def tells_the_time() -> None:
    await asyncio.sleep(100)
    print(time.time(), clock(), time.time_ns() / 1e9, datetime.datetime.now(datetime.UTC).timestamp())
    print(time.monotonic(), time.perf_counter(), time.monotonic_ns() / 1e9, asyncio.get_running_loop().time())
    print(time.strftime("%Y-%m-%d", time.gmtime()), datetime.datetime.utcnow().date())


@pytest.mark.parametrize("ahead_s", [0, -3600, 86_400])
def test_clocks_are_the_machine_s_and_its_skew_is_seen_in_the_calendar_alone(ahead_s: int) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine("n1").set_clock(ClockSetting(offset_s=ahead_s))
        await bench.start("n1", tells_the_time)
        await asyncio.sleep(101)
        calendar, monotonic, days, _ = await bench.log("n1")
        assert [float(each) for each in calendar.split()] == pytest.approx([EPOCH_S + 100 + ahead_s] * 4, abs=0.001)
        assert [float(each) for each in monotonic.split()] == pytest.approx([100] * 4, abs=0.001)
        # 1,700,000,000 s after 1970 is 2023-11-14, 22:13:20.
        assert set(days.split()) == {"2023-11-15" if ahead_s == 86_400 else "2023-11-14"}

    on_machines(scenario)


async def draws() -> None:
    print(random.random(), drawn(), randint(1, 10**9), random.choice(range(10**9)), random.Random().random())
    print(os.urandom(8).hex(), secrets.token_hex(8), uuid.uuid4(), random.SystemRandom().random())
    print(uuid.uuid1(), os.getpid(), socket.gethostname())


def drawn_by(*nodes: str, seed: int) -> list[list[str]]:
    async def scenario(bench: Bench) -> list[list[str]]:
        for node in nodes:
            await bench.start(node, draws)
        await asyncio.sleep(1)
        return [await bench.log(node) for node in nodes]

    found: list[list[str]] = on_machines(scenario, seed=seed)
    return found


def test_randomness_comes_from_the_seed_and_differs_by_node_and_seed() -> None:
    first, other = drawn_by("n1", "n2", seed=1)
    assert drawn_by("n1", "n2", seed=1) == [first, other]
    later = drawn_by("n1", seed=2)[0]
    values = [set(" ".join(log[:3]).split()) for log in (first, other, later)]
    assert all(len(each) == 12 for each in values)
    assert len(values[0] | values[1] | values[2]) == 35  # n1's name is in two of them


def test_a_restart_draws_anew() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(2):
            await bench.start("n1", draws)
            await asyncio.sleep(1)
        one, two, end, *again = await bench.log("n1")
        assert one != again[0]
        assert two != again[1]

    on_machines(scenario)


def test_elsewhere_the_functions_are_the_real_ones_during_a_run_and_after_it() -> None:
    names = [(time, "time"), (os, "urandom"), (random, "random"), (builtins, "print"), (datetime, "datetime")]
    names += [
        (builtins, "open"),
        (socket.socket, "__init__"),
        (threading.Thread, "start"),
        (logging.Logger, "callHandlers"),
    ]
    before = [vars(owner)[name] for owner, name in names]
    bound = clock, drawn, randint

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", tells_the_time)
        await asyncio.sleep(1)
        assert time.time is not before[0], "nothing was replaced: the test shows nothing"
        seen: list[float] = []
        thread = threading.Thread(target=lambda: seen.append(clock()))
        thread.start()
        thread.join()
        assert seen[0] > EPOCH_S + 10**6
        assert isinstance(datetime.datetime(2020, 1, 1), datetime.datetime)
        assert type(datetime.datetime.now()) is before[4]
        assert issubclass(before[4], datetime.datetime)

    on_machines(scenario)
    assert [vars(owner)[name] for owner, name in names] == before
    assert (clock, drawn, randint) == bound
    assert "__hash__" not in vars(asyncio.BaseProtocol)


async def in_a_thread() -> None:
    await asyncio.to_thread(print, "thread")


async def in_an_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def over_tls() -> None:
    await asyncio.open_connection("n2", 443, ssl=True)


async def on_a_real_socket() -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", 9))


async def in_a_real_thread() -> None:
    threading.Thread(target=print).start()


async def in_a_subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


async def in_a_shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def on_a_unix_socket() -> None:
    await asyncio.open_unix_connection("/tmp/none")


async def from_a_descriptor() -> None:
    asyncio.get_running_loop().add_reader(0, print)


REFUSALS = [
    (in_a_thread, r"loop.run_in_executor\(\): threads can't be simulated; await a coroutine instead"),
    (in_an_executor, r"loop.run_in_executor\(\): threads can't"),
    (in_a_real_thread, r"Thread.start\(\): threads can't"),
    (in_a_subprocess, r"loop.subprocess_exec\(\): subprocesses can't be simulated; make each process a program"),
    (in_a_shell, r"loop.subprocess_shell\(\): subprocesses"),
    (on_a_unix_socket, r"loop.create_unix_connection\(\): Unix sockets"),
    (over_tls, r"create_connection\(ssl=...\): TLS can't be simulated; leave ssl unset"),
    (on_a_real_socket, r"socket.socket\(\): real sockets can't be simulated; use asyncio's streams"),
    (from_a_descriptor, r"loop.add_reader\(\): real sockets"),
    (lambda: subprocess.run(["true"]), r"subprocess.Popen\(\): subprocesses"),
    (lambda: os.system("true"), r"os.system\(\): subprocesses"),
    (lambda: os.fork(), r"os.fork\(\): subprocesses"),
    (lambda: os.kill(1, 0), r"os.kill\(\): signals to processes can't be simulated; faults of the run"),
    (
        lambda: signal.signal(signal.SIGTERM, print),
        r"signal.signal\(\): signal handlers .*; use loop.add_signal_handler",
    ),
    (lambda: time.sleep(1), r"time.sleep\(\): blocking sleep .* use await asyncio.sleep"),
    (lambda: sqlite3.connect("/tmp/none.db"), r"sqlite3.connect\('/tmp/none.db'\): files of SQLite"),
    (lambda: os.open("/tmp/none", os.O_CREAT), r"os.open\('/tmp/none'\): files by descriptor"),
]


@pytest.mark.parametrize(("asks", "refusal"), REFUSALS)
def test_what_can_t_be_simulated_is_refused_by_name_with_a_remedy_in_error_and_log(asks, refusal) -> None:
    async def program() -> None:
        with pytest.raises(NotSimulatedError, match=refusal):
            asked = asks()
            if asked is not None:
                await asked
        print("went on")

    async def scenario(bench: Bench) -> list[str]:
        await bench.start("n1", program)
        await asyncio.sleep(1)
        return await bench.log("n1")

    log = on_machines(scenario)
    assert log[-2:] == ["went on", "exited"], log
    assert any("can't be simulated; " in line for line in log) or asks is over_tls


def test_a_signal_handler_of_the_loop_is_taken_for_programs_that_set_one() -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, print, "never")
        loop.remove_signal_handler(signal.SIGTERM)
        print("served")

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", program)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["served", "exited"]

    on_machines(scenario)


def test_records_of_logging_are_in_the_process_s_log_and_nowhere_else(caplog) -> None:
    async def program() -> None:
        logging.getLogger("some.library").warning("from %s", "n1")
        logging.getLogger("some.library").debug("not so loud")
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger = logging.getLogger("some.other")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.info("formatted")
        logger.removeHandler(handler)
        print("at", object())

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", program)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["from n1", "INFO formatted", "at <object object at 0x...>", "exited"]

    on_machines(scenario)
    assert caplog.records == []
