from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.environment import EnvironmentFailure, Program
from splitbrain.harness.hosts.ssh import EXCERPT_CHARACTERS, OUTPUT_LIMIT_BYTES
from splitbrain.harness.hosts.ssh_machine import PROCESS
from splitbrain.harness.running.node_logs import LOGS_LIMIT, write


def test_a_started_program_runs_with_its_files_private(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    assert cluster.run(machine.running())
    path = "/var/lib/splitbrain/secret.key"
    assert cluster.shell("n1", f"stat -c %a {path}; cat {path}").splitlines() == ["600", "secret"]


def test_kill_leaves_the_process_gone_and_a_restart_works(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    pid = cluster.shell("n1", f"cut -d' ' -f1 {PROCESS}")
    cluster.run(machine.kill())
    assert not cluster.run(machine.running())
    assert cluster.shell("n1", f"[ -e /proc/{pid} ] && echo there || echo gone") == "gone"
    cluster.run(machine.start(sleeper))
    assert cluster.run(machine.running())


def test_kill_takes_the_children_of_the_program_along(cluster: Any) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(Program("family", ("sh", "-c", "sleep 4321; true"))))
    cluster.run(machine.kill())
    assert cluster.shell("n1", "pgrep -c -f 'sleep 4321' -x || true") == "0"


def test_a_kill_of_what_is_dead_already_is_no_failure(cluster: Any) -> None:
    cluster.run(cluster.machine("n2").kill())
    assert not cluster.run(cluster.machine("n2").running())


def test_a_process_that_inherited_the_id_is_not_taken_for_the_program(cluster: Any) -> None:
    machine = cluster.machine("n1")
    cluster.shell("n1", f"setsid sleep 4000 >/dev/null 2>&1 </dev/null & echo $! 1 > {PROCESS}")
    pid = cluster.shell("n1", f"cut -d' ' -f1 {PROCESS}")
    assert not cluster.run(machine.running())
    cluster.run(machine.kill())
    assert cluster.shell("n1", f"[ -e /proc/{pid} ] && echo there") == "there"
    cluster.shell("n1", f"kill -9 {pid}")


@pytest.mark.parametrize("user", [None, "nobody"])
def test_processes_that_left_the_program_s_group_and_family_are_struck_too(cluster: Any, user: str | None) -> None:
    machine = cluster.machine("n1")
    # One in a session of its own, as PostgreSQL's are, and one whose parent is gone, as Patroni starts a server.
    script = "setsid sleep 4322 & setsid --fork sleep 4323; exec sleep 4324"
    cluster.run(machine.start(Program("family", ("sh", "-c", script), user=user)))
    states = "ps -eo stat=,args= | grep '[s]leep 432[234]$' | cut -c1 | sort -u"
    cluster.run(machine.pause())
    assert cluster.shell("n1", states) == "T"
    cluster.run(machine.resume())
    assert cluster.shell("n1", states) == "S"
    cluster.run(machine.kill())
    assert cluster.shell("n1", states) == ""


def test_a_paused_program_exists_and_is_stopped_until_it_is_resumed(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    state = f"sed 's/.*) //' /proc/$(cut -d' ' -f1 {PROCESS})/stat | cut -c1"
    cluster.run(machine.pause())
    assert cluster.run(machine.running())
    assert cluster.shell("n1", state) == "T"
    cluster.run(machine.resume())
    assert cluster.shell("n1", state) in ("S", "R")


def test_a_paused_program_can_be_killed(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    cluster.run(machine.pause())
    cluster.run(machine.kill())
    assert not cluster.run(machine.running())


def test_a_pause_without_a_program_is_a_failure(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure, match=r"n3 .*there is none.* not stopped after SIGSTOP"):
        cluster.run(cluster.machine("n3").pause())


@pytest.mark.parametrize(
    ("command", "ended"),
    [
        ("exit 3", "exit status 3"),
        ("kill -s SEGV $$", "exit status 139, as after SIGSEGV"),
        ("exit 0", "exit status 0"),
    ],
)
def test_a_program_that_ends_by_itself_leaves_its_exit_status(cluster: Any, command: str, ended: str) -> None:
    machine = cluster.machine("n1")
    cluster.run(
        machine.start(Program("brief", ("bash", "-c", f"until [ -e /run/go ]; do sleep 0.01; done; {command}")))
    )
    assert cluster.run(machine.running())
    cluster.shell("n1", "touch /run/go")
    cluster.run(until_gone(machine))
    cluster.shell("n1", "rm /run/go")
    assert machine.ended == ended


async def until_gone(machine: Any) -> None:
    while await machine.running():
        await asyncio.sleep(0.02)


def test_a_program_that_was_killed_has_not_ended_by_itself(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    machine.ended = ""
    cluster.run(machine.start(sleeper))
    cluster.run(machine.kill())
    assert not cluster.run(machine.running())
    assert machine.ended == ""
    # Killed by somebody else, it has; and what it left is no answer about the next program.
    cluster.run(machine.start(sleeper))
    pid = cluster.shell("n1", f"cut -d' ' -f1 {PROCESS}")
    cluster.shell("n1", f"kill -9 -{pid}")
    cluster.run(until_gone(machine))
    assert machine.ended == "exit status 137, as after SIGKILL"


def test_a_program_that_dies_at_once_shows_the_end_of_its_log(cluster: Any) -> None:
    dying = Program("dying", ("python3", "-c", "raise SystemExit('port 7000 is taken')"))
    with pytest.raises(EnvironmentFailure, match=r"dying did not start on n2(.|\n)*port 7000 is taken"):
        cluster.run(cluster.machine("n2").start(dying))


def test_a_command_that_does_not_exist_is_named(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="no-such-command"):
        cluster.run(cluster.machine("n2").start(Program("missing", ("no-such-command",))))


def test_a_second_start_is_refused_and_leaves_the_first_alone(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    with pytest.raises(EnvironmentFailure, match="runs already"):
        cluster.run(machine.start(sleeper))
    assert cluster.run(machine.running())


def test_a_wipe_empties_the_data_and_nothing_else(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    cluster.shell("n1", f"mkdir -p {sleeper.data}/deep && touch {sleeper.data}/deep/rows {sleeper.data}/.hidden")
    cluster.run(machine.kill())
    cluster.run(machine.wipe())
    assert cluster.shell("n1", f"ls -A {sleeper.data}") == ""
    assert cluster.shell("n1", "cat /var/lib/splitbrain/secret.key") == "secret"


def test_a_wipe_under_a_running_program_is_refused(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    cluster.shell("n1", f"mkdir -p {sleeper.data} && touch {sleeper.data}/rows")
    with pytest.raises(EnvironmentFailure, match="kill it before"):
        cluster.run(machine.wipe())
    assert cluster.shell("n1", f"ls {sleeper.data}") == "rows"


def test_data_survives_a_kill(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    cluster.shell("n1", f"mkdir -p {sleeper.data} && echo kept > {sleeper.data}/row")
    cluster.run(machine.kill())
    cluster.run(machine.start(sleeper))
    assert cluster.shell("n1", f"cat {sleeper.data}/row") == "kept"


def test_logs_are_appended_across_restarts_byte_for_byte(cluster: Any) -> None:
    machine = cluster.machine("n3")
    for word in ("first", "second"):
        cluster.run(machine.start(Program("diary", ("sh", "-c", f"echo {word}; sleep 3600"))))
        cluster.run(machine.kill())
    assert cluster.run(machine.logs())["diary.log"] == b"first\nsecond\n"


def test_arguments_reach_the_program_as_they_are(cluster: Any) -> None:
    machine = cluster.machine("n3")
    odd = "a 'quoted' $HOME \"word\"; `x`"
    program = Program("odd", ("python3", "-c", "import sys, time; print(sys.argv[1], flush=True); time.sleep(99)", odd))
    cluster.run(machine.start(program))
    assert cluster.run(machine.logs())["odd.log"].decode().strip() == odd


@contextlib.contextmanager
def false(cluster: Any, name: str, program: str, script: str) -> Iterator[None]:
    """A program of a node that does something else than its name says."""
    path = f"/usr/local/bin/{program}"
    cluster.shell(name, f"cat > {path} <<'END'\n#!/bin/sh\n{script}\nEND\nchmod +x {path}")
    try:
        assert cluster.shell(name, f"command -v {program}") == path
        yield
    finally:
        cluster.shell(name, f"rm {path}")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.jsonl").write_text("recorded")
    return tmp_path / "run"


def kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_node_whose_ls_lies_writes_nothing_outside_its_own_folder(cluster: Any, run_folder: Path) -> None:
    outside = run_folder.parent / "absolute"
    names = [str(outside), "../../history.jsonl", "../other", "..", "a/b", "n" * 300, "store.log"]
    said = "\n".join(f"echo '{name}'" for name in names)
    with false(cluster, "n1", "ls", said), false(cluster, "n1", "tail", "echo forged"):
        notes = write(run_folder, "n1", cluster.run(cluster.machine("n1").logs()))
    assert kept(run_folder.parent) == ["run/history.jsonl", "run/nodes/n1/store.log"]
    assert (run_folder / "history.jsonl").read_text() == "recorded"
    assert len(notes) == len(names) - 1
    assert all("is no plain name" in note for note in notes)


def test_a_node_that_names_many_logs_is_asked_for_some(cluster: Any, run_folder: Path) -> None:
    with false(cluster, "n1", "ls", "seq -f %g.log 5000"), false(cluster, "n1", "tail", "echo x"):
        notes = write(run_folder, "n1", cluster.run(cluster.machine("n1").logs()))
    assert len(kept(run_folder)) == LOGS_LIMIT + 1
    assert notes == [f"{5000 - LOGS_LIMIT} logs of n1 are not kept: it names 5000"]


@pytest.mark.parametrize("program", ["ls", "tail"])
def test_a_node_that_never_stops_talking_is_cut_off(cluster: Any, program: str) -> None:
    machine = cluster.machine("n3")
    cluster.run(machine.start(Program("diary", ("sh", "-c", "echo first; sleep 3600"))))
    tracemalloc.start()
    try:
        with (
            false(cluster, "n3", program, "exec yes"),
            pytest.raises(EnvironmentFailure, match=r"n3 .* answered a command with more than 16 MiB"),
        ):
            cluster.run(machine.logs())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * OUTPUT_LIMIT_BYTES
    assert cluster.run(machine.logs())["diary.log"].endswith(b"first\n")


def test_what_a_node_says_in_an_error_is_bounded(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure) as caught:
        cluster.run(cluster.machine("n1").connection.check("yes | head -c 5000000; echo the end; exit 1"))
    assert len(str(caught.value)) < 2 * EXCERPT_CHARACTERS
    assert str(caught.value).endswith("the end")
