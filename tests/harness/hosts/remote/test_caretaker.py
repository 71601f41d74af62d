"""The caretaker as it runs on a host: taken by many at once, and written for old Pythons."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from splitbrain.harness.hosts.remote.host_needs import PYTHON
from splitbrain.harness.hosts.remote.stay import AGENT
from tests.harness.hosts.remote.played_hosts import PlayedHosts

# Each takes the host for a run of its own, at the same time as the others, and looks at once.
RACE = """
for run in 1 2 3 4 5 6; do
    (printf '{"run": "%s", "owner": "", "by": "", "lease_s": 60, "process": "/run/splitbrain.pid", "ended": "/run/x",
        "logs": "/root/none", "pages": "/root/none", "libraries": "/root/none"}' $run |
        python3 -c "$(cat /root/caretaker.py)" take > /root/race-$run) &
done
while [ "$(ls /root/race-* 2>/dev/null | wc -l)" -lt 6 ]; do :; done
wait
cat /root/race-*
"""


def test_of_many_that_take_a_host_at_once_one_has_it_and_the_others_see_that_it_lives(hosts: PlayedHosts) -> None:
    db1 = hosts["db1"]
    db1.put("/root/caretaker.py", AGENT.read_text())
    try:
        for _ in range(3):
            answers = [json.loads(line)["held"] for line in db1.shell(RACE).splitlines()]
            assert len(answers) == 6
            assert answers.count(None) == 1
            (holder,) = {answer["run"] for answer in answers if answer}
            assert answers[int(holder) - 1] is None
            assert all(answer["leased"] for answer in answers if answer)
            asked = json.dumps({"run": holder, "grace_s": 1})
            undone = db1.shell(f"echo '{asked}' | python3 -c \"$(cat /root/caretaker.py)\" undo")
            assert json.loads(undone)["failed"] == []
    finally:
        db1.shell("rm -f /root/caretaker.py /root/race-*")


@pytest.mark.parametrize("agent", sorted(AGENT.parent.glob("*.py")), ids=lambda path: path.stem)
def test_what_runs_on_hosts_is_written_for_the_oldest_python_that_is_let_in(agent: Path) -> None:
    ast.parse(agent.read_text(), feature_version=PYTHON)


def test_two_that_undo_one_run_and_take_the_host_leave_it_to_one_of_them(hosts: PlayedHosts) -> None:
    """As two runs do that begin together and find a dead one."""
    db1 = hosts["db1"]
    db1.put("/root/caretaker.py", AGENT.read_text())
    marker = {"owner": "", "by": "", "lease_s": 60, "process": "/run/splitbrain.pid", "ended": "/run/x"}
    marker |= dict.fromkeys(("logs", "pages", "libraries"), "/root/none")
    care = 'python3 -c "$(cat /root/caretaker.py)"'
    db1.put("/root/dead", json.dumps({**marker, "run": "dead"}))
    db1.put("/root/undo", json.dumps({"run": "dead", "grace_s": 3}))
    # What ignores SIGTERM makes the undoing last as long as it may.
    stubborn = "SPLITBRAIN_RUN=dead setsid sh -c 'trap : TERM; while :; do sleep 1; done' >/dev/null 2>&1 &"
    lines = [f"{care} take < /root/dead", stubborn]
    for run in ("one", "other"):
        db1.put(f"/root/{run}", json.dumps({**marker, "run": run}))
        late = "sleep 1; " if run == "other" else ""
        lines.append(f"({late}{care} undo < /root/undo; {care} take < /root/{run}) > /root/said-{run} &")
    try:
        db1.shell("\n".join([*lines, "wait"]))
        said = {run: json.loads(db1.shell(f"tail -n 1 /root/said-{run}"))["held"] for run in ("one", "other")}
        (winner,) = [run for run, held in said.items() if held is None]
        (loser,) = said.keys() - {winner}
        assert said[loser]["run"] == winner
        held = json.loads(db1.shell(f"echo '{{}}' | {care} look"))["held"]
        assert (held["run"], held["leased"]) == (winner, True)
    finally:
        for run in ("one", "other"):
            db1.shell(f"echo '{json.dumps({'run': run, 'grace_s': 1})}' | {care} undo")
        db1.shell("rm -f /root/*")
