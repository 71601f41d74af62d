from __future__ import annotations

import gzip
import json
import multiprocessing
import re
import threading
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from click.testing import CliRunner

from splitbrain.checkers import History, HistoryError, Verdict, Witness
from splitbrain.checkers.registry import Checker
from splitbrain.harness.doors import check
from splitbrain.harness.doors.commands import cli
from splitbrain.harness.running.experiment import UsageProblem


def sees(
    history: History, *, depth: Annotated[int, msgspec.Meta(ge=0)] = 0, logs: dict[str, str] | None = None
) -> Verdict:
    return Verdict.valid("all was seen", depth=depth, logs=logs, ratio=float("nan"))


def misses(history: History, *, timeout_s: float | None = None) -> Verdict:
    return Verdict.invalid("much was missed", Witness("\n".join(f"line {n}" for n in range(40))), timeout_s=timeout_s)


def crashes(history: History) -> Verdict:
    raise TypeError("no such thing")


def refuses(history: History) -> Verdict:
    raise HistoryError(3, "process 1 'add': null is no element")


CHECKERS = {c.__name__: Checker(c.__name__, "", c) for c in (sees, misses, crashes, refuses)}


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`splitbrain check` of an empty history, with the checkers above."""
    monkeypatch.setattr("splitbrain.checkers.registry.CHECKERS", CHECKERS)
    monkeypatch.setattr("splitbrain.harness.doors.commands.gc.freeze", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history.edn").write_text("")

    def invoke(*words: str) -> Any:
        return CliRunner().invoke(cli, ["check", "history.edn", *words])

    return invoke


def test_one_checker_s_verdict_is_its_own(invoke: Any) -> None:
    done = invoke("--checker", "sees", "--option", "depth=3", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "verdict": "valid",
        "reason": "all was seen",
        "depth": 3,
        "logs": {},
        "ratio": None,
    }


def test_output_is_strictly_json_on_one_line(invoke: Any) -> None:
    output = invoke("--checker", "sees", "--json").output
    assert output.count("\n") == 1
    assert "NaN" not in output


def test_an_invalid_history_exits_with_1_and_shows_a_witness_of_bounded_length(invoke: Any) -> None:
    done = invoke("--checker", "misses", "--timeout", "2.5")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[:2] == ["INVALID: much was missed", "line 0"]
    assert lines[-1] == "... (26 more lines with --json)"
    assert len(lines) <= 20


def test_several_checkers_are_composed_and_options_go_where_they_belong(invoke: Any) -> None:
    done = invoke("--checker", "sees", "--checker", "misses", "--timeout", "2.5", "--option", "depth=1", "--json")
    assert done.exit_code == 1
    answer = json.loads(done.output)
    assert answer["verdict"] == "invalid"
    assert answer["checkers"]["sees"]["depth"] == 1
    assert answer["checkers"]["misses"]["timeout_s"] == 2.5
    text = invoke("--checker", "sees", "--checker", "misses").output
    assert text.splitlines()[-2:] == ["  valid    sees: all was seen", "  invalid  misses: much was missed"]


def test_a_checker_that_fails_is_broken_and_no_verdict(invoke: Any) -> None:
    done = invoke("--checker", "crashes")
    assert done.exit_code == 3
    assert re.fullmatch(r"BROKEN: broken: crashes \(TypeError: no such thing at .*test_check\.py:\d+\)\n", done.output)
    answer = json.loads(invoke("--checker", "crashes", "--json").output)
    assert answer["verdict"] == "broken"
    assert answer["broken"]["crashes"].startswith("TypeError: no such thing at ")


def test_a_checker_that_fails_does_not_hide_what_another_found(invoke: Any) -> None:
    assert invoke("--checker", "crashes", "--checker", "sees").exit_code == 3
    assert invoke("--checker", "crashes", "--checker", "misses").exit_code == 1


def leaves(history: History) -> Verdict:
    raise SystemExit(0)


def test_a_checker_that_ends_the_program_is_broken(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKERS, "leaves", Checker("leaves", "", leaves))
    for words in (["--checker", "leaves"], ["--checker", "leaves", "--checker", "sees"]):
        done = invoke(*words)
        assert done.exit_code == 3
        assert "leaves (SystemExit: 0 at " in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["linearizable", "--model", "regster"], "there is no model 'regster'; there are register,"),
        (["linearizable", "--model", "mods"], "; one of your own is --model module:ATTRIBUTE"),
        (["transactions", "--consistency", "strictly"], "there is no consistency model 'strictly'; there are"),
        (["log-patterns", "--option", "pattern=("], "'(' is no regular expression"),
        (["linearizable", "--timeout", "nan"], "--timeout: linearizable: option timeout_s can't be nan"),
    ],
)
def test_a_wrong_option_is_the_user_s_with_several_checkers_and_without_a_file(words: list[str], said: str) -> None:
    for more in ([], ["--checker", "stats"]):
        problem = CliRunner().invoke(cli, ["check", "nowhere.jsonl", "--checker", *words, *more]).exception
        assert isinstance(problem, UsageProblem)
        assert said in str(problem)


def test_a_file_that_was_cut_off_is_judged_and_said_to_be(invoke: Any, tmp_path: Path) -> None:
    assert "truncated" not in json.loads(invoke("--checker", "sees", "--json").output)
    (tmp_path / "history.edn").write_text("{:type :invoke, :process 0, :f :read}\n\n{:type :ok,\n :proc")
    said = json.loads(invoke("--checker", "sees", "--json").output)
    assert (said["truncated"], said["cut_at"]) == (True, 3)
    last = invoke("--checker", "sees").output.splitlines()[-1]
    assert last == "the file was cut off at line 3; what came before was judged"


PAIR = "{:type :invoke, :process 0, :f :read}\n{:type :ok, :process 0, :f :read}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"[{PAIR}", 2),
        (f"({PAIR}", 2),
        (f"[\n{PAIR}{{:type :inv", 4),
        (f"{PAIR}{{:type", 3),
        (f"{PAIR}{{:type :invoke, :process 1,\n :f :read, :value [1", 3),
    ],
    ids=["vector", "list", "inside a vector", "map", "value"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_edn_that_was_cut_off_is_never_judged_silently_as_if_whole(
    invoke: Any, tmp_path: Path, text: str, line: int, compressed: bool
) -> None:
    data = gzip.compress(text.encode()) if compressed else text.encode()
    (tmp_path / "history.edn").write_bytes(data)
    for checkers in (["--checker", "sees"], ["--checker", "sees", "--checker", "misses"]):
        said = json.loads(invoke(*checkers, "--json").output)
        assert (said["truncated"], said["cut_at"]) == (True, line)
        assert invoke(*checkers).output.splitlines()[-1] == (
            f"the file was cut off at line {line}; what came before was judged"
        )


def test_edn_whose_vector_ends_is_not_called_cut_off(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text(f"[{PAIR}]")
    assert "cut_at" not in json.loads(invoke("--checker", "sees", "--json").output)
    assert "cut off" not in invoke("--checker", "sees").output


def test_a_history_that_a_checker_refuses_is_named_with_the_event(invoke: Any) -> None:
    problem = invoke("--checker", "refuses").exception
    assert isinstance(problem, UsageProblem)
    assert str(problem) == "history.edn, event 3: process 1 'add': null is no element; record it again, or correct it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--checker", "sees", "--option", "dept=1"],
            "--option dept: no such option; sees has depth, logs; did you mean depth?",
        ),
        (["--checker", "sees", "--timeout", "1"], "--timeout: no such option; sees has depth, logs"),
        (["--checker", "sees", "--memory", "1"], "--memory: no such option"),
        (["--checker", "sees", "--model", "register"], "--model: no such option"),
        (["--checker", "sees", "--consistency", "serializable"], "--consistency: no such option"),
        (["--checker", "sees", "--jobs", "2"], "--jobs: no such option"),
        (["--checker", "crashes", "--timeout", "1"], "--timeout: no such option; crashes has none"),
        (["--checker", "sees", "--checker", "misses", "--model", "x"], "sees and misses has depth, logs, timeout_s"),
        (
            ["--checker", "sees", "--option", "depth=1", "--option", "depth=1"],
            "--option depth is given twice, as 1 and as 1; give it once",
        ),
        (
            ["--checker", "misses", "--timeout", "1", "--option", "timeout_s=1"],
            "--timeout and --option timeout_s say the same thing; give one of them",
        ),
        (["--checker", "linearizable", "--option", "executor=2"], "--option executor: give --jobs instead"),
        (["--checker", "sees", "--option", "depth=-1"], "--option depth: sees: option depth can't be -1"),
        (["--checker", "sees", "--option", 'depth="deep"'], "option depth can't be 'deep'"),
    ],
)
def test_an_option_that_does_not_exist_or_fit_is_named_beside_those_that_do(
    invoke: Any, words: list[str], said: str
) -> None:
    problem = invoke(*words).exception
    assert isinstance(problem, UsageProblem)
    assert said in str(problem)


def test_wrong_options_are_refused_before_the_history_is_read(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text("{:rubbish}")
    assert "no such option" in str(invoke("--checker", "sees", "--timeout", "1").exception)


def test_a_checker_that_wants_logs_gets_those_of_the_run(invoke: Any, tmp_path: Path) -> None:
    for name, text in (("n2/a.log", b"two"), ("n1/b.log", b"\xff"), ("n1/core", b"no log")):
        (tmp_path / "nodes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nodes" / name).write_bytes(text)
    found = json.loads(invoke("--checker", "sees", "--json").output)["logs"]
    assert found == {"n1/b.log": "�", "n2/a.log": "two"}
    own = invoke("--checker", "sees", "--option", 'logs={"x": "y"}', "--json").output
    assert json.loads(own)["logs"] == {"x": "y"}


def test_the_likeliest_checker_is_named() -> None:
    with pytest.raises(UsageProblem, match=r"there is no checker 'latncy'; there are .*; did you mean latency\?"):
        check.chosen(["latncy"])
    assert [checker.name for checker in check.chosen(["latency", "siblings", "latency"])] == ["latency", "siblings"]


MODELS = """
from splitbrain.checkers.linearizability import Model
class Lamp(Model):
    state = "off"
    def step(self, state, call): return (state,)
