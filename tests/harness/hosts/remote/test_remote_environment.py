from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from splitbrain.harness.environment import EnvironmentFailure, Program
from splitbrain.harness.hosts import RemoteEnvironment, clean_hosts
from splitbrain.harness.hosts.remote import host_needs
from splitbrain.harness.hosts.remote.hosts_file import read_hosts
from tests.harness.hosts.remote.played_hosts import PlayedHosts

DATA = "/srv/db/data"
PROGRAM = Program(
    "sleeper",
    ("sh", "-c", f"mkdir -p {DATA}; echo new > {DATA}/stored; echo awake; sleep 3600"),
    files={"/etc/sleeper/sleeper.conf": b"new", "/etc/motd": b"new"},
    data=DATA,
)


class Opened:
    """An environment that is open, and the loop that it belongs to. said: its progress."""

    def __init__(self, runner: asyncio.Runner, environment: RemoteEnvironment) -> None:
        self.run = runner.run
        self.environment = environment
        self.said: list[str] = []


@contextmanager
def opened(file: Path, nodes: int = 1, *, keep: bool = False) -> Iterator[Opened]:
    """The first hosts of the file, for a run."""
    with asyncio.Runner() as runner:
        each = Opened(runner, RemoteEnvironment(read_hosts(str(file))[:nodes], file=str(file), keep=keep))
        try:
            each.run(each.environment.open(each.said.append))
            yield each
        finally:
            each.run(each.environment.close())


def test_what_a_program_writes_is_undone_and_what_was_there_before_is_back(hosts: PlayedHosts) -> None:
    db1 = hosts["db1"]
    db1.shell("echo old > /etc/motd; chmod 640 /etc/motd; chown tester /etc/motd; rm -rf /srv/db /etc/sleeper")
    try:
        with opened(hosts.file()) as one:
            machine = one.environment.machines["db1"]
            one.run(machine.start(PROGRAM))
            assert db1.shell("cat /etc/motd /etc/sleeper/sleeper.conf") == "newnew"
            one.run(machine.kill())
            one.run(machine.start(PROGRAM))
            assert db1.shell(f"cat {DATA}/stored") == "new"
        assert db1.shell("cat /etc/motd; stat -c '%a %U' /etc/motd").split() == ["old", "640", "tester"]
        assert db1.shell("ls -d /srv /srv/db /etc/sleeper 2>/dev/null; :") == "/srv"
    finally:
        db1.shell("rm -f /etc/motd")


def test_a_program_is_asked_to_end_before_it_is_killed(hosts: PlayedHosts) -> None:
    asked = "trap 'echo asked > /root/asked; exit' TERM; while :; do sleep 0.1; done"
    with opened(hosts.file()) as one:
        one.run(one.environment.machines["db1"].start(Program("asked", ("sh", "-c", asked))))
    assert hosts["db1"].shell("cat /root/asked; rm /root/asked") == "asked"


def test_a_program_that_is_paused_and_its_children_end_too(hosts: PlayedHosts) -> None:
    # The child leads a session of its own, as a database's workers do.
    with opened(hosts.file()) as one:
        machine = one.environment.machines["db1"]
        one.run(machine.start(Program("parent", ("sh", "-c", "setsid sleep 3601 & exec sleep 3602"))))
        one.run(machine.pause())
    assert hosts["db1"].shell("pgrep -x sleep || echo none") == "none"


def test_a_data_folder_that_holds_something_is_refused_and_stays(hosts: PlayedHosts) -> None:
    hosts["db1"].shell(f"mkdir -p {DATA}; echo theirs > {DATA}/theirs")
    try:
        with (
            opened(hosts.file()) as one,
            pytest.raises(
                EnvironmentFailure, match=f"^db1: {DATA} is not empty, and sleeper would begin .*; empty it, or"
            ),
        ):
            one.run(one.environment.machines["db1"].start(PROGRAM))
        assert hosts["db1"].shell(f"cat {DATA}/theirs") == "theirs"
    finally:
        hosts["db1"].shell("rm -r /srv/db")


def test_a_program_that_is_not_there_is_named(hosts: PlayedHosts) -> None:
    with opened(hosts.file()) as one, pytest.raises(EnvironmentFailure, match="there is no etcd; install the program"):
        one.run(one.environment.machines["db1"].start(Program("etcd", ("etcd",))))


def test_what_a_run_keeps_goes_on_until_it_is_cleaned(hosts: PlayedHosts) -> None:
    file = hosts.file()
    with opened(file, keep=True) as one:
        one.run(one.environment.machines["db1"].start(PROGRAM))
        one.run(one.environment.network.cut([("clients", "db1")]))
        one.run(one.environment.machines["db1"].pause())
    assert hosts["db1"].rules() == []
    pid = hosts["db1"].shell("pgrep -x sleep")
    assert hosts["db1"].shell(f"sed 's/.*) //' /proc/{pid}/stat")[0] == "S", "it goes on"
    with (
        pytest.raises(EnvironmentFailure, match=r"db1 still runs what run \w+ .* has kept; `splitbrain clean"),
        opened(file),
    ):
        pass
    removed = clean_hosts(str(file))
    assert [line.partition(" (")[0].lstrip("0123456789 ") for line in removed] == ["processes", "files and data"]
    assert clean_hosts(str(file)) == []


def test_a_host_that_a_living_run_has_is_refused_and_left_alone(hosts: PlayedHosts) -> None:
    file = hosts.file()
    with opened(file) as one:
        one.run(one.environment.machines["db1"].start(PROGRAM))
        with (
            pytest.raises(EnvironmentFailure, match=f"db1 is taken by run {one.environment.run} .*; wait for its end"),
            opened(file),
        ):
            pass
        said: list[str] = []
        assert clean_hosts(str(file), said.append) == []
        assert said == [line for line in said if line.startswith(f"left alone: run {one.environment.run} ")]
        assert len(said) == 1
        assert one.run(one.environment.machines["db1"].running())


