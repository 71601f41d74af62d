"""Names that others may want: the plugin's options and its fixture beside a user's, in a pytest of their own."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

pytest_plugins = ["pytester"]

REPLAYED = """
    def test_it(cluster):
        print("REPLAY", cluster.run("registers", nodes=3).command)
"""
SHORT = {
    "env": "docker",
    "nodes": "4",
    "seed": "7",
    "faults": "kill=one,partition/halves",
    "time-limit": "3",
    "rate": "20",
    "config": "keys=2",
    "fail-if": "max>90s",
    "system": "dynamo",
}
"""The short options, a value for each."""


@pytest.fixture
def inner(pytester):
    def run(*words):
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-s", *words)

    return run


def others(*options, **attributes):
    """A module that defines the options as its own, and says what it got."""
    return f"""
        def pytest_addoption(parser):
            for option in {options!r}:
                parser.addoption(option, **{attributes!r})

        def pytest_configure(config):
            print("THEIRS", *(config.getoption(option) for option in {options!r}))
    """


def replayed(done):
    done.assert_outcomes(passed=1)
    (command,) = re.findall("REPLAY (.*)", done.stdout.str())
    return command


@pytest.mark.parametrize("prefix", ["--", "--jepsen-"])
@pytest.mark.parametrize("glue", [" ", "="])
def test_long_and_short_options_mean_the_same(pytester, inner, prefix, glue):
    pytester.makepyfile(REPLAYED)
    words = " ".join(f"{prefix}{name}{glue}{value}" for name, value in {**SHORT, "env": "sim"}.items())
    command = replayed(inner(*words.split(" ")))
    assert command == (
        "splitbrain run registers --env sim --nodes 4 --faults kill=one,partition/halves --seed 7 --time-limit 3 --rate 20 --concurrency 10"
        " --config keys=2 --fail-if 'max>90s'"
    )


def test_options_of_the_configuration_and_the_environment_count_too(pytester, inner, monkeypatch):
    pytester.makepyfile(REPLAYED)
    pytester.makeini("[pytest]\naddopts = --time-limit 2")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--seed=9")
    assert " --seed 9 --time-limit 2 " in replayed(inner())


@pytest.mark.parametrize("where", ["conftest", "plugin"])
def test_options_of_the_user_s_own_stopped_pytest_from_starting(pytester, inner, where):
    pytester.makepyfile(REPLAYED)
    options = [f"--{name}" for name in SHORT]
    pytester.makepyfile(**{"conftest" if where == "conftest" else "theirs": others(*options, default="staging")})
    loaded = ["-p", "theirs"] if where == "plugin" else []

    done = inner(*loaded, "--jepsen-time-limit", "2")
    assert " --env sim --nodes 3 --seed 0 --time-limit 2 " in replayed(done)
    done.stdout.fnmatch_lines([" ".join(["THEIRS", *["staging"] * len(SHORT)])])

    done = inner(*loaded, "--env", "docker", "--seed=me", "--faults", "x", "--time-limit", "long", "--jepsen-seed", "5")
    assert " --env sim --nodes 3 --seed 5 --time-limit 20 " in replayed(done)
    done.stdout.fnmatch_lines(["THEIRS docker staging me x long staging *"])


def test_an_option_of_the_user_s_own_that_takes_no_value_is_left_alone(pytester, inner):
    pytester.makepyfile(**{"below/conftest": others("--faults", action="store_true")})
    pytester.makepyfile(**{"below/test_it": REPLAYED})
    done = inner("--faults", "below", "--time-limit", "2")
    assert "--faults" not in replayed(done)
    done.stdout.fnmatch_lines(["THEIRS True"])


def test_a_conftest_that_pytest_finds_late_may_define_the_option_too(pytester, inner):
    pytester.makepyfile(**{"a/below/conftest": "def pytest_addoption(parser):\n    parser.addoption('--seed')"})
    pytester.makepyfile(**{"a/below/test_it": REPLAYED})
    assert " --seed 3 --time-limit 2 " in replayed(inner("--seed", "3", "--time-limit", "2"))


def test_a_folder_called_docker_hid_the_conftests_from_env_docker(pytester, inner):
    pytester.mkdir("docker")
    pytester.makepyfile(**{"tests/conftest": others("--deployment"), "tests/test_it": "def test_it(): pass"})
    done = inner("--env", "docker", "--deployment", "mine")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["THEIRS mine"])


def test_an_option_that_nobody_has_is_still_refused(pytester, inner):
    done = inner("--sede", "1")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*unrecognized arguments: --sede*"])


def test_a_value_of_the_wrong_type_is_refused_by_the_option_s_full_name(pytester, inner):
    done = inner("--seed", "abc")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*argument --jepsen-seed: invalid int value: 'abc'*"])


def test_without_the_plugin_its_options_are_unknown_and_other_tests_run(pytester, inner):
    pytester.makepyfile("def test_it(): pass")
    assert inner("-p", "no:splitbrain", "--seed", "1").ret == pytest.ExitCode.USAGE_ERROR
    inner("-p", "no:splitbrain").assert_outcomes(passed=1)


def test_a_fixture_of_the_user_s_own_called_cluster_is_the_one_that_tests_get(pytester, inner):
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef cluster():\n    return 'theirs'")
    pytester.makepyfile("def test_it(cluster):\n    assert cluster == 'theirs'")
    inner("--seed", "1").assert_outcomes(passed=1)


MARKED = """
    import pytest

    pytestmark = pytest.mark.jepsen(nodes=3, seed=5, time_limit_s=2)

    def said(name, cluster, **changes):
        print("SAID", name, cluster.run("registers", **changes).command)

    @pytest.mark.jepsen(faults="kill")
    def test_function(cluster):
        said("function", cluster)

    @pytest.mark.jepsen(seed=6, time_limit_s=3)
    class TestBase:
        @pytest.mark.jepsen(time_limit_s=2.5)
        def test_method(self, cluster):
            said(type(self).__name__, cluster)

    @pytest.mark.jepsen(seed=7)
    class TestDerived(TestBase):
        pass

    @pytest.mark.jepsen(seed=8)
    @pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.jepsen(seed=9))])
    def test_parameter(cluster, n):
        said("parameter", cluster)

    def test_call(cluster):
        said("call", cluster, seed=10)
