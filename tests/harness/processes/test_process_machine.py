"""One node's process: it is started and signalled, and every result is observed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splitbrain.harness.environment import ClockSetting, DiskCondition, EnvironmentFailure, Program
from splitbrain.harness.processes import ProcessesEnvironment, process_machine
from tests.harness.processes.programs import ECHO, Listener, in_environment, program, until

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print('asked to end', file=sys.stderr, flush=True))
print('ready', file=sys.stderr, flush=True)
while True: time.sleep(0.05)
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, file=sys.stderr, flush=True)
child.wait()
"""
KEEPS = """
import os, pathlib, sys
path = pathlib.Path(os.environ["SPLITBRAIN_DATA"]) / "starts"
path.write_text(str(int(path.read_text() if path.exists() else 0) + 1))
print("start", path.read_text(), file=sys.stderr, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_gone_and_can_be_started_again() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        assert await machine.running()
        await machine.kill()
        assert not await machine.running()
        assert (machine.taken_down, machine.ended) == (True, "")
        await machine.kill()  # There is nothing left to do.
        await machine.start(program(ECHO))
        assert (await machine.running(), machine.taken_down, machine.starts) == (True, False, 2)
        machine.listening = True
        client = await Listener().open(environment)
        client.say("n1", word="again")
        await until(lambda: client.heard)

    in_environment(scenario)


def test_a_process_that_goes_while_it_is_looked_at_is_no_process_that_is_still_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.kill()
        states = iter(["R", "R", "R", ""])
        monkeypatch.setattr(process_machine.ProcessMachine, "state", property(lambda self: next(states, "")))
        await machine._until(lambda state: state == "", "is still there after kill -9")
        assert list(states) == []

    in_environment(scenario, nodes=["n1"])


def test_a_program_that_runs_is_not_started_twice() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        with pytest.raises(EnvironmentFailure, match="node runs already on n1; kill it before"):
            await environment.machines["n1"].start(program(ECHO))

    in_environment(scenario)


def test_a_kill_takes_what_the_program_started_with_it() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.start(program(PARENT))
        child = int(await logged(machine, "\n"))
        os.kill(child, 0)  # It is there.
        await machine.kill()
        await until(lambda: _gone(child))

    in_environment(scenario, nodes=["n1"], source=None)


def test_a_program_that_ends_by_itself_leaves_nothing_that_it_started() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.start(program(PARENT.replace("child.wait()", "")))
        child = int(await logged(machine, "\n"))
        await until(lambda: _gone(child))
        assert not await machine.running()

    in_environment(scenario, nodes=["n1"], source=None)


def _gone(process: int) -> bool:
    try:
        # A zombie that nobody has waited for yet is gone as well.
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1] == "Z"
    except FileNotFoundError:
        return True


async def logged(machine: process_machine.ProcessMachine, text: str) -> str:
    """The node's log, once the text is in it."""
    found = b""

    def looked() -> bool:
        nonlocal found
        path = machine._folder / "node.log"
        found = path.read_bytes() if path.exists() else b""
        return text.encode() in found

    await until(looked)
    assert (await machine.logs())["node.log"] == found
    return found.decode()


def test_a_program_that_is_asked_to_end_ends_when_it_likes() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.start(program(STUBBORN))
        await logged(machine, "ready")
        await machine.terminate()
        await logged(machine, "asked to end")
        assert machine.taken_down
        assert await machine.running()

    in_environment(scenario, nodes=["n1"], source=None)


def test_a_paused_process_is_there_and_answers_once_it_is_resumed() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        client = await Listener().open(environment)
        await machine.pause()
        assert machine.state == "T"
        assert await machine.running()
        client.say("n1", word="meanwhile")
        client.say("n2", word="the other one")
        await until(lambda: client.heard)
        assert [node for node, _ in client.heard] == ["n2"]
        await machine.resume()
        await until(lambda: len(client.heard) == 2)
        assert machine.state != "T"

    in_environment(scenario)


def test_what_is_not_there_can_not_be_paused_and_need_not_be_resumed() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.kill()
        with pytest.raises(EnvironmentFailure, match="of n1 is not stopped after SIGSTOP"):
            await machine.pause()
        await machine.resume()

    in_environment(scenario)


@pytest.mark.parametrize(
    ("source", "ended"),
    [("raise SystemExit(3)", "exit status 3"), ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV")],
)
def test_a_process_that_ends_by_itself_says_how(source: str, ended: str) -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.start(program(source))
        await until(lambda: machine.state == "")
        assert not await machine.running()
        assert (machine.ended, machine.taken_down) == (ended, False)

    in_environment(scenario, nodes=["n1"], source=None)


@pytest.mark.parametrize(("content", "why"), [("no script\n", "Exec format error"), ("#!/no/such\n", "No such file")])
def test_what_can_not_be_executed_is_named_with_the_remedy(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "node"
    path.write_text(content)
    path.chmod(0o755)

    async def scenario(environment: ProcessesEnvironment) -> None:
        with pytest.raises(EnvironmentFailure, match=f"{path} can't be started .{why}.*must begin with #!"):
            await environment.machines["n1"].start(Program("node", (str(path),)))
        assert not await environment.machines["n1"].running()

    in_environment(scenario, nodes=["n1"], source=None)


def test_what_a_program_keeps_survives_a_kill_and_not_a_wipe() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        for said in ("start 1", "start 2"):
            await machine.start(program(KEEPS))
            await logged(machine, said)
            with pytest.raises(EnvironmentFailure, match="n1 runs; kill it before the wipe"):
                await machine.wipe()
            await machine.kill()
        await machine.wipe()
        await machine.start(program(KEEPS))
        assert (await logged(machine, "start 2\nstart 1\n")).splitlines() == ["start 1", "start 2", "start 1"]

    in_environment(scenario, nodes=["n1"], source=None)


def test_what_the_machine_of_the_harness_can_not_suffer_is_refused() -> None:
    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        for action in (
            machine.power_cut(),
            machine.set_clock(ClockSetting(1.0)),
            machine.read_monotonic(),
            machine.set_disk(DiskCondition(full=True)),
            machine.flip_bit(1),
        ):
            with pytest.raises(EnvironmentFailure, match=r"a process on the harness's own machine can't .*; leave"):
                await action
        assert await machine.read_clock() == 0.0

    in_environment(scenario, nodes=["n1"])


def test_messages_that_a_node_does_not_read_wait_for_it_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_machine, "WAITING_LIMIT", 200_000)

    async def scenario(environment: ProcessesEnvironment) -> None:
        machine = environment.machines["n1"]
        await machine.pause()
        for _ in range(100):
            machine.tell(b"x" * 9_999 + b"\n")
        assert 0 < machine.overflowed < 100
        assert not machine.tell(b"one more\n")
        await machine.kill()
        assert not machine.tell(b"nobody is there\n")

    in_environment(scenario, nodes=["n1"])
