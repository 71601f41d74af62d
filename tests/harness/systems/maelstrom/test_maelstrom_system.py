"""Any program as a node: it is told who it is, and what it does wrong is said in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.environment import CLIENTS, EnvironmentFailure
from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.replays.recorded import recorded
from splitbrain.harness.replays.shrink import failure
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.maelstrom import SYSTEM
from tests.harness.processes.programs import in_environment, until
from tests.harness.systems.maelstrom.nodes import configured, node, started

ECHO = "answer(echo=request.get('echo'))"


async def told(environment: ProcessesEnvironment, name: str) -> list[dict[str, Any]]:
    lines = (await environment.machines[name].logs())["node.log"].splitlines()
    return [json.loads(line)["body"] for line in lines]


def echoed(program: str, folder: Path, **changes: Any) -> Result:
    """A short run of echo on that program."""
    config = {"bin": program, **changes.pop("config", {})}
    chosen: dict[str, Any] = {"nodes": 3, "seed": 1, "time_limit_s": 2, **changes}
    return run(Experiment("echo", "processes", "maelstrom", config=config, **chosen), out=folder / "runs")


def test_every_node_is_told_who_it_is_and_who_the_others_are(tmp_path: Path) -> None:
    system = configured(node(tmp_path, ECHO))

    async def scenario(environment: ProcessesEnvironment) -> None:
        await started(environment, system)
        for name in environment.members:
            assert await system.ready(environment, name)
            (init,) = await told(environment, name)
            assert init.pop("msg_id") > 0
            assert init == {"type": "init", "node_id": name, "node_ids": ["n1", "n2", "n3"]}

    in_environment(scenario, source=None, system=system)


def test_a_topology_is_told_after_that(tmp_path: Path) -> None:
    system = configured(node(tmp_path, ECHO), topology="line")

    async def scenario(environment: ProcessesEnvironment) -> None:
        await started(environment, system)
        _, topology = await told(environment, "n2")
        assert topology["topology"] == {"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2"]}

    in_environment(scenario, source=None, system=system)


def test_a_node_that_starts_again_in_a_partition_is_told_again(tmp_path: Path) -> None:
    system = configured(node(tmp_path, ECHO))

    async def scenario(environment: ProcessesEnvironment) -> None:
        await started(environment, system)
        machine = environment.machines["n1"]
        await environment.network.cut([(CLIENTS, "n1"), ("n1", CLIENTS)], "a")
        await machine.kill()
        assert not await system.ready(environment, "n1")
        await system.start(environment, machine)
        assert await system.ready(environment, "n1")
        assert [body["type"] for body in await told(environment, "n1")] == ["init", "init"]

    in_environment(scenario, source=None, system=system)


def test_a_node_that_restarts_under_load_is_told_who_it_is_before_it_is_asked_anything(tmp_path: Path) -> None:
    result = echoed(node(tmp_path, ECHO), tmp_path, faults=("kill",), time_limit_s=10, rate=2000, concurrency=50)
    assert result.status == "valid", result.explanation()
    for name in ("n1", "n2", "n3"):
        types = [json.loads(line)["body"]["type"] for line in (result.folder / "nodes" / name / "node.log").open()]
        assert types[0] == "init"


def test_a_paused_node_is_not_ready(tmp_path: Path) -> None:
    system = configured(node(tmp_path, ECHO))

    async def scenario(environment: ProcessesEnvironment) -> None:
        await started(environment, system)
        await environment.machines["n1"].pause()
        assert not await system.ready(environment, "n1")
        await environment.machines["n1"].resume()
        assert await system.ready(environment, "n1")

    in_environment(scenario, source=None, system=system)


def test_a_node_that_is_running_but_was_not_told_is_not_ready(tmp_path: Path) -> None:
    system = configured(node(tmp_path, "", polite=False), init_timeout_ms="300")

    async def scenario(environment: ProcessesEnvironment) -> None:
        with pytest.raises(EnvironmentFailure) as caught:
            await system.start(environment, environment.machines["n1"])
        assert str(caught.value).startswith(
            "n1 did not answer init (timeout: no answer to init within 0.3 s);"
            " a node answers with init_ok, and flushes its output after every message; its log ends: {"
        )
        assert await environment.machines["n1"].running()
        assert not await system.ready(environment, "n1")

    in_environment(scenario, source=None, system=system)


def test_arguments_are_those_of_a_shell(tmp_path: Path) -> None:
    program = node(tmp_path, "answer(echo=sys.argv[1:])")
    system = configured(program, args="--name 'two words' x")

    async def scenario(environment: ProcessesEnvironment) -> None:
        connection = await started(environment, system)
        assert await connection.echo("x") == repr(["--name", "two words", "x"])

    in_environment(scenario, source=None, system=system)


def test_nodes_use_services_and_hear_of_nodes_that_there_are_not(tmp_path: Path) -> None:
    answers = """if request["type"] == "echo":
    first = message
    dest, body = request["echo"].split(" ", 1)
    tell(dest, msg_id=5, **json.loads(body))