def test_two_hosts_that_are_one_machine_are_refused(hosts: PlayedHosts) -> None:
    file = hosts.file()
    file.write_text(
        file.read_text()
        .replace(f'"{hosts["db2"].address}"', '"localhost.db2"')
        .replace(hosts["db2"].host_key, hosts["db1"].host_key)
    )
    hosts_there = [host for host in read_hosts(str(file)) if host.name != "db3"]
    # A second name of the first: as a file would say it with an alias.
    object.__setattr__(hosts_there[1], "address", hosts["db1"].address)
    with asyncio.Runner() as runner:
        environment = RemoteEnvironment(hosts_there, file=str(file))
        try:
            with pytest.raises(EnvironmentFailure, match="is the same machine as another host of the file"):
                runner.run(environment.open(lambda line: None))
        finally:
            runner.run(environment.close())


def test_clocks_and_disks_can_fail_by_libraries_that_are_brought_along(hosts: PlayedHosts) -> None:
    with opened(hosts.file()) as one:
        assert {"clock", "power-cut", "full-disk"} <= one.environment.abilities
        folder = hosts["db1"].shell("ls -d /usr/local/lib/splitbrain-*")
        assert folder == f"/usr/local/lib/splitbrain-{one.environment.run}"


@pytest.mark.parametrize("lacking", ["compiler", "architecture"])
def test_where_they_do_not_fit_those_faults_are_no_ability_and_the_program_runs(
    hosts: PlayedHosts, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "compiler":
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        monkeypatch.setattr(host_needs.platform, "machine", lambda: "m68k")
    host_needs._shims.cache_clear()
    with opened(hosts.file()) as one:
        assert one.environment.abilities.isdisjoint({"clock", "power-cut", "full-disk"})
        assert "kill" in one.environment.abilities
        told = [line for line in one.said if line.startswith("no faults of clocks, disks and power on db1: ")]
        assert len(told) == 1
        machine = one.environment.machines["db1"]
        one.run(machine.start(PROGRAM))
        assert "LD_PRELOAD" not in hosts["db1"].shell("tr '\\0' '\\n' < /proc/$(pgrep -x sleep)/environ")
        with pytest.raises(EnvironmentFailure, match="there are no libraries for it on that machine"):
            one.run(machine.read_clock())


RELAY = """
import socket, sys, threading
def pump(a, b):
    try:
        while piece := a.recv(65536):
            b.sendall(piece)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
listening = socket.create_server(("", 2200))
while True:
    a, b = listening.accept()[0], socket.create_connection((sys.argv[1], 22))
    for pair in ((a, b), (b, a)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def test_a_host_that_is_reached_at_another_address_than_its_own_is_refused(hosts: PlayedHosts) -> None:
    """db3 passes the connection on to db1, as a router does for a port."""
    db1, db3, file = hosts["db1"], hosts["db3"], hosts.file()
    file.write_text(file.read_text().replace(f'address = "{db1.address}"', f'address = "{db3.address}"\nport = 2200'))
    try:
        db3.put("/root/relay.py", RELAY)
        db3.shell(f"setsid python3 /root/relay.py {db1.address} >/dev/null 2>&1 </dev/null &")
        db3.shell("until grep -q ':0898 ' /proc/net/tcp; do sleep 0.05; done")
        said = rf"db1 is reached at {db3.address}, which is no address of its own \({db1.address}\)"
        with pytest.raises(EnvironmentFailure, match=said), opened(file):
            pass
    finally:
        db3.shell("pkill -f '^python3 /root/relay.py'; rm -f /root/relay.py")


def test_a_host_that_sees_this_machine_at_another_address_than_its_own_is_refused(hosts: PlayedHosts) -> None:
    """Its sshd says so, as it would behind a router that hides the network of this machine."""
    db1 = hosts["db1"]
    seen = f"203.0.113.5 5000 {db1.address} 22"
    with (
        db1.sshd(f"""ForceCommand env SSH_CONNECTION="{seen}" sh -c "$SSH_ORIGINAL_COMMAND\""""),
        pytest.raises(
            EnvironmentFailure, match=r"db1 sees this machine at 203\.0\.113\.5, which is no address of its own"
        ),
        opened(hosts.file()),
    ):
        pass


def test_a_host_that_lets_no_packet_through_is_refused(hosts: PlayedHosts) -> None:
    hosts["db2"].shell("iptables -A INPUT -p udp -j DROP")
    try:
        with (
            pytest.raises(EnvironmentFailure, match="no packet comes from this machine to db2, from db1 to db2, and"),
            opened(hosts.file(), 2),
        ):
            pass
    finally:
        hosts["db2"].shell("iptables -D INPUT -p udp -j DROP")


def test_what_a_restart_left_is_removed_by_the_next_run(hosts: PlayedHosts) -> None:
    """Processes and rules go with a machine; files stay, and so does the word of whose they are."""
    db1, file = hosts["db1"], hosts.file()
    with opened(file) as one:
        one.run(one.environment.machines["db1"].start(PROGRAM))
        db1.container.restart(timeout=0)
        db1.await_sshd()
        assert "its watchdog is gone; see whether it was restarted" in one.run(one.environment.lost())
        assert db1.shell(f"cat {DATA}/stored") == "new"
        one.environment._logins.clear()  # As if this machine had gone too, before it could give the host back.
        first = one.environment.run
    with opened(file) as other:
        assert [line for line in other.said if line.startswith(f"removing what run {first} ")]
        assert db1.shell("ls /srv") == ""
