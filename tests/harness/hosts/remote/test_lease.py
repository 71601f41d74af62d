from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from splitbrain.harness.environment import ClockSetting, Conditions, Program
from splitbrain.harness.hosts import RemoteEnvironment
from splitbrain.harness.hosts.remote import stay
from splitbrain.harness.hosts.remote.hosts_file import read_hosts
from splitbrain.harness.hosts.remote.lease import Leases
from tests.harness.hosts.remote.played_hosts import PlayedHost, PlayedHosts

DEADLINE_S = 120.0
SLEEPER = Program("sleeper", ("sleep", "3600"))
CLOCK = "od -An -t d8 -j 8 -N 8 /dev/shm/splitbrain/clock"
"""The offset in the page of the shims."""
AGENTS = "grep -l -a -z SPLITBRAIN_AGENT=1 /proc/[0-9]*/environ 2>/dev/null; :"
"""Processes of the harness's own."""


def until(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def state(host: PlayedHost) -> str:
    return host.shell("sed 's/.*) //' /proc/$(pgrep -x sleep)/stat")[0]


def test_a_host_whose_lease_is_not_renewed_heals_itself_and_is_lost_to_the_run(
    hosts: PlayedHosts,
) -> None:
    db1, file = hosts["db1"], hosts.file()
    with asyncio.Runner() as runner:
        environment = RemoteEnvironment(read_hosts(str(file))[:2], file=str(file))
        try:
            runner.run(environment.open(lambda line: None))
            machine = environment.machines["db1"]
            runner.run(machine.start(SLEEPER))
            runner.run(machine.set_clock(ClockSetting(offset_s=60.0)))
            runner.run(environment.network.cut([("db1", "db2")]))
            if "degrade" in environment.abilities:
                runner.run(environment.network.degrade([("db2", "db1")], Conditions(hold=True)))
            runner.run(machine.pause())
            assert environment._leases is not None
            assert db1.shell(AGENTS)
            environment._leases.close()
            until(lambda: db1.shell("ls /var/lib/splitbrain-run").count("healed") > 0, "it does not heal itself")
            until(lambda: not db1.rules(), "its rules stay")
            until(lambda: state(db1) == "S", "its program stays paused")
            assert int(db1.shell(CLOCK)) == 0
            until(lambda: not db1.shell(AGENTS), "its agents stay")
            runner.run(machine.pause())
            until(lambda: state(db1) == "S", "what comes late is not healed")
            environment._leases = Leases(environment.run, environment._logins)  # It comes back.
            assert "db1 is lost: it healed itself" in runner.run(environment.lost())
            assert "db1 is lost: it healed itself" in runner.run(environment.watch())
        finally:
            runner.run(environment.close())


def test_a_lease_that_is_renewed_does_not_run_out(hosts: PlayedHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stay, "LEASE_S", 20.0)
    file = hosts.file()
    with asyncio.Runner() as runner:
        environment = RemoteEnvironment(read_hosts(str(file))[:2], file=str(file))
        try:
            runner.run(environment.open(lambda line: None))
            runner.run(environment.network.cut([("db1", "db2")]))
            # The loop of the run stands still, as while a history is judged.
            time.sleep(25.0)
            assert runner.run(environment.lost()) == ""
            assert hosts["db1"].rules() != []
        finally:
            runner.run(environment.close())


def test_a_harness_that_is_killed_amid_a_partition_leaves_hosts_that_heal_and_a_store_that_answers(
    hosts: PlayedHosts, tmp_path: Path
) -> None:
    file = hosts.file()
    words = [
        "run",
        "sets",
        "--env",
        "ssh",
        "--hosts",
        str(file),
        "--faults",
        "partition,pause",
        "--fault-interval",
        "1",
    ]
    words += ["--time-limit", "120", "--rate", "20", "--seed", "3", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "splitbrain.harness.doors.cli"]
    run = subprocess.Popen([*command, *words], stderr=subprocess.DEVNULL)
    try:
        cut = lambda: [host.name for host in hosts.hosts if any("DROP" in rule for rule in host.rules())]  # noqa: E731
        until(lambda: bool(cut()), "nothing is cut")
        cleaning = [*command, "clean", "--env", "ssh", "--hosts", str(file)]
        left_alone = subprocess.run(cleaning, capture_output=True, text=True)
        assert left_alone.stdout == "nothing was left behind\n"
        assert left_alone.stderr.count("left alone: run ") == 3
        until(lambda: bool(cut()), "nothing is cut")
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    until(lambda: not any(host.rules() for host in hosts.hosts), "rules stay")
    for host in hosts.hosts:
        until(lambda host=host: answers(host), f"the store on {host.name} does not answer")
    cleaned = subprocess.run(cleaning, capture_output=True, text=True, env=os.environ)
    assert cleaned.returncode == 0, cleaned.stderr
    assert [host.name for host in hosts.hosts if f"on {host.name})" in cleaned.stdout] == ["db1", "db2", "db3"]


def answers(host: PlayedHost) -> bool:
    """Whether the store there does. A store that was cut off a moment ago may need longer than the command waits."""
    asked = "SPLITBRAIN_KEY_FILE=/var/lib/splitbrain/cluster.key splitbrain-store status --json"
    try:
        return bool(json.loads(host.shell(f"SPLITBRAIN_NODES={host.address}:7000 {asked}")))
    except AssertionError:
        return False


def test_a_run_that_is_ended_while_it_takes_its_hosts_gives_them_back(hosts: PlayedHosts, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "splitbrain.harness.doors.cli", "run", "sets", "--env", "ssh"]
    command += ["--hosts", str(hosts.file()), "--out", str(tmp_path)]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "lease" in hosts["db1"].shell("ls /var/lib/splitbrain-run 2>/dev/null; :"), "db1 is not taken")
        run.send_signal(signal.SIGTERM)
        assert run.wait(DEADLINE_S) == 130
    finally:
        run.kill()
        run.wait()
    # The fixture sees that nothing is left.
