"""The pytest plugin: `pytest -m jepsen [--jepsen-env docker] [--jepsen-seed N] [--jepsen-faults A,B] ...`.

    @pytest.mark.jepsen(nodes=5, faults="partition")
    def test_nothing_acknowledged_is_lost(cluster):
        cluster.run("sets").require_valid()

1. The marker's arguments are those of `experiment.Experiment`. A function's marker overrides its class's, and that its
   module's, name by name; `cluster.run` overrides them all; the command line has the last word.
2. A failed test shows verdict, witness, and the command that replays the run.
3. A test that never looks at the result of an invalid run fails: forgetting to assert must not hide an anomaly.
4. SIGTERM ends a test that has a cluster as Ctrl-C does: everything is cleaned up, containers too. What a signal's
   handler raises, such as a test's time limit, ends the runs that the test has on other threads too.
5. Names that others may want are theirs. `--env`, `--seed` and so on stand for the long options only where no conftest
   and no other plugin has an option of that name.
6. `@pytest.mark.jepsen(seeds=N)` makes N tests of one that has a cluster, each with the next seed. `--jepsen-runs N`
   does so with all of them. Each is reported alone, and pytest-xdist shares them out.
7. Each run's verdict, report and replay command are properties of its test, for JUnit XML. The end of the session names
   the reports, and pytest-html links them.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from splitbrain.harness.catalogue import SYSTEMS, WORKLOADS, UnknownName, home, name_of
from splitbrain.harness.running.environments import ENVIRONMENTS
from splitbrain.harness.running.experiment import Experiment, UsageProblem, settings, usual_nodes
from splitbrain.harness.running.interrupts import end_all, unless_ended
from splitbrain.harness.running.results import Result, ResultsError
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.terminal import Progress

if TYPE_CHECKING:
    from splitbrain.harness.workload import Workload


class _Option(NamedTuple):
    """field: of `Experiment`. many: it may be given several times."""

    field: str
    kind: Callable[[str], Any]
    text: str
    many: bool = False


_OPTIONS: Mapping[str, _Option] = {
    "env": _Option("environment", str, f"where jepsen tests run: {', '.join(ENVIRONMENTS)}"),
    "system": _Option("system", str, "the system that jepsen tests test, by name or as file.py:NAME"),
    "hosts": _Option("hosts", str, "the file that names the hosts of jepsen tests, for ssh"),
    "nodes": _Option("nodes", int, "how many nodes jepsen tests have"),
    "compose": _Option("compose", str, "the file of the running compose project whose containers are the nodes"),
    "seed": _Option("seed", int, "the seed of jepsen tests"),
    "faults": _Option("faults", str, "the faults of jepsen tests, such as partition,kill or partition/halves,kill=one"),
    "time-limit": _Option("time_limit_s", float, "seconds of load in jepsen tests"),
    "rate": _Option("rate", float, "operations per second in jepsen tests"),
    "config": _Option("config", str, "a setting KEY=VALUE of the system or workload of jepsen tests", many=True),
    "fail-if": _Option("fail_if", str, "a threshold of jepsen tests, such as p99>300ms", many=True),
    "runs": _Option("runs", int, "how often to run each jepsen test, each time with the next seed"),
}
_Handler = Callable[[int, FrameType | None], Any]
_TIME_LIMIT_S = 20.0
"""Of virtual or real time, unless a test or the command line says otherwise: CI has many tests to run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jepsen", "fault tests of distributed systems (splitbrain)")
    for word, option in _OPTIONS.items():
        text = f"{option.text}; --{word} for short, if no other option is called so"
        action = "append" if option.many else "store"
        dest = f"splitbrain_{option.field}"
        group.addoption(f"--jepsen-{word}", dest=dest, type=option.kind, action=action, default=None, help=text)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Rule 5: once all conftests are loaded, and before pytest parses the command line for good."""
    # To pytest the `docker` of `--env docker` is a path as yet: it would look for conftests in a folder of that name.
    paths = early_config.known_args_namespace.file_or_dir
    for word, value in pairwise(args):
        if word == "--env" and value in ENVIRONMENTS and value in paths:
            paths.remove(value)
    yield
    _, unknown = parser.parse_known_and_unknown_args(args, copy.copy(early_config.option))
    free = {word.partition("=")[0] for word in unknown} & {f"--{word}" for word in _OPTIONS}
    end = args.index("--") if "--" in args else len(args)
    for place, word in enumerate(args[:end]):
        if word.partition("=")[0] in free:
            args[place] = f"--jepsen-{word.removeprefix('--')}"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "jepsen(nodes=5, faults='partition', ...): a test that runs workloads on a cluster under faults"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Rule 6."""
    runs, name = metafunc.config.option.splitbrain_runs, "--jepsen-runs"
    if runs is None:
        marked = (marker.kwargs for marker in metafunc.definition.iter_markers("jepsen"))  # The nearest first.
        runs, name = next((given["seeds"] for given in marked if "seeds" in given), None), "jepsen(seeds=...)"
    if runs is not None and (not isinstance(runs, int) or isinstance(runs, bool) or runs < 1):
        raise pytest.UsageError(f"{name} is {runs!r}; give 1 or more")
    if runs is not None and runs > 1 and "cluster" in metafunc.fixturenames:
        metafunc.fixturenames.append(_REPETITION)
        ids = [f"run{number + 1}" for number in range(runs)]
        metafunc.parametrize(_REPETITION, range(runs), ids=ids, indirect=True)


