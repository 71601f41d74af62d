from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from splitbrain.harness.doors.commands import cli
from splitbrain.harness.hosts import KeyPair, RemoteEnvironment
from splitbrain.harness.nemesis import Strike
from splitbrain.harness.replays.recorded import recorded
from splitbrain.harness.running.experiment import Experiment, UsageProblem, usual_nodes
from splitbrain.harness.running.run import run

NAMES = ("db1", "db2", "db3", "db4")


@pytest.fixture
def hosts(tmp_path: Path) -> str:
    """A file that names four hosts. Nobody asks them anything."""
    key = tmp_path / "key"
    key.write_bytes(KeyPair.generate().private)
    key.chmod(0o600)
    tables = [f'[[host]]\nname = "{name}"\naddress = "{name}.example"\n' for name in NAMES]
    (tmp_path / "hosts.toml").write_text('key = "key"\n' + "\n".join(tables))
    return str(tmp_path / "hosts.toml")


def test_nodes_are_the_first_hosts_of_the_file_and_have_their_names(hosts: str) -> None:
    prepared = Experiment("sets", environment="ssh", hosts=hosts, nodes=3).prepare()
    assert prepared.plan.nodes == prepared.experiment.names == ("db1", "db2", "db3")
    assert isinstance(prepared.environment, RemoteEnvironment)
    assert prepared.environment.members == ["db1", "db2", "db3"]


def test_there_are_as_many_nodes_as_hosts_unless_somebody_says_so(hosts: str) -> None:
    assert (usual_nodes(hosts), usual_nodes("")) == (4, 5)


def test_hosts_beyond_the_nodes_are_spares_for_faults_that_need_some(hosts: str) -> None:
    prepared = Experiment("sets", environment="ssh", hosts=hosts, nodes=3, faults=("membership",)).prepare()
    assert prepared.experiment.spares == ("db4",)
    with pytest.raises(UsageProblem, match="ssh can't spares, which membership needs"):
        Experiment("sets", environment="ssh", hosts=hosts, nodes=4, faults=("membership",)).prepare()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"environment": "ssh"}, "ssh needs the hosts; give a file that names them with --hosts"),
        ({"environment": "sim", "hosts": "F"}, "--hosts is for hosts that a file names; leave it out, or choose --env ssh"),
        ({"environment": "docker", "keep": True}, "--keep is for hosts that a file names; leave it out, or choose"),
        ({"environment": "ssh", "hosts": "F", "nodes": 5}, "names 4 hosts for 5 nodes; add hosts, or give --nodes 4"),
        ({"environment": "ssh", "hosts": "nowhere.toml"}, "can't read nowhere.toml (No such file or directory)"),
        ({"environment": "sim", "named": ("a", "a"), "nodes": 2}, "named has a, a for 2 nodes; give each a name of its own"),
        ({"environment": "sim", "named": ("a",), "nodes": 2}, "named has a for 2 nodes; give each a name of its own"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_refused_before_anything_starts(hosts: str, changes: dict, said: str) -> None:
    given = {**changes, **({"hosts": hosts} if changes.get("hosts") == "F" else {})}
    with pytest.raises(UsageProblem) as refused:
        Experiment(**{"workload": "sets", **given}).prepare()
    assert said in str(refused.value)


def test_the_command_says_which_hosts_and_whether_they_keep_the_system(hosts: str) -> None:
    command = Experiment("sets", environment="ssh", hosts=hosts, keep=True, nodes=4).command
    assert command.startswith(f"splitbrain run sets --env ssh --hosts {hosts} --keep --nodes 4 ")


def test_a_run_that_is_given_its_strikes_finds_its_nodes_by_name(hosts: str) -> None:
    strike = Strike(0, "kill", 1.0, 1.0, {"shape": "one", "nodes": ["db4"]})
    given = Experiment(
        "sets",
        environment="ssh",
        hosts=hosts,
        nodes=3,
        strikes=(strike,),
        faults=("kill",),
        named=("db4", "db2", "db1"),
    )
    assert given.prepare().experiment.named == ("db4", "db2", "db1", "db3")
    with pytest.raises(UsageProblem, match="names no host n1, n2, n3; the recorded run has nodes of that name"):
        Experiment("sets", environment="ssh", hosts=hosts, nodes=3, strikes=(strike,), faults=("kill",)).prepare()


def test_elsewhere_the_nodes_keep_their_names_and_the_hosts_are_left_out(hosts: str, tmp_path: Path) -> None:
    experiment = Experiment("sets", environment="ssh", hosts=hosts, keep=True, nodes=3, named=NAMES, time_limit_s=1.0)
    simulated = experiment.elsewhere("sim")
    assert (simulated.hosts, simulated.keep, simulated.names) == ("", False, NAMES[:3])
    assert experiment.elsewhere("ssh") == experiment
    assert experiment.elsewhere("ssh", "other.toml").hosts == "other.toml"
    result = run(simulated, out=tmp_path / "runs", report=False)
    assert result.status == "valid"
    assert recorded(result.folder).experiment.names == NAMES[:3]


def invoked(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def test_cleaning_hosts_needs_their_file_and_containers_have_none(hosts: str) -> None:
    for words in (("--env", "ssh"), ("--hosts", hosts)):
        assert str(invoked("clean", *words).exception) == (
            "--env ssh and --hosts go together; give a file that names the hosts"
        )
    assert "nothing is left behind in sim" in str(invoked("clean", "--env", "sim").exception)
    assert "can't read nowhere.toml" in str(invoked("clean", "--env", "ssh", "--hosts", "nowhere.toml").exception)
