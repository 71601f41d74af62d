from __future__ import annotations

from typing import Any

import pytest

from harness.environment import EnvironmentFailure, Program
from harness.hosts.machine import PROCESS


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


def test_a_process_that_inherited_the_id_is_not_taken_for_the_program(cluster: Any, sleeper: Program) -> None:
    machine = cluster.machine("n1")
    cluster.run(machine.start(sleeper))
    pid, born = cluster.shell("n1", f"cat {PROCESS}").split()
    cluster.shell("n1", f"echo {pid} {int(born) - 1} > {PROCESS}")
    assert not cluster.run(machine.running())
    cluster.run(machine.kill())
    assert cluster.shell("n1", f"[ -e /proc/{pid} ] && echo there") == "there"
    cluster.shell("n1", f"kill -9 {pid}")


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