"""


def test_markers_add_up_and_the_closest_to_the_run_wins(pytester, inner):
    pytester.makepyfile(MARKED)
    done = inner()
    done.assert_outcomes(passed=5)
    said = dict(re.findall("SAID (.*) splitbrain run registers --env sim (.*) --rate", done.stdout.str()))
    assert said == {
        "function": "--nodes 3 --faults kill --seed 5 --time-limit 2",
        "TestBase": "--nodes 3 --seed 6 --time-limit 2.5",
        "TestDerived": "--nodes 3 --seed 7 --time-limit 2.5",
        "parameter": "--nodes 3 --seed 9 --time-limit 2",
        "call": "--nodes 3 --seed 10 --time-limit 2",
    }


def test_a_marker_with_a_bare_value_is_refused_in_one_line(pytester, inner):
    pytester.makepyfile("import pytest\n\n@pytest.mark.jepsen(5)\ndef test_it(cluster): pass")
    done = inner()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["@pytest.mark.jepsen takes names and values, as in nodes=5; not 5"])


def test_settings_of_the_command_line_are_added_to_those_of_the_test(pytester, inner):
    pytester.makepyfile("""
        def test_it(cluster):
            config = {"keys": "5", "w": "3"}
            print("REPLAY", cluster.run("registers", nodes=3, time_limit_s=1, config=config).command)
    """)
    assert replayed(inner("--config", "keys=2", "--config", "r=3")).endswith(
        "--config keys=2 --config w=3 --config r=3"
    )
    inner("--config", "keys").stdout.fnmatch_lines(["*--jepsen-config keys: give key=value"])


def test_each_of_many_runs_is_a_test_with_the_next_seed(pytester, inner):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.jepsen(nodes=3, time_limit_s=1, seed=5)
        @pytest.mark.parametrize("workload", ["sets", "registers"])
        def test_it(cluster, workload):
            print("REPLAY", cluster.run(workload).command)

        def test_without_a_cluster():
            pass
    """)
    done = inner("-v", "--runs", "3")
    done.assert_outcomes(passed=7)
    seeds = re.findall("REPLAY splitbrain run (\\w+) .*--seed (\\d+)", done.stdout.str())
    assert sorted(seeds) == [(name, seed) for name in ("registers", "sets") for seed in ("5", "6", "7")]
    assert "test_it[run1-sets]" in done.stdout.str() or "test_it[sets-run1]" in done.stdout.str()


