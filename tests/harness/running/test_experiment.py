import shlex
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from splitbrain.harness.doors.commands import cli
from splitbrain.harness.running.experiment import Experiment, UsageProblem, settings
from splitbrain.harness.simulation import SimulatedEnvironment
from splitbrain.workloads.sets import WORKLOAD


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"workload": "sest"}, "unknown workload 'sest'; known: "),
        ({"system": "riak"}, "unknown system 'riak'; known: dynamo"),
        ({"environment": "cloud"}, "unknown environment 'cloud'; known: sim, docker"),
        ({"faults": ("gremlins",)}, "gremlins"),
        ({"config": {"conflict": "lww"}}, "unknown configuration key 'conflict'; known: "),
        ({"config": {"conflicts": "lwv"}}, "conflicts=lwv: give one of siblings, lww"),
        ({"config": {"keys": "many"}}, "keys=many: give a whole number from 1 to 10000"),
        ({"config": {"keys": "0"}}, "keys=0"),
        ({"config": {"lock": "maybe"}}, "lock=maybe: give true or false"),
        ({"config": {"w": "4"}}, "w=4 with n=3"),
        ({"nodes": 2}, "n=3 with 2 members"),
        ({"compose": "a.yaml"}, "--env sim has no containers; add --env docker, or leave a.yaml out"),
        ({"compose": "no.yaml:db", "environment": "docker"}, "there is no compose file no.yaml; give its path"),
    ],
)
def test_what_can_not_be_done_is_refused_before_anything_starts_by_name(changes, named):
    with pytest.raises(UsageProblem) as refusal:
        Experiment(**{"workload": "sets", **changes}).prepare()
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("checkers", "named"),
    [
        ({"lost-wrtes": {}}, "there is no checker 'lost-wrtes'; there are lost-writes, "),
        ({"latency": {"sla": 300}}, "latency has no option 'sla'; it has "),
        ({"latency": {"sla_ms": "fast"}}, "latency: option sla_ms can't be 'fast'"),
    ],
)
def test_a_wrong_checker_of_a_workload_was_found_only_after_the_load_and_lost_the_verdict(monkeypatch, checkers, named):
    wrong = replace(WORKLOAD, checkers=checkers)
    monkeypatch.setattr("splitbrain.harness.running.experiment.workload", lambda name: wrong)
    with pytest.raises(UsageProblem) as refusal:
        Experiment("sets").prepare()
    assert named in str(refusal.value)


def test_the_line_that_runs_a_compose_project_again_names_its_file_and_no_number_of_nodes():
    words = shlex.split(Experiment("sets", environment="docker", compose="my project.yaml:db,proxy").command)
    assert words[words.index("--compose") + 1] == "my project.yaml:db,proxy"
    assert "--nodes" not in words


def test_an_unknown_fault_is_named_beside_the_known_ones():
    with pytest.raises(UsageProblem, match=r"gremlins.*kill.*partition"):
        Experiment("sets", faults=("gremlins",)).prepare()


def test_an_environment_that_can_do_nothing_refuses_a_partition_whatever_any_table_says(monkeypatch):
    monkeypatch.setattr(SimulatedEnvironment, "abilities", frozenset())
    with pytest.raises(UsageProblem, match=r"sim can't cut, which partition needs; leave that fault out, or choose"):
        Experiment("sets", faults=("partition",)).prepare()
    assert Experiment("sets").prepare().environment.abilities == frozenset()


def test_an_experiment_in_containers_is_prepared_without_an_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    prepared = Experiment("sets", environment="docker", faults=("partition", "kill")).prepare()
    assert prepared.environment.name == "docker"


def test_a_simulation_imports_neither_docker_nor_ssh():
    code = """
import sys
from splitbrain.harness.running.experiment import Experiment
Experiment("sets", faults=("partition",)).prepare()
print(sorted({"docker", "paramiko"}.intersection(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_workload_asks_for_the_settings_under_which_it_is_promised_what_it_judges():
    configured = Experiment("sessions").prepare().system.config
    assert (configured["sloppy"], configured["read_repair"]) == ("false", "blocking")
    assert Experiment("sets").prepare().system.config["sloppy"] == "true"


def test_a_setting_that_is_given_outranks_what_the_workload_asks_for():
    prepared = Experiment("sessions", config={"sloppy": "true"}).prepare()
    assert (prepared.system.config["sloppy"], prepared.system.config["read_repair"]) == ("true", "blocking")
    assert "--config sloppy=true" in prepared.experiment.command


def test_a_system_without_such_a_setting_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(
        "splitbrain.harness.running.experiment.workload", lambda name: replace(WORKLOAD, settings={"linear": "true"})
    )
    assert "linear" not in Experiment("sets").prepare().system.config


def test_a_key_given_twice_is_refused():
    with pytest.raises(UsageProblem, match="--config keys is given twice, as 2 and as 3; give it once"):
        settings(["keys=2", "lock=true", "keys=3"])


@pytest.mark.parametrize(
    ("changes", "guess"),
    [
        ({"workload": "register"}, "registers"),
        ({"system": "dynamoo"}, "dynamo"),
        ({"environment": "dokcer"}, "docker"),
        ({"faults": ("partitoin",)}, "partition"),
        ({"config": {"conflict": "lww"}}, "conflicts"),
    ],
)
def test_an_unknown_word_suggests_the_nearest_known_one(changes, guess):
    with pytest.raises(UsageProblem, match=rf"; did you mean {guess}\?"):
        Experiment(**{"workload": "sets", **changes}).prepare()


def test_the_command_gives_the_same_experiment_again():
    experiment = Experiment(
        "registers",
        environment="sim",
        nodes=4,
        faults=("partition", "kill"),
        seed=12,
        time_limit_s=2.5,
        rate=33.25,
        concurrency=3,
        spare_clients=0,
        config={"keys": "2", "conflicts": "lww"},
    )
    words = shlex.split(experiment.command)
    assert words[:2] == ["splitbrain", "run"]
    context = cli.commands["run"].make_context("run", words[2:])
    given = context.params
    assert given["workload"] == "registers"
    assert (given["environment"], given["nodes"], given["faults"]) == ("sim", 4, "partition,kill")
    assert (given["seed"], given["time_limit"], given["rate"], given["concurrency"]) == (12, 2.5, 33.25, 3)
    assert given["spare_clients"] == 0
    assert settings(given["config"]) == experiment.config


@pytest.mark.parametrize("word", ["conflicts", "=lww", ""])
def test_a_setting_without_key_or_value_is_refused(word):
    with pytest.raises(UsageProblem, match="give key=value"):
        settings([word])


def test_help_names_every_door():
    shown = CliRunner().invoke(cli, ["--help"]).output
    for command in ("run", "check", "report", "clean", "list"):
        assert command in shown


def test_with_one_copy_of_each_key_nothing_is_asked_to_converge() -> None:
    one = Experiment(workload="registers", seed=1, config={"n": "1", "r": "1", "w": "1"}).prepare()
    assert "convergence" not in one.workload.checkers
    assert "lost-writes" in one.workload.checkers
    assert "convergence" in Experiment(workload="registers", seed=1).prepare().workload.checkers