else:
    tell(first["src"], type="echo_ok", in_reply_to=first["body"]["msg_id"], echo=json.dumps(request, sort_keys=True))"""
    system = configured(node(tmp_path, answers))

    async def scenario(environment: ProcessesEnvironment) -> None:
        connection = await started(environment, system)
        asked = {
            'lin-kv {"type": "read", "key": 1}': {"type": "error", "code": 20},
            'lin-kv {"type": "write", "key": 1, "value": [2]}': {"type": "write_ok"},
            'lin-kv {"type": "cas", "key": 1, "from": [2], "to": 3}': {"type": "cas_ok"},
            'lin-tso {"type": "ts"}': {"type": "ts_ok", "ts": 0},
            'seq-kv {"type": "write", "key": 1, "value": 2}': {"type": "write_ok"},
            'seq-kv {"type": "read", "key": 1}': {"type": "read_ok", "value": 2},
            'lww-kv {"type": "write", "key": 1, "value": 2}': {"type": "write_ok"},
            'lin-kv {"type": "write", "key": 1180591620717411303424, "value": 1e300}': {"type": "write_ok"},
            'lin-kv {"type": "read", "key": 1180591620717411303424}': {"type": "read_ok", "value": 1e300},
            'n9 {"type": "hello"}': {"type": "error", "code": 1},
        }
        for question, expected in asked.items():
            said = json.loads(await connection.echo(question))
            assert said.pop("in_reply_to") == 5
            assert {key: said[key] for key in expected} == expected

    in_environment(scenario, source=None, system=system)


def test_what_a_system_draws_comes_from_its_seed_and_runs_share_nothing() -> None:
    one, other = (SYSTEM.configure({"bin": "/bin/cat"}, seed=7, nodes=3) for _ in range(2))
    assert one == other
    assert one.run is not other.run


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "maelstrom runs a program of yours; name it with --bin ./node"),
        ({"bin": "./no_such_node"}, "bin=./no_such_node: there is no such file"),
        ({"bin": "."}, "bin=. is not an executable file; name the file"),
        (
            {"bin": "pyproject.toml"},
            r"bin=pyproject.toml is not an executable file; make it so: chmod \+x pyproject.toml",
        ),
        ({"bin": "/bin/cat", "args": "'x"}, "args='x: No closing quotation; write the arguments as for a shell"),
        ({"bin": "/bin/cat", "topology": "ring"}, "topology=ring: give one of none, grid, line, tree, total"),
        ({"bin": "/bin/cat", "loss": "2"}, "loss=2: give a share from 0 to 1"),
        ({"bin": "/bin/cat", "loss": "nan"}, "loss=nan: give a share from 0 to 1"),
        ({"bin": "/bin/cat", "latency_ms": "fast"}, "latency_ms=fast: give milliseconds, such as 20 or 5-50"),
        ({"bin": "/bin/cat", "latency_ms": "9-5"}, "latency_ms=9-5: give milliseconds"),
        ({"bin": "/bin/cat", "latency_ms": "inf"}, "latency_ms=inf: give at most 60000"),
        ({"bin": "/bin/cat", "latency_ms": "nan"}, "latency_ms=nan: give"),
        ({"bin": "/bin/cat", "timeout_ms": "0"}, "timeout_ms=0: give whole milliseconds from 1 to 60000"),
        ({"bin": "/bin/cat", "init_timeout_ms": "1e3"}, "init_timeout_ms=1e3: give whole milliseconds"),
        ({"bin": "/bin/cat", "timeout_ms": "1000000000000"}, "timeout_ms=1000000000000: give whole milliseconds"),
    ],
)
def test_settings_that_can_not_be_are_refused_with_the_remedy(config: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SYSTEM.configure(config, seed=1, nodes=3)


@pytest.mark.parametrize("environment", ["sim", "docker"])
def test_it_runs_in_its_own_environment_alone(environment: str) -> None:
    experiment = Experiment("echo", environment, "maelstrom", config={"bin": "/bin/cat"})
    with pytest.raises(UsageProblem, match=f"maelstrom runs in --env processes alone, not in {environment}"):
        experiment.prepare()


def test_its_environment_takes_no_system_that_does_not_talk_through_the_harness() -> None:
    with pytest.raises(UsageProblem, match=r"nodes of toys don't talk through the harness.*choose another --env"):
        Experiment("echo", "processes", "toys").prepare()


def test_there_is_one_set_and_counters_need_only_converge() -> None:
    def plan(workload: str, **config: str) -> dict[str, str]:
        experiment = Experiment(workload, "processes", "maelstrom", config={"bin": "/bin/cat", **config})
        return dict(experiment.prepare().plan.config)

    assert plan("g-set") == {"keys": "1"}
    assert plan("pn-counter") == plan("g-counter") == {"keys": "1", "reads": "at-the-end"}
    assert plan("pn-counter", reads="throughout") == {"keys": "1", "reads": "throughout"}
    assert plan("kafka") == {"keys": "4"}
    assert dict(Experiment("g-set", "sim", "toys").prepare().plan.config) == {"keys": "4"}


def test_only_a_broadcast_tells_nodes_of_a_topology() -> None:
    def topology(workload: str, **config: str) -> str:
        experiment = Experiment(workload, "processes", "maelstrom", config={"bin": "/bin/cat", **config})
        return str(experiment.prepare().system.describe()["topology"])

    assert [topology("broadcast"), topology("echo"), topology("broadcast", topology="tree")] == ["grid", "none", "tree"]


def test_a_run_keeps_the_nodes_logs_and_the_messages(tmp_path: Path) -> None:
    result = echoed(node(tmp_path, ECHO), tmp_path, faults=("partition",), time_limit_s=10)
    assert result.status == "valid", result.explanation()
    for name in ("n1", "n2", "n3"):
        assert b'"init"' in (result.folder / "nodes" / name / "node.log").read_bytes()
    lines = [json.loads(line) for line in (result.folder / "messages.jsonl").read_bytes().splitlines()]
    assert {"send", "receive", "client"} == {line["event"] for line in lines}
    assert "process 0" in {line["user"] for line in lines if line["event"] == "client"}
    assert "--config bin=" in result.command


@pytest.mark.parametrize("fault", ["clients", "kill", "pause", "terminate", "packets"])
def test_faults_take_effect_and_are_over_at_the_end(fault: str, tmp_path: Path) -> None:
    result = echoed(node(tmp_path, ECHO), tmp_path, faults=(fault,), time_limit_s=12)
    assert result.status == "valid", result.explanation()
    assert result.verdict is not None
    assert result.verdict.parts["evidence"].evidence["faults"][fault]["effective"] > 0


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ("print('DEBUG')", r"n\d wrote 'DEBUG', which is no message .*; standard output is for messages alone"),
        ("answer('ok')", r"n\d answered echo with .*its type must be echo_ok or error; see docs/maelstrom.md"),
        ("me = 'n7'; answer()", r"n\d wrote a message from 'n7'; a node sends in its own name"),
    ],
)
def test_a_node_that_can_not_be_understood_breaks_the_run(answers: str, why: str, tmp_path: Path) -> None:
    result = echoed(node(tmp_path, answers), tmp_path)
    assert result.status == "broken"
    assert re.match(why, result.reason), result.reason
    assert "\n" not in result.reason


def test_a_node_that_ends_before_it_answers_init_breaks_the_run(tmp_path: Path) -> None:
    result = echoed(node(tmp_path, "sys.exit('no config file')", polite=False), tmp_path)
    assert result.status == "broken"
    assert result.reason.startswith("n")
    assert "ended (exit status 1) before it answered init; its log ends: " in result.reason
    assert result.reason.endswith("no config file")


def test_a_node_that_ends_by_itself_later_is_named_and_the_run_is_not_valid(tmp_path: Path) -> None:
    answers = f"{ECHO}\nif me == 'n2' and len(asked) > 20: sys.exit('enough')"
    result = echoed(node(tmp_path, answers), tmp_path, faults=("kill",), time_limit_s=10)
    assert result.status == "invalid"
    assert "n2" in result.explanation() + " ".join(result.notes)
    with pytest.raises(
        UsageProblem, match="a run is shrunk in simulation, and maelstrom runs in --env processes alone"
    ):
        failure(recorded(result.folder))


def test_a_client_of_a_closed_place_hears_nothing_more(tmp_path: Path) -> None:
    system = configured(node(tmp_path, ECHO), timeout_ms="300")

    async def scenario(environment: ProcessesEnvironment) -> None:
        connection = await started(environment, system)
        await connection.close()
        with pytest.raises(OperationFailed):
            await connection.echo("x")
        await until(lambda: environment.machines["n1"].state == "S")

    in_environment(scenario, source=None, system=system)