def test_a_marker_says_how_many_seeds_a_test_has_and_xdist_shares_them(pytester, inner):
    pytester.makepyfile("""
        import pytest

        pytestmark = pytest.mark.jepsen(nodes=3, time_limit_s=1, seed=5, seeds=2)

        @pytest.mark.jepsen(seeds=3)
        def test_three(cluster):
            result = cluster.run("sets")
            assert result.command.split("--seed ")[1].split()[0] != "6", "this seed fails"

        def test_two(cluster):
            cluster.run("registers").require_valid()
    """)
    done = inner("-v", "-n", "2")
    done.assert_outcomes(passed=4, failed=1)
    done.stdout.fnmatch_lines(["*FAILED*test_three[[]run2[]]*"])
    inner("--runs", "1").assert_outcomes(passed=2)


@pytest.mark.parametrize("seeds", ["0", "'many'", "True"])
def test_a_number_of_seeds_that_is_none_is_refused(pytester, inner, seeds):
    pytester.makepyfile(f"import pytest\n\n@pytest.mark.jepsen(seeds={seeds})\ndef test_it(cluster): pass")
    done = inner()
    assert done.ret != 0
    assert "jepsen(seeds=...) is" in done.stdout.str() + done.stderr.str()


def test_no_runs_at_all_are_refused(pytester, inner):
    pytester.makepyfile(REPLAYED)
    done = inner("--runs", "0")
    assert done.ret != 0
    assert "--jepsen-runs is 0; give 1 or more" in done.stdout.str() + done.stderr.str()


OWN = """
    from dataclasses import replace

    from splitbrain.harness.systems.dynamo.store_system import SYSTEM as DYNAMO
    from splitbrain.workloads.sets import WORKLOAD as SETS

    WORKLOAD, SYSTEM = replace(SETS, name="my own/sets"), replace(DYNAMO, name="mine")
"""


def test_a_workload_and_a_system_of_the_test_s_own_need_no_package(pytester, inner):
    pytester.makepyfile(mine=OWN)
    pytester.makepyfile("""
        from mine import SYSTEM, WORKLOAD

        def test_it(cluster):
            print("REPLAY", cluster.run(WORKLOAD, system=SYSTEM, nodes=3, time_limit_s=1).command)
    """)
    command = replayed(inner())
    assert command.startswith("splitbrain run mine.py:WORKLOAD --env sim --system mine.py:SYSTEM --nodes 3 ")
    # The command is as good as its word, and the folder is named by the workload.
    again = pytester.run(sys.executable, "-m", "splitbrain.harness.doors.cli", *shlex.split(command)[1:])
    assert again.ret == 0
    folders = sorted((pytester.path / "runs" / "my-own-sets").iterdir())
    histories = [(folder / "history.jsonl").read_bytes() for folder in folders]
    assert len(histories) == 2
    assert histories[0] == histories[1]


def test_a_workload_that_only_a_function_has_can_not_be_replayed_and_is_refused(pytester, inner):
    pytester.makepyfile("""
        from dataclasses import replace
        from splitbrain.workloads.sets import WORKLOAD

        def test_it(cluster):
            cluster.run(replace(WORKLOAD, name="mine"))
    """)
    done = inner()
    done.assert_outcomes(failed=1)
    assert "no module has this Workload under a name, so no command could replay the run" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


def test_a_test_that_is_meant_for_hosts_can_run_elsewhere_for_once(pytester, inner):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.jepsen(environment="ssh", hosts="nowhere.toml", keep=True, nodes=3, time_limit_s=1.0)
        def test_it(cluster):
            print("REPLAY", cluster.run("registers").command)
        """
    )
    assert replayed(inner("--env", "sim")).startswith("splitbrain run registers --env sim --nodes 3 ")
    refused = inner()
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["can't read nowhere.toml (No such file or directory); give a file with a table *"])


def test_the_hosts_of_a_test_come_from_the_command_line(pytester, inner):
    pytester.makepyfile("def test_it(cluster):\n    cluster.run('registers')")
    for word in ("--hosts", "--jepsen-hosts"):
        refused = inner("--env", "ssh", word, "elsewhere.toml")
        refused.stdout.fnmatch_lines(["can't read elsewhere.toml (No such file or directory); *"])
    inner("--env", "ssh").stdout.fnmatch_lines(["ssh needs the hosts; give a file that names them with --hosts"])
