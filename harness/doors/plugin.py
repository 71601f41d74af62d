"""The pytest plugin: `pytest -m jepsen [--env docker] [--seed N] [--faults A,B] [--time-limit S]`.

    @pytest.mark.jepsen(nodes=5, faults="partition")
    def test_nothing_acknowledged_is_lost(cluster):
        cluster.run("sets").require_valid()

1. The marker's arguments are those of `experiment.Experiment`; `cluster.run` may change them; the command line
   has the last word.
2. A failed test shows verdict, witness, and the command that replays the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import Result, ResultsError

_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any], str]] = {
    "--env": ("environment", str, "where jepsen tests run: sim or docker"),
    "--seed": ("seed", int, "the seed of jepsen tests"),
    "--faults": ("faults", str, "the faults of jepsen tests, such as partition,kill"),
    "--time-limit": ("time_limit_s", float, "seconds of load in jepsen tests"),
}
_TIME_LIMIT_S = 20.0
"""Of virtual or real time, unless a test or the command line says otherwise: CI has many tests to run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jepsen", "fault tests of distributed systems (splitbrain)")
    for flag, (name, kind, text) in _OPTIONS.items():
        group.addoption(flag, dest=f"splitbrain_{name}", type=kind, default=None, help=text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "jepsen(nodes=5, faults='partition', ...): a test that runs workloads on a cluster under faults"
    )


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Runs workloads on a cluster of this test's own; see the plugin's rules."""
    marker = request.node.get_closest_marker("jepsen")
    given = dict(marker.kwargs) if marker is not None else {}
    if marker is not None and marker.args:
        pytest.fail(f"@pytest.mark.jepsen takes names and values, as in nodes=5; not {marker.args[0]!r}", pytrace=False)
    options = request.config.option
    forced = {
        name: value
        for name, *_ in _OPTIONS.values()
        if (value := getattr(options, f"splitbrain_{name}", None)) is not None
    }
    return Cluster(request.node, given, forced, Path(request.config.rootpath) / "runs")


class Cluster:
    """What a test drives. given: the marker's arguments. forced: the command line's."""

    def __init__(self, item: pytest.Item, given: Mapping[str, Any], forced: Mapping[str, Any], out: Path) -> None:
        self._item = item
        self._given = given
        self._forced = forced
        self._out = out

    def run(self, workload: str, **changes: Any) -> Result:
        """Run a workload; changes: fields of `Experiment` for this run.

        The test fails, with one line and no traceback, if such a run can't be.
        """
        from splitbrain.harness.running.run import (
            run,  # Only tests that run something pay for importing the whole harness.
        )
        from splitbrain.harness.terminal import Progress

        try:
            arguments = {"time_limit_s": _TIME_LIMIT_S, **self._given, **changes, **self._forced}
            experiment = _experiment(workload, arguments)
            result = run(experiment, out=self._out, progress=Progress(quiet=True))
        except (UsageProblem, ResultsError) as problem:
            pytest.fail(str(problem), pytrace=False)
        if result.status == "broken":
            pytest.fail("\n".join(result.lines()), pytrace=False)
        self._item.add_report_section("call", f"splitbrain {workload}", "\n".join(result.lines()))
        return result


def _experiment(workload: str, arguments: dict[str, Any]) -> Experiment:
    known = {item.name for item in fields(Experiment)} - {"workload"}
    for name in arguments:
        if name not in known:
            raise UsageProblem(f"unknown argument {name!r} of a jepsen test; known: {', '.join(sorted(known))}")
    if isinstance(arguments.get("faults"), str):
        arguments["faults"] = tuple(fault.strip() for fault in arguments["faults"].split(",") if fault.strip())
    try:
        return msgspec.convert({"workload": workload, **arguments}, Experiment)
    except msgspec.ValidationError as problem:
        raise UsageProblem(f"an argument of a jepsen test has the wrong type: {problem}") from None
