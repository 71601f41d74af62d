"""The pytest plugin, in a pytest of its own."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from splitbrain.harness.doors.plugin import Cluster
from splitbrain.harness.running.interrupts import end_all
from tests.house import ROOT

pytest_plugins = ["pytester"]

TEST = """
    import pytest

    @pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
    def test_siblings(cluster):
        cluster.run("sets", rate=30).require_valid()

    @pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
    def test_last_write_wins(cluster):
        cluster.run("sets", rate=30, config={"conflicts": "lww"}).require_valid()
"""


@pytest.fixture
def inner(pytester):
    def run(text, *words):
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *words)

    return run


def test_a_failed_test_shows_verdict_witness_and_replay_line(inner):
    done = inner(TEST, "-m", "jepsen")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*AnomalyFound: INVALID: lost-writes: * acknowledged adds lost"])
    done.stdout.fnmatch_lines(["*witness (lost-writes):*"])
    done.stdout.fnmatch_lines(["*splitbrain run sets --env sim --nodes 5 --faults partition --seed 7 *conflicts=lww*"])
    assert "results.py" not in done.stdout.str()


def test_the_command_line_has_the_last_word(inner):
    done = inner(TEST, "-k", "siblings", "--seed", "99", "--time-limit", "10", "--faults", "kill", "-rP")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*splitbrain run sets --env sim --nodes 5 --faults kill --seed 99 --time-limit 10 *"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('cluster.run("sest")', "*unknown workload 'sest'; known: append, bank*"),
        ('cluster.run("sets", node=3)', "*unknown argument 'node' of a jepsen test; known: *nodes*"),
        ('cluster.run("sets", seed="abc")', "*an argument of a jepsen test has the wrong type*seed*"),
        ('cluster.run("sets", rate=float("nan"))', "*rate is nan; give 0.01 to 100000*"),
        ('cluster.run("sets", faults="gremlins")', "*gremlins*known:*partition*"),
    ],
)
def test_a_run_that_can_not_be_fails_in_one_line(inner, call, said):
    done = inner(f"def test_it(cluster):\n    {call}\n")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([said])
    assert "Traceback" not in done.stdout.str()


def test_markers_are_known_to_pytest(inner):
    inner(TEST, "--markers").stdout.fnmatch_lines(["@pytest.mark.jepsen(*"])


LOST = """
    import pytest

    pytestmark = pytest.mark.jepsen(nodes=5, faults="partition", seed=7)

    def lost(cluster):
        return cluster.run("sets", rate=30, config={"conflicts": "lww"})

    def test_nothing(cluster):
        lost(cluster)

    def test_its_folder_only(cluster):
        assert lost(cluster).folder.exists()

    @pytest.mark.parametrize("field", ["status", "valid", "verdict", "exit_code", "reason"])
    def test_its(cluster, field):
        assert getattr(lost(cluster), field) is not None

    def test_the_second_only(cluster):
        lost(cluster)
        assert lost(cluster).status == "invalid"
"""


def test_an_invalid_run_that_the_test_never_looked_at_fails_it(inner):
    done = inner(LOST, "-k", "nothing or folder or second")
    done.assert_outcomes(failed=3)
    for line in (
        "INVALID: lost-writes: * acknowledged adds lost",
        "witness (lost-writes):",
        "replay  splitbrain run sets --env sim --nodes 5 --faults partition --seed 7 *conflicts=lww",
        "the test never looked at this result; end it with .require_valid(), or assert its .status",
    ):
        done.stdout.fnmatch_lines([line])
    assert "Traceback" not in done.stdout.str()


def test_an_invalid_run_that_was_looked_at_is_the_test_s_to_judge(inner):
    inner(LOST, "-k", "test_its and not folder").assert_outcomes(passed=5)


def test_a_valid_run_need_not_be_looked_at(inner):
    inner("def test_it(cluster):\n    cluster.run('sets', nodes=3, time_limit_s=3)\n").assert_outcomes(passed=1)


class Blocking(Mapping[str, Any]):
    """A marker's arguments that take until `go` to be read."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def __getitem__(self, name: str) -> Any:
        return {"nodes": 3, "time_limit_s": 1}[name]

    def __iter__(self) -> Iterator[str]:
        self.asked.set()
        assert self.go.wait(60)
        return iter(("nodes", "time_limit_s"))

    def __len__(self) -> int:
        return 2


def test_a_run_that_a_thread_began_just_before_the_test_was_ended_went_on_to_its_end(request, tmp_path):
    class TimeIsUp(Exception):
        pass

    given = Blocking()
    cluster = Cluster(request.node, given, {}, tmp_path)
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(cluster.run, "sets")
        assert given.asked.wait(60)
        # It has looked whether the test was ended; now it is, and no run is there yet that could hear of it.
        cluster.ended = TimeIsUp()
        end_all(cluster.ended)
        given.go.set()
        with pytest.raises(TimeIsUp):
            run.result(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_thread_is_not_ended_by_what_ended_this_one(request, tmp_path):
    ended, other = Cluster(request.node, {}, {}, tmp_path), Cluster(request.node, {}, {}, tmp_path)
    ended.ended = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        ended.run("sets")
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: other.run("sets", nodes=3, time_limit_s=1).status).result(timeout=60) == "valid"


def test_a_system_with_an_environment_of_its_own_is_tested_there(inner):
    program = ROOT / "examples" / "maelstrom" / "echo.py"
    done = inner(
        f"""
        import pytest

        @pytest.mark.jepsen(system="maelstrom", nodes=2, time_limit_s=1, config={{"bin": {str(program)!r}}})
        def test_it(cluster):
            cluster.run("echo").require_valid()
        """,
        "-rP",
    )
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*splitbrain run echo --env processes --system maelstrom *"])
