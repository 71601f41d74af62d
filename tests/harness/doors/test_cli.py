"""The command line as a user meets it: in a process of its own."""

import gzip
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLI = (sys.executable, "-m", "splitbrain.harness.doors.cli")


def splitbrain(*words, cwd, **options):
    return subprocess.run(
        [*CLI, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A short run that loses writes: its folder, and what the command did."""
    cwd = tmp_path_factory.mktemp("lost")
    words = ["run", "sets", "--faults", "partition", "--seed", 7, "--time-limit", 20, "--rate", 50]
    done = splitbrain(*words, "--config", "conflicts=lww", "--json", cwd=cwd)
    return cwd, done


def test_a_run_that_lost_writes_exits_with_1_and_says_which(lost):
    cwd, done = lost
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "invalid"
    lost_writes = answer["checkers"]["lost-writes"]
    assert lost_writes["lost"] > 0
    assert lost_writes["witness"]["text"]
    assert answer["replay"].startswith("splitbrain run sets --env sim")
    assert answer["checkers"]["evidence"]["verdict"] == "valid"
    assert (cwd / answer["folder"] / "report.html").stat().st_size > 10_000
    assert (cwd / "runs/latest").resolve() == (cwd / answer["folder"]).resolve()


def test_its_history_can_be_checked_again(lost):
    cwd, first = lost
    done = splitbrain(
        "check", "runs/latest", "--checker", "lost-writes", "--json", cwd=cwd
    )  # The folder stands for it.
    assert done.returncode == 1
    expected = json.loads(first.stdout)["checkers"]["lost-writes"]
    assert json.loads(done.stdout) == expected


def test_its_report_can_be_drawn_again(lost):
    cwd, _ = lost
    report = cwd / "runs/latest/report.html"
    before = report.read_text()
    report.unlink()
    done = splitbrain("report", "runs/latest", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert report.read_text() == before


def test_a_history_whose_last_line_was_cut_off_is_checked_up_to_there(lost, tmp_path):
    cwd, _ = lost
    whole = (cwd / "runs/latest/history.jsonl").read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(whole[: len(whole) // 2 - 7])
    done = splitbrain("check", tmp_path / "cut.jsonl", "--checker", "lost-writes", cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("UNKNOWN")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: [*lines[:4], b"garbage\n", *lines[5:]], "line 5: not a history event"),
        (lambda lines: [*lines[:4], *lines[5:]], "line 5: index is 5, expected 4"),
    ],
)
def test_a_corrupted_history_is_refused_with_the_line_that_is_wrong(lost, tmp_path, spoil, said):
    cwd, _ = lost
    with (cwd / "runs/latest/history.jsonl").open("rb") as file:
        lines = file.readlines()
    (tmp_path / "bad.jsonl").write_bytes(b"".join(spoil(lines)))
    done = splitbrain("check", tmp_path / "bad.jsonl", "--checker", "lost-writes", cwd=cwd)
    assert done.returncode == 64
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "sest"], "unknown workload 'sest'; known: append, bank"),
        (["run", "sets", "--faults", "gremlins"], "gremlins"),
        (["run", "sets", "--env", "moon"], "unknown environment 'moon'"),
        (["run", "sets", "--config", "x=1"], "unknown configuration key 'x'"),
        (["run", "sets", "--rate", "fast"], "'fast' is not a valid float"),
        (["run", "sets", "--rate", "0"], "--rate"),
        (["run", "sets", "--rate", "nan"], "rate is nan; give 0.01 to 100000"),
        (["run", "sets", "--time-limit", "inf"], "time_limit_s is inf"),
        (["run", "sets", "--config", "keys=99999999999999999999"], "keys=99999999999999999999: give a whole number"),
        (["run", "sets", "--nodes", "0"], "--nodes"),
        (["run", "sets", "--seed", "-1"], "--seed"),
        (["run"], "Missing argument"),
        (["check", "nowhere.jsonl", "--checker", "lost-writes"], "nowhere.jsonl"),
        (["report", "nowhere"], "nowhere"),
        (
            ["frobnicate"],
            "No such command 'frobnicate'; there are run, check, report, clean, list, replay, shrink, campaign, suite, mutants, new, serve, compare\n",
        ),
        (
            ["rnu", "sets"],
            "No such command 'rnu'; there are run, check, report, clean, list, replay, shrink, campaign, suite, mutants, new, serve, compare; did you mean run?",
        ),
        (["run", "sets", "--frobnicate", "1"], "No such option '--frobnicate'; see "),
        (["run", "sets", "--tiem-limit", "1"], "No such option '--tiem-limit'; did you mean --time-limit?"),
        (["run", "sets", "--fault", "kill"], "No such option '--fault'; did you mean --faults?"),
        (["--versoin"], "No such option '--versoin'; did you mean --version?"),
        (["run", "sets", "--nodes", "2.5"], "'2.5' is no whole number; write it in digits, such as 1000"),
        (["run", "sets", "--seed", "1e99"], "'1e99' is no whole number"),
        (["run", "sets", "--nodes", "1e3"], "1000 is not in the range 1<=x<=99"),
        (["run", "sets", "--config", "keys=2", "--config", "keys=3"], "--config keys is given twice, as 2 and as 3"),
        (["check", "nowhere.jsonl", "--checker", "linearisable"], "did you mean linearizable?"),
    ],
)
def test_wrong_usage_is_one_clear_error_and_exit_code_64(words, said, tmp_path):
    done = splitbrain(*words, cwd=tmp_path)
    assert done.returncode == 64, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_unknown_checker_is_named_beside_the_known_ones(lost):
    cwd, _ = lost
    done = splitbrain("check", "runs/latest/history.jsonl", "--checker", "lost", cwd=cwd)
    assert done.returncode == 64
    assert "lost-writes" in done.stderr


def test_a_history_of_jepsens_is_checked_from_a_file_compressed_or_not_and_from_standard_input(tmp_path):
    lines = [
        "{:type :invoke, :f :read, :process 0, :time 0, :value nil}",
        "{:type :ok, :f :read, :process 0, :time 5000000, :value 1}",
    ]
    text = "\n".join(lines) + "\n"
    (tmp_path / "history.edn").write_text(text)
    (tmp_path / "history.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "history.log").write_text("INFO jepsen - 0 :invoke :read nil\nINFO jepsen - 0 :ok :read 1\n")
    words = ["--checker", "latency", "--option", "sla_ms=6", "--json"]
    answers = [splitbrain("check", name, *words, cwd=tmp_path) for name in ("history.edn", "history.gz", "history.log")]
    answers.append(splitbrain("check", "-", *words, cwd=tmp_path, input=text))
    assert [done.returncode for done in answers] == [0, 0, 0, 0], answers
    assert answers[0].stdout == answers[1].stdout == answers[3].stdout
    assert json.loads(answers[0].stdout)["verdict"] == "valid"


def test_a_file_that_is_no_history_is_one_clear_error(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x00\x01")
    (tmp_path / "utf16").write_text("{:type :ok}", encoding="utf-16")
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"{:type :ok, :f :read, :process 0}")[:-9])
    (tmp_path / "bad.gz").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 30)
    (tmp_path / "broken.edn").write_text("{:type :invoke, :process 0, :f :read}\n{:type :ok\n :f :read}\n")
    (tmp_path / "deep.jsonl").write_text('{"index": 0, "value": ' + "[" * 5000 + "]" * 5000 + "}\n")
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "binary": "binary, line 1: this is no text; a history is JSONL",
        "utf16": "this is UTF-16; a history is UTF-8",
        "torn.gz": "can't read torn.gz (Compressed file ended before",
        "bad.gz": "can't read bad.gz (",
        "broken.edn": "broken.edn, line 2: :process is missing; it must be a number from 0, or :nemesis",
        "deep.jsonl": "deep.jsonl, line 1: nested deeper than 200 levels",
        "pipe": "pipe is no regular file; give a recorded history, or - for standard input",
        ".": "can't read history.jsonl (No such file or directory); give a recorded history",
        "nowhere": "can't read nowhere (No such file or directory); give a recorded history",
    }.items():
        done = splitbrain("check", name, "--checker", "latency", cwd=tmp_path)
        assert done.returncode == 64, (name, done)
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert not done.stdout


def test_an_interrupt_counts_while_the_command_is_still_being_imported(tmp_path):
    code = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "splitbrain.harness.doors.commands":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from splitbrain.harness.doors.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "splitbrain: interrupted\n"


def test_runs_that_can_not_be_stored_are_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = splitbrain("run", "sets", "--time-limit", 1, "--out", "file", cwd=tmp_path)
    assert done.returncode == 64
    assert "--out" in done.stderr


def test_the_list_says_what_workloads_need_and_systems_offer(tmp_path):
    done = splitbrain("list", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("sets", "registers", "dynamo", "partition", "kill", "docker", "lost-writes", "convergence"):
        assert name in done.stdout
    rows = [re.split(r"  +", line.strip(), maxsplit=2) for line in done.stdout.splitlines()]
    assert ["sets", "needs VersionedStore"] in [row[:2] for row in rows]
    assert ["dynamo", "offers VersionedStore"] in rows
    columns = {line.index("needs ") for line in done.stdout.splitlines() if re.match(r"  \S+ +needs [A-Z]", line)}
    assert len(columns) == 1


def test_the_list_as_json_has_the_same_for_programs(tmp_path):
    done = splitbrain("list", "--json", cwd=tmp_path)
    listed = json.loads(done.stdout)
    assert {"sets", "registers"} <= {each["name"] for each in listed["workloads"] if each["needs"] == "VersionedStore"}
    assert {"keys": "8", "lock": "false"} in [each["config"] for each in listed["workloads"]]
    assert [each["offers"] for each in listed["systems"] if each["name"] == "dynamo"] == [["VersionedStore"]]
    assert "lost-writes" in {each["name"] for each in listed["checkers"]}
    assert listed["broken"] == []


def installed(folder, name, entry_points, source):
    """A package that registers workloads or systems, as pip would leave it in the folder."""
    (folder / f"{name}.py").write_text(source)
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found' at torn.py:1"),
        ("raise SystemExit(0)", "SystemExit: 0 at torn.py:1"),
        ("WORKLOAD = 7", "AttributeError: 'int' object has no attribute 'interface'"),
    ],
)
def test_one_broken_package_does_not_break_the_list(tmp_path, source, reason):
    installed(tmp_path, "torn", "[splitbrain.workloads]\ntattered = torn:WORKLOAD\n", source)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = splitbrain("list", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"! workload tattered can't be loaded: {reason}; correct its package" in done.stdout
    assert "registers" in done.stdout and "lost-writes" in done.stdout
    listed = json.loads(splitbrain("list", "--json", cwd=tmp_path, env=environment).stdout)
    assert listed["broken"] == [{"kind": "workload", "name": "tattered", "reason": f"{reason}; correct its package"}]


def test_the_version_is_that_of_the_package(tmp_path):
    expected = f"splitbrain {importlib.metadata.version('splitbrain')}\n"
    command = [sys.executable, "-m", "splitbrain", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("splitbrain r", ["replay", "report", "run"]),
        ("splitbrain run se", ["sessions", "sets"]),
        ("splitbrain run sets --system dy", ["dynamo"]),
        ("splitbrain run sets --env d", ["docker"]),
        ("splitbrain run sets --faults pa", ["partition", "packets", "pause"]),
        ("splitbrain run sets --faults kill,pa", ["kill,partition", "kill,packets", "kill,pause"]),
        ("splitbrain run sets --faults partition,pa", ["partition,packets", "partition,pause"]),
        ("splitbrain run sets --faults kill,partition/h", ["kill,partition/halves"]),
        ("splitbrain run sets --faults pause=m", ["pause=minority", "pause=majority"]),
        ("splitbrain run sets --faults packets/loss=h", ["packets/loss=halves"]),
        ("splitbrain check h.jsonl --checker con", ["convergence"]),
    ],
)
def test_a_shell_completes_commands_and_names(tmp_path, words, completed):
    installed(tmp_path, "torn", "[splitbrain.workloads]\ntattered = torn:WORKLOAD\n", "raise SystemExit(0)")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "_SPLITBRAIN_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = splitbrain(cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == completed


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_one_seed_gives_one_history_byte_for_byte_whatever_the_hash_seed(tmp_path, hash_seed):
    words = ["run", "registers", "--faults", "partition,kill,pause", "--seed", 11, "--time-limit", 12]
    histories = []
    for other in (hash_seed, "777"):
        out = tmp_path / f"with {other}"
        done = splitbrain(*words, "--out", out, cwd=tmp_path, env={"PYTHONHASHSEED": other})
        assert done.returncode in (0, 1, 2), done.stderr
        histories.append((out / "latest/history.jsonl").read_bytes())
    assert histories[0] == histories[1]
    assert len(histories[0].splitlines()) > 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_simulation_is_judged_up_to_there_whatever_else_is_sent(tmp_path, number):
    words = ["run", "sets", "--time-limit", "3000", "--faults", "partition", "--seed", "3", "--out", str(tmp_path)]
    run = subprocess.Popen([*CLI, *words], stderr=subprocess.PIPE, text=True)
    history = tmp_path / "latest/history.jsonl"
    deadline = time.monotonic() + 60
    while not (history.exists() and history.stat().st_size > 10_000):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    run.send_signal(number)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert str(tmp_path) in errors
    assert json.loads((tmp_path / "latest/results.json").read_text())["verdict"] in ("broken", "invalid")
    assert (tmp_path / "latest/report.html").exists()


def test_output_that_can_not_be_printed_is_an_error_and_a_reader_that_left_is_not(lost, tmp_path):
    cwd, _ = lost
    check = [*CLI, "check", "runs/latest/history.jsonl", "--checker", "evidence"]
    run = [*CLI, "run", "sets", "--time-limit", "2", "--seed", "1"]
    for words in (check, [*run, "--out", str(tmp_path)]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(words, cwd=cwd, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 3
        assert done.stderr.endswith("splitbrain: can't write to standard output: No space left on device\n")
    # Whatever the terminal took: the run itself was stored as what it was.
    assert json.loads((tmp_path / "latest/results.json").read_text())["verdict"] == "valid"
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(check, cwd=cwd, stdout=full, stderr=full, timeout=60).returncode == 3
    shell = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *check], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert (shell.returncode, shell.stderr) == (3, "splitbrain: can't write to standard output: it is closed\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(check, cwd=cwd, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_standard_input_may_be_compressed_and_must_be_open(tmp_path):
    text = b"{:type :invoke, :f :read, :process 0}\n{:type :ok, :f :read, :process 0, :value 1}\n"
    check = [*CLI, "check", "-", "--checker", "latency", "--option", "sla_ms=6"]
    for written in (text, gzip.compress(text)):
        done = subprocess.run(check, cwd=tmp_path, input=written, capture_output=True, timeout=60)
        assert done.returncode == 0, done
    shell = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *check], cwd=tmp_path, capture_output=True, text=True)
    assert shell.returncode == 64
    assert shell.stderr == "splitbrain: standard input is closed; give a file, or something to read from\n"
