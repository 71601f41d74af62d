"""The pytest plugin beside others: each row a pytest of its own, with tests that are functions, coroutines and threads."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import pytest

    pytestmark = pytest.mark.jepsen(nodes=3, seed=4, time_limit_s=2)

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    def test_function(cluster):
        cluster.run("registers").require_valid()

    @pytest.mark.asyncio
    async def test_coroutine(cluster):
        other = asyncio.create_task(asyncio.sleep(0, "went on"))
        cluster.run("registers").require_valid()
        assert await other == "went on"

    @pytest.mark.anyio
    async def test_anyio(cluster):
        cluster.run("registers").require_valid()
        await asyncio.sleep(0)

    def test_threads(cluster):
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda seed: cluster.run("registers", seed=seed), [1, 2]))
        for result in results:
            result.require_valid()

    @pytest.mark.asyncio
    async def test_coroutine_on_a_thread(cluster):
        (await asyncio.to_thread(cluster.run, "registers")).require_valid()
"""
ENDLESS = """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import pytest

    pytestmark = pytest.mark.jepsen(nodes=5, faults="partition", seed=5, time_limit_s=36_000)

    @pytest.mark.timeout(2)
    def test_function(cluster):
        cluster.run("sets")

    @pytest.mark.timeout(2)
    @pytest.mark.asyncio
    async def test_coroutine(cluster):
        cluster.run("sets")

    @pytest.mark.timeout(2)
    def test_threads(cluster):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda seed: cluster.run("sets", seed=seed), [1, 2]))

    @pytest.mark.timeout(2, func_only=True)
    def test_threads_that_start_more(cluster):
        with ThreadPoolExecutor(1) as pool:
            for seed in (1, 2, 3):
                pool.submit(cluster.run, "sets", seed=seed)

    def test_after_them(cluster):
        cluster.run("sets", nodes=3, faults="", time_limit_s=2).require_valid()
"""
LOST = """
    import pytest

    @pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
    def test_lost(cluster):
        assert cluster.run("sets", rate=30, config={"conflicts": "lww"}).folder.exists()

    def test_next():
        pass
"""
PLAIN = ("-p", "no:randomly")
"""Random order is a row of its own."""


@pytest.fixture
def inner(pytester):
    def run(text, *words):
        pytester.makepyfile(text)
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *words, timeout=300)

    return run


@pytest.mark.parametrize(
    "words",
    [
        (*PLAIN, "-W", "error"),
        (*PLAIN, "-W", "error", "-p", "asyncio", "--asyncio-mode=auto", "-k", "not anyio"),
        (*PLAIN, "-n", "2"),
        ("-p", "randomly", "-p", "no:xdist"),
        (*PLAIN, "--reruns", "1"),
        (*PLAIN, "--timeout", "200", "--timeout-method", "signal"),
        (*PLAIN, "--timeout", "200", "--timeout-method", "thread"),
    ],
    ids=["errors", "asyncio-auto", "xdist", "randomly", "rerunfailures", "timeout-signal", "timeout-thread"],
)
def test_functions_coroutines_and_threads_pass_beside(inner, words):
    done = inner(TESTS, *words)
    done.assert_outcomes(passed=4 if "not anyio" in words else 5, deselected=1 if "not anyio" in words else 0)


def test_every_worker_gets_the_options_of_the_command_line(inner):
    text = "def test_it(cluster):\n    assert ' --seed 9 --time-limit 2 ' in cluster.run('registers', nodes=3).command"
    inner(text, *PLAIN, "-n", "1", "--seed", "9", "--time-limit", "2").assert_outcomes(passed=1)


def test_a_time_limit_ends_runs_wherever_they_were_started(inner):
    done = inner(ENDLESS, *PLAIN, "--timeout-method", "signal")
    done.assert_outcomes(failed=4, passed=1)
    assert done.stdout.str().count("Failed: Timeout") >= 4


def test_a_time_limit_that_ends_the_process_is_not_held_up(inner):
    done = inner(ENDLESS, *PLAIN, "--timeout-method", "thread", "-k", "test_function or after")
    assert done.ret == 1
    done.stdout.no_fnmatch_line("*1 passed*")
    assert "Timeout" in done.stdout.str() + done.stderr.str()


def test_a_test_that_runs_again_has_only_its_own_results(inner):
    text = """
        results = []

        def test_again(cluster):
            results.append(cluster.run("registers", nodes=3, time_limit_s=2))
            assert len(results) == 2
    """
    assert inner(text, *PLAIN, "--reruns", "1").parseoutcomes() == {"passed": 1, "rerun": 1}


def test_an_anomaly_that_nobody_looked_at_fails_each_time(inner):
    done = inner(LOST, *PLAIN, "--reruns", "1", "-k", "lost")
    assert done.parseoutcomes() == {"failed": 1, "rerun": 1, "deselected": 1}


def test_junit_has_the_verdict_and_the_replay_line_and_x_ends_there(inner, pytester):
    inner(LOST, *PLAIN, "-x", "--junitxml", "out.xml").assert_outcomes(failed=1)
    text = (pytester.path / "out.xml").read_text()
    assert "INVALID: lost-writes" in text
    assert "replay  splitbrain run sets" in text


def test_without_the_plugin_only_its_fixture_is_missing(inner):
    done = inner(TESTS + "\n    def test_plain():\n        pass\n", *PLAIN, "-p", "no:splitbrain")
    done.assert_outcomes(passed=1, errors=5, warnings=1)
    done.stdout.fnmatch_lines(["*fixture 'cluster' not found*"])


def test_the_same_tests_pass_in_containers(docker_engine, inner):
    inner(TESTS, *PLAIN, "-W", "error", "--env", "docker").assert_outcomes(passed=5)


def test_a_time_limit_ends_runs_in_containers(docker_engine, inner):
    done = inner(ENDLESS.replace("timeout(2", "timeout(15"), *PLAIN, "--env", "docker", "-k", "coroutine or func_only")
    done.assert_outcomes(failed=1, deselected=4)
    done.stdout.fnmatch_lines(["*Failed: Timeout*"])