@pytest.fixture
def _splitbrain_repetition(request: pytest.FixtureRequest) -> int:
    """How many tests of this one come before it."""
    repetition: int = request.param
    return repetition


_REPETITION = "_splitbrain_repetition"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Rule 7, for pytest-html."""
    report = yield
    if report.when == "call" and item.config.pluginmanager.hasplugin("html"):
        import pytest_html

        page = Path(str(getattr(item.config.option, "htmlpath", None) or "report.html")).absolute()
        links = [
            # Relative, so that they still lead there where CI has put both.
            pytest_html.extras.url(os.path.relpath(path, page.parent), name=f"{run} {status}")
            for run, status, path in runs_told(report)
        ]
        vars(report)["extras"] = [*getattr(report, "extras", []), *links]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Rule 7."""
    reports = [each for some in terminalreporter.stats.values() for each in some]
    told = [run for each in reports if getattr(each, "when", "") == "teardown" for run in runs_told(each)]
    # Those that a reader has to look at come first, and the rest in the order in which they ran.
    told.sort(key=lambda run: run[1] == "valid")
    if told:
        terminalreporter.section("splitbrain")
        for name, status, path in told[:_RUNS_TOLD]:
            terminalreporter.write_line(f"{status.upper():<8} {name}  {os.path.relpath(path)}")
        if len(told) > _RUNS_TOLD:
            terminalreporter.write_line(f"and {len(told) - _RUNS_TOLD} more; `splitbrain serve` shows all")


def runs_told(report: pytest.TestReport) -> list[tuple[str, str, str]]:
    """The runs of a test: workload, verdict, and the path of the report, or of the folder where there is none."""
    told = [str(value) for name, value in report.user_properties if name in _PROPERTIES]
    return list(zip(told[::4], told[1::4], told[2::4], strict=True))


