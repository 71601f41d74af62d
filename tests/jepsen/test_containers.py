"""The same runs in containers: real UDP, sshd, iptables and kill -9. Skipped where no Docker engine answers."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from splitbrain.harness.hosts.containers.leftovers import RUN_LABEL
from splitbrain.harness.hosts.ssh_machine import SshMachine

SHORT = {"environment": "docker", "time_limit_s": 12.0, "rate": 60.0}


def left_behind(engine):
    labelled = {"label": RUN_LABEL}
    return [
        *engine.containers.list(all=True, filters=labelled),
        *engine.networks.list(filters=labelled),
        *engine.volumes.list(filters=labelled),
    ]


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_siblings_lose_nothing_and_the_partition_was_real(docker_engine, cluster):
    result = cluster.run("sets", **SHORT)
    result.require_valid()
    cut, healed = [], []
    for line in (result.folder / "history.jsonl").read_text().splitlines():
        event = json.loads(line)
        evidence = event["value"].get("evidence") if isinstance(event.get("value"), dict) else None
        if evidence is not None and event["f"] == "start-partition":
            cut += [link for link in evidence["links"] if link["cut"]]
        if evidence is not None and event["f"] == "stop-partition":
            healed.append(evidence)
    assert cut
    assert all(not link["heard"] for link in cut)
    # The cut swallowed the store's own datagrams, not only probes.
    assert sum(evidence.get("dropped") or 0 for evidence in healed) > 20
    for node in ("n1", "n5"):
        assert "serving" in (result.folder / "nodes" / node / "splitbrain-store.log").read_text()


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_last_write_wins_loses_acknowledged_writes(docker_engine, cluster):
    result = cluster.run("sets", config={"conflicts": "lww"}, **SHORT)
    assert result.status == "invalid"
    assert result.verdict.parts["lost-writes"].evidence["lost"] > 0


@pytest.mark.jepsen(nodes=5, faults="kill", seed=7)
def test_kill_9_under_load_loses_no_write_acknowledged_as_durable(docker_engine, cluster):
    result = cluster.run("registers", **SHORT)
    result.require_valid()
    assert result.verdict.parts["evidence"].evidence["faults"]["kill"]["effective"] >= 1


FAMILIES = ("packets", "clients", "clock", "power-cut", "stalled-disk")


@pytest.mark.jepsen(nodes=5, faults=",".join(FAMILIES), seed=7)
def test_bad_links_wrong_clocks_and_failing_disks_take_effect_and_cost_nothing_acknowledged(docker_engine, cluster):
    result = cluster.run("registers", environment="docker", time_limit_s=45.0, rate=40.0)
    result.require_valid()
    faults = result.verdict.parts["evidence"].evidence["faults"]
    assert {name: faults[name]["effective"] > 0 for name in FAMILIES} == dict.fromkeys(FAMILIES, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_leaves_nothing_but_its_history(docker_engine, tmp_path, number):
    words = ["run", "sets", "--env", "docker", "--nodes", "3", "--time-limit", "60", "--out", str(tmp_path)]
    run = subprocess.Popen(
        [sys.executable, "-m", "splitbrain.harness.doors.cli", *words], stderr=subprocess.PIPE, text=True
    )
    history = tmp_path / "latest" / "history.jsonl"
    try:
        wait_until(lambda: history.exists() and len(history.read_bytes().splitlines()) > 50)
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert not [thing for thing in left_behind(docker_engine) if owner_is(thing, run.pid)]
    result = json.loads((tmp_path / "latest" / "results.json").read_text())
    assert result["verdict"] in ("broken", "invalid")
    assert (tmp_path / "latest" / "report.html").exists()


TESTS = {
    "a run": "cluster.run('sets', environment='docker', nodes=3, time_limit_s=60)",
    "a run on a thread": """import threading
    run = threading.Thread(target=cluster.run, args=["sets"], kwargs=dict(environment="docker", nodes=3, time_limit_s=60))
    run.start()
    run.join()""",
}


@pytest.mark.parametrize(
    ("body", "number"),
    [("a run", signal.SIGINT), ("a run", signal.SIGTERM), ("a run on a thread", signal.SIGTERM)],
)
def test_a_test_run_that_is_ended_leaves_no_container(docker_engine, tmp_path, body, number):
    (tmp_path / "test_it.py").write_text(f"def test_it(cluster):\n    {TESTS[body]}\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    tests = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    history = tmp_path / "runs" / "latest" / "history.jsonl"
    try:
        wait_until(lambda: tests.poll() is not None or (history.exists() and history.stat().st_size > 5000))
        assert tests.poll() is None
        assert [thing for thing in left_behind(docker_engine) if owner_is(thing, tests.pid)]
        tests.send_signal(number)
        printed, _ = tests.communicate(timeout=40)
    finally:
        if tests.poll() is None:
            tests.kill()
            tests.communicate()
    assert tests.returncode == 2, printed  # "Test execution was interrupted by the user."
    assert "Interrupt" in printed
    assert not [thing for thing in left_behind(docker_engine) if owner_is(thing, tests.pid)]


def test_what_a_sigkill_left_is_removed_by_clean(docker_engine, tmp_path):
    words = ["run", "sets", "--env", "docker", "--nodes", "3", "--time-limit", "60", "--out", str(tmp_path)]
    run = subprocess.Popen([sys.executable, "-m", "splitbrain.harness.doors.cli", *words], stderr=subprocess.DEVNULL)
    history = tmp_path / "latest" / "history.jsonl"
    try:
        wait_until(lambda: history.exists() and len(history.read_bytes().splitlines()) > 50)
    finally:
        run.kill()
        run.wait()
    assert [thing for thing in left_behind(docker_engine) if owner_is(thing, run.pid)]
    clean = [sys.executable, "-m", "splitbrain.harness.doors.cli"]
    done = subprocess.run([*clean, "clean"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "removed" in done.stdout
    assert not [thing for thing in left_behind(docker_engine) if owner_is(thing, run.pid)]
    check = subprocess.run([*clean, "check", history, "--checker", "lost-writes"], capture_output=True, text=True)
    assert check.returncode == 2, check.stderr


LOSSES = {
    "killed": (lambda container, network: container.kill(), "container n3 was stopped from outside (status 137)"),
    "removed": (lambda container, network: container.remove(force=True), "container n3 "),
    "restarted": (lambda container, network: container.restart(timeout=0), "container n3 was "),
    "paused": (lambda container, network: container.pause(), "container n3 was paused from outside"),
    "disconnected": (lambda container, network: network.disconnect(container), "n3 is no longer on the network"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_node_taken_away_from_outside_ends_the_run_within_seconds_as_broken_by_name(docker_engine, tmp_path, kind):
    words = ["run", "sets", "--env", "docker", "--nodes", "3", "--faults", "kill", "--time-limit", "60"]
    run = subprocess.Popen(
        [sys.executable, "-m", "splitbrain.harness.doors.cli", *words, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    history = tmp_path / "latest" / "history.jsonl"
    take_away, told = LOSSES[kind]
    try:
        wait_until(lambda: history.exists() and len(history.read_bytes().splitlines()) > 50)
        [container] = [each for each in owned(docker_engine.containers, run.pid) if each.name.endswith("-n3")]
        [network] = owned(docker_engine.networks, run.pid)
        take_away(container, network)
        printed, _ = run.communicate(timeout=15)
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()
    assert run.returncode == 3
    assert printed.startswith("BROKEN") and told in printed.splitlines()[0]
    stages = [event["value"] for event in map(json.loads, history.read_text().splitlines()) if event["f"] == "stage"]
    assert stages == ["load", "environment-lost"]
    assert not [thing for thing in left_behind(docker_engine) if owner_is(thing, run.pid)]
    check = [sys.executable, "-m", "splitbrain.harness.doors.cli", "check", history]
    for checker in ("lost-writes", "convergence", "evidence"):
        done = subprocess.run([*check, "--checker", checker], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stdout


def owned(things, pid):
    listed = things.list(filters={"label": RUN_LABEL})
    return [thing for thing in listed if owner_is(thing, pid)]


def test_without_an_engine_a_run_is_broken_in_one_line_with_the_remedy(tmp_path):
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    words = ["run", "sets", "--env", "docker", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "splitbrain.harness.doors.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("BROKEN")
    reason = done.stdout.splitlines()[0]
    assert "can't reach the Docker engine" in reason
    assert "DOCKER_HOST" in reason and "start it" in reason


def owner_is(thing, pid):
    marks = thing.attrs.get("Labels") or thing.attrs.get("Config", {}).get("Labels") or {}
    return any(value.startswith(f"{pid} ") for value in marks.values())


def wait_until(condition, patience_s=120.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_a_node_that_lies_about_its_logs_forges_no_verdict_and_writes_nowhere(
    docker_engine, cluster, tmp_path, monkeypatch
):
    outside = tmp_path / "absolute"
    lies = f"printf '%s\\n' {outside} ../../history.jsonl ../../results.json splitbrain-store.log"
    start = SshMachine.start

    async def lying(self, program):
        await start(self, program)
        for name, said in (("ls", lies), ("tail", "echo forged")):
            path = f"/usr/local/bin/{name}"
            await self.connection.check(f"printf '#!/bin/sh\\n%s\\n' {shlex.quote(said)} > {path}; chmod +x {path}")

    monkeypatch.setattr(SshMachine, "start", lying)
    result = cluster.run("sets", config={"conflicts": "lww"}, **SHORT)
    assert result.status == "invalid"
    assert not outside.exists()
    history = (result.folder / "history.jsonl").read_text()
    assert len(history.splitlines()) > 100 and "forged" not in history
    assert json.loads((result.folder / "results.json").read_text())["verdict"] == "invalid"
    assert (result.folder / "nodes/n1/splitbrain-store.log").read_text() == "forged\n"
    assert sum("is no plain name" in note for note in result.notes) == 3 * 5