class Sealed(Lamp):
    def __init__(self): self.key = lambda: 1
class Candle:
    def step(self, state, call): return (state,)
class Picky(Lamp):
    def __init__(self, colour): ...
LAMP = Lamp()
"""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "lamps_of_test_judging.py").write_text(MODELS)
    (tmp_path / "leaving_of_test_judging.py").write_text("raise SystemExit(0)")
    (tmp_path / "torn_of_test_judging.py").write_text("def")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return tmp_path


def test_a_model_is_a_name_or_a_model_of_one_s_own(here: Path) -> None:
    assert check.model("register") == "register"
    assert check.model("lamps_of_test_judging:LAMP").state == "off"
    assert check.model("lamps_of_test_judging:Lamp").state == "off"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere_to_be_found:X", "can't import nowhere_to_be_found (ModuleNotFoundError: No module named"),
        (":X", "can't import a module without a name"),
        ("torn_of_test_judging:X", "can't import torn_of_test_judging (SyntaxError"),
        ("leaving_of_test_judging:X", "can't import leaving_of_test_judging (SystemExit: 0"),
        ("lamps_of_test_judging:LAMB", "lamps_of_test_judging has no LAMB; did you mean LAMP?"),
        ("lamps_of_test_judging:", "lamps_of_test_judging has no name"),
        ("lamps_of_test_judging:Candle", "must be a splitbrain.checkers.linearizability.Model, and is of type Candle"),
        ("lamps_of_test_judging:Picky", "can't make one (TypeError: "),
    ],
)
def test_a_model_that_can_not_be_had_is_refused_with_the_cause(here: Path, name: str, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        check.model(name)
    assert str(caught.value).startswith(f"--model {name}: ")
    assert said in str(caught.value)


def test_a_model_for_several_processes_must_be_one_that_can_be_sent(here: Path) -> None:
    chosen = check.chosen(["linearizable"])
    flags = {"model": "--model", "executor": "--jobs"}
    with check.workers(2) as executor:
        lamp = check.model("lamps_of_test_judging:Lamp")
        assert check.options_for(chosen, {"model": lamp, "executor": executor}, flags)["linearizable"]["model"] is lamp
        sealed = check.model("lamps_of_test_judging:Sealed")
        with pytest.raises(UsageProblem) as caught:
            check.options_for(chosen, {"model": sealed, "executor": executor}, flags)
        assert str(caught.value).startswith("--model: the model can't be sent to other processes (")
        assert str(caught.value).endswith("; run with --jobs 1, or define it so that it can be pickled")
        assert " at 0x" not in str(caught.value)
    assert check.options_for(chosen, {"model": sealed}, flags)


def test_an_object_in_an_option_s_place_is_shown_without_its_address() -> None:
    with pytest.raises(ValueError, match="option model can't be a object: Expected"):
        check.chosen(["linearizable"])[0].accept({"model": object()})


def test_one_job_needs_no_processes() -> None:
    with check.workers(1) as executor:
        assert executor is None
    assert msgspec.convert(None, Executor | None) is None


def _wait(_: int) -> None:
    threading.Event().wait()


def test_processes_end_with_the_check_even_in_the_middle_of_their_work() -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt), check.workers(2) as executor:
        assert executor is not None
        assert executor.submit(abs, -5).result(timeout=60) == 5
        waiting = [executor.submit(_wait, n) for n in range(3)]
        started = set(multiprocessing.active_children()) - before
        assert started
        raise KeyboardInterrupt
    deadline = time.monotonic() + 60
    # A child that the pool's own thread is just reaping counts as alive for a moment.
    while any(child.is_alive() for child in started):
        assert time.monotonic() < deadline
    assert not any(each.done() and not each.cancelled() and each.exception() is None for each in waiting)