_PROPERTIES = ("splitbrain.workload", "splitbrain.verdict", "splitbrain.report", "splitbrain.replay")
_RUNS_TOLD = 20


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Rule 3, once the test's own code has ended well. Rule 4 for handlers that came after the fixture."""
    cluster = item.stash.get(_CLUSTER, None)
    if cluster is None:
        return (yield)
    with _heard_by_all_runs(cluster):
        returned = yield
    for result in cluster.results:
        result.require_looked_at()
    return returned


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Runs workloads on a cluster of this test's own; see the plugin's rules."""
    given: dict[str, Any] = {}
    for node in request.node.listchain():
        for marker in node.own_markers:
            if marker.name != "jepsen":
                continue
            if marker.args:
                problem = f"@pytest.mark.jepsen takes names and values, as in nodes=5; not {marker.args[0]!r}"
                pytest.fail(problem, pytrace=False)
            given |= marker.kwargs
    given.pop("seeds", None)  # See `pytest_generate_tests`.
    options = request.config.option
    forced = {
        option.field: value
        for option in _OPTIONS.values()
        if (value := getattr(options, f"splitbrain_{option.field}", None)) is not None
    }
    forced.pop("runs", None)
    callspec = getattr(request.node, "callspec", None)
    repetition = callspec.params.get(_REPETITION, 0) if callspec is not None else 0
    driven = Cluster(request.node, given, forced, Path(request.config.rootpath) / "runs", repetition)
    request.node.stash[_CLUSTER] = driven  # A plugin may run the test again.
    with _heard_by_all_runs(driven):
        yield driven


@contextlib.contextmanager
def _heard_by_all_runs(cluster: Cluster) -> Iterator[None]:
    """Rule 4. Handlers that are replaced meanwhile stay so, and are not ours to put back."""
    replaced: dict[int, tuple[_Handler, _Handler | signal.Handlers]] = {}
    if threading.current_thread() is threading.main_thread():
        for number in signal.valid_signals():
            before = signal.getsignal(number)
            if number == signal.SIGTERM and before is signal.SIG_DFL:
                handler = _telling(cluster, _terminated)
            elif callable(before):
                handler = _telling(cluster, before)
            else:
                continue
            replaced[number] = handler, before
            signal.signal(number, handler)
    try:
        yield
    finally:
        for replaced_number, (ours, theirs) in replaced.items():
            if signal.getsignal(replaced_number) is ours:
                signal.signal(replaced_number, theirs)


def _telling(cluster: Cluster, handler: _Handler) -> _Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as problem:
            cluster.ended = problem
            end_all(problem)
            raise

    return handle


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt("ended by SIGTERM")


class WatchedResult(Result):
    """A run's result that knows whether a test has looked at its verdict."""

    __slots__ = ("_looked_at",)

    @classmethod
    def of(cls, result: Result) -> WatchedResult:
        """The same result, not looked at yet."""
        return cls(*(getattr(result, item.name) for item in fields(Result)))

    def __getattribute__(self, name: str) -> Any:
        if name in _VERDICT:
            object.__setattr__(self, "_looked_at", True)
        return super().__getattribute__(name)

    def require_looked_at(self) -> None:
        """Fails the test if the run was invalid and the test never looked at that."""
        if not hasattr(self, "_looked_at") and self.status == "invalid":
            remedy = "the test never looked at this result; end it with .require_valid(), or assert its .status"
            pytest.fail(f"{self.explanation()}\n\n{remedy}", pytrace=False)


_VERDICT = frozenset({"status", "reason", "verdict", "valid", "exit_code", "require_valid", "lines", "as_dict"})
"""What tells a test how the run ended."""


