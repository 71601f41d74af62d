"""Stories told in public bug reports, as small histories: what each checker must say of them.

`docs/reports-tried.md` lists where they come from. The verdicts are reasoned here, beside each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitbrain import checkers
from splitbrain.checkers import History, HistoryError
from tests.checkers.lines import Lines


def story(name: str) -> History:
    with (Path(__file__).parent / f"{name}.edn").open("rb") as lines:
        return checkers.read(lines)


CASES: list[tuple[str, str, dict[str, Any], str, str]] = [
    # The second transaction missed the 4 in key 1, the last one the 3 in key 2: each comes before the other.
    ("write-skew-without-processes", "transactions", {"consistency": "serializable"}, "invalid", "G2-item"),
    ("write-skew-without-processes", "transactions", {"consistency": "snapshot-isolation"}, "valid", ""),
    # x is read before the append that wrote it began, which follows from that read: a circle in time, and only in time.
    ("read-before-it-was-appended", "transactions", {}, "invalid", "G1c-process"),
    ("read-before-it-was-appended", "transactions", {"consistency": "serializable"}, "valid", ""),
    ("own-append-read-too-early", "transactions", {"consistency": "read-committed"}, "invalid", "future-read"),
    ("own-write-read-too-early", "transactions", {"consistency": "read-committed"}, "invalid", "future-read"),
    ("two-writers-read-one-version", "transactions", {"consistency": "serializable"}, "invalid", "future-read"),
    ("read-of-what-nobody-wrote", "transactions", {"consistency": "read-uncommitted"}, "invalid", "garbage-read"),
    # 1 was overwritten by 2, as its writer itself read, and is read again afterwards.
    ("overwritten-value-comes-back", "transactions", {}, "invalid", "cyclic-versions"),
    ("values-seen-within-transactions", "transactions", {"consistency": "read-committed"}, "invalid", "G1b"),
    ("read-of-another-shape", "linearizable", {}, "invalid", "nobody wrote that"),
    # A failed add certainly did not happen, even while the read was open.
    ("failed-add-read", "counter", {}, "invalid", "0 was possible"),
    ("failed-add-read", "linearizable", {"model": "counter"}, "invalid", ""),
    # Between -2 and 7 while both adds are open; 5 afterwards. 4 is no sum of any of them.
    ("counter-goes-up-and-down", "counter", {}, "valid", ""),
    ("counter-goes-up-and-down", "linearizable", {"model": "counter"}, "invalid", ""),
    # The 0 was read first, though it was answered last.
    ("counter-reads-cross", "counter", {}, "valid", ""),
    ("counter-reads-cross", "linearizable", {"model": "counter"}, "valid", ""),
    ("crashed-dequeue-may-have-taken", "total-queue", {}, "valid", ""),
    # The drain may have taken it, and no completion says so.
    ("crashed-drain", "total-queue", {}, "unknown", ""),
    ("dequeue-found-nothing-too-early", "total-queue", {}, "valid", ""),
    ("errors-of-any-shape", "stats", {}, "valid", ""),
    ("errors-of-any-shape", "unhandled-errors", {}, "valid", ""),
    ("set-of-vectors", "lost-writes", {}, "valid", ""),
    ("set-of-vectors", "linearizable", {"model": "set"}, "valid", ""),
    ("added-and-removed", "linearizable", {"model": "set"}, "valid", ""),
]


@pytest.mark.parametrize(("name", "checker", "options", "outcome", "phrase"), CASES)
def test_a_story_from_a_public_report(name: str, checker: str, options: Any, outcome: str, phrase: str) -> None:
    verdict = checkers.check(checker, story(name), **options)
    assert verdict.outcome == outcome, verdict.reason
    assert phrase in verdict.reason + (verdict.witness.text if verdict.witness else "")


def test_every_story_is_told() -> None:
    told = {name for name, *_ in CASES} | {"reads-answered-as-appends"}
    assert told == {path.stem for path in Path(__file__).parent.glob("*.edn")}


def test_a_completion_whose_reads_became_appends_is_refused() -> None:
    with pytest.raises(HistoryError, match="a completion has its invocation's micro-operations") as refused:
        checkers.check("transactions", story("reads-answered-as-appends"))
    assert refused.value.line == 2


def test_a_file_with_a_byte_order_mark_and_lines_of_windows_is_read() -> None:
    lines = [b"{:process 0 :type :%s :f :add :value 1}" % each for each in (b"invoke", b"ok")]
    lines += [b"{:process 0 :type :invoke :f :read :value nil}", b"{:process 0 :type :ok :f :read :value [1]}"]
    history = checkers.read((b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\r\n").splitlines(keepends=True))
    assert checkers.check("lost-writes", history).outcome == "valid"


def test_a_run_in_which_hardly_anything_was_acknowledged_proves_nothing() -> None:
    """All but one add timed out under the partition. Its element is there, and that is no test of the rest."""
    lines = Lines("s").nemesis("stage", "load").ok(0, "add", 1)
    lines.nemesis("start-partition", {"fault": "partition", "phase": "start", "evidence": {"effective": True}})
    for process in range(1, 40):
        lines.crash(process, "add", process + 1)
    lines.nemesis("stop-partition", {"fault": "partition", "phase": "stop", "evidence": {"effective": True}})
    lines.nemesis("stage", "final-reads").ok(40, "read", None, [1]).nemesis("stage", "end")
    verdict = checkers.check("evidence", lines.history)
    assert verdict.outcome == "unknown"
    assert "only 2 operations were ok" in verdict.reason