class Cluster:
    """What a test drives. given: the marker's arguments. forced: the command line's. repetition: is added to the seed.

    ended: what a signal's handler raised while the test ran, or None. results: of the runs so far.
    """

    def __init__(
        self, item: pytest.Item, given: Mapping[str, Any], forced: Mapping[str, Any], out: Path, repetition: int = 0
    ) -> None:
        self._item = item
        self._given = given
        self._forced = forced
        self._out = out
        self._repetition = repetition
        self.ended: BaseException | None = None
        self.results: list[WatchedResult] = []

    def script(self, workload: str | Workload, operations: Sequence[Any], strikes: Sequence[Any] = ()) -> Result:
        """Run a workload's clients on these operations, under these strikes, instead of drawing some.

        operations: each (seconds from the start, process, f, key, value, node), the last ones optional
        (`replays.scripted.ScriptedOperation`). strikes: each a mapping with family, at_s, for_s and how, as in a run's
        schedule.json. The concurrency is that of the operations, the faults those of the strikes. Else as `run`.
        """
        from splitbrain.harness.replays.given import given

        try:
            arguments = given(operations, strikes)
        except UsageProblem as problem:
            refusal = str(problem)
        else:
            return self.run(workload, **arguments)
        pytest.fail(refusal, pytrace=False)

    def run(self, workload: str | Workload, **changes: Any) -> Result:
        """Run a workload, by name or the thing itself; changes: fields of `Experiment` for this run.

        `system` may be the thing itself too. A module must have it under a name, so that a command can replay the run.

        Called from a coroutine it blocks the loop until the run is over. Threads may run several at once.
        The test fails, with one line and no traceback, if such a run can't be.
        """
        # Only tests that run something pay for importing the whole harness.
        from splitbrain.harness.running.run import run

        if self.ended is not None:
            raise self.ended  # A thread that outlived its test starts nothing beside the next one.
        refusal = ""
        try:
            arguments = {"time_limit_s": _TIME_LIMIT_S, **self._given, **changes, **self._forced}
            if "config" in self._forced:
                less = {"config": {}, **self._given, **changes}["config"]
                arguments["config"] = {**less, **settings(self._forced["config"], "--jepsen-config")}
            kind = ENVIRONMENTS.get(self._forced.get("environment", ""))
            if kind is not None and not kind.on_hosts and "hosts" not in self._forced:
                # The test says for which hosts it is meant, and the command line where it is run this time.
                arguments = {name: value for name, value in arguments.items() if name not in ("hosts", "keep")}
            experiment = _experiment(workload, arguments)
            if self._repetition:
                experiment = replace(experiment, seed=experiment.seed + self._repetition)
            with unless_ended(lambda: self.ended):  # A signal may come from here until the run can hear of it.
                result = run(experiment, out=self._out, progress=Progress(quiet=True))
        except (UsageProblem, ResultsError) as problem:
            refusal = str(problem)
        if self.ended is not None:
            raise self.ended
        if refusal:  # Raised where the problem is handled, pytest would show both.
            pytest.fail(refusal, pytrace=False)
        drawn = result.folder / "report.html"
        shown = str(drawn if drawn.exists() else result.folder)
        values = (experiment.workload, result.status, shown, result.command)
        self._item.user_properties += zip(_PROPERTIES, values, strict=True)
        if result.status == "broken":
            pytest.fail("\n".join(result.lines()), pytrace=False)
        self._item.add_report_section("call", f"splitbrain {experiment.workload}", "\n".join(result.lines()))
        watched = WatchedResult.of(result)
        self.results.append(watched)
        return watched


_CLUSTER = pytest.StashKey[Cluster]()


def _experiment(workload: str | Workload, arguments: dict[str, Any]) -> Experiment:
    known = {item.name for item in fields(Experiment)} - {"workload"}
    for name in arguments:
        if name not in known:
            guess = did_you_mean(name, known)
            raise UsageProblem(f"unknown argument {name!r} of a jepsen test; known: {', '.join(sorted(known))}{guess}")
    for name in ("faults", "fail_if"):
        if isinstance(arguments.get(name), str):
            arguments[name] = tuple(each.strip() for each in arguments[name].split(",") if each.strip())
    if arguments.get("hosts"):
        arguments["hosts"] = str(arguments["hosts"])  # A path is one too.
        arguments.setdefault("nodes", usual_nodes(arguments["hosts"]))
    try:
        for name, group, thing in (
            ("workload", WORKLOADS, workload),
            ("system", SYSTEMS, arguments.get("system", DEFAULT_SYSTEM)),
        ):
            arguments[name] = thing if isinstance(thing, str) else name_of(group, thing)
        arguments.setdefault("environment", home(arguments["system"]))
        return msgspec.convert(arguments, Experiment)
    except UnknownName as problem:
        raise UsageProblem(str(problem)) from None
    except msgspec.ValidationError as problem:
        raise UsageProblem(f"an argument of a jepsen test has the wrong type: {problem}") from None
