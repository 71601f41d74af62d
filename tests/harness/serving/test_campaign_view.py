"""Campaigns and suites: failures by signature over all of them, and a broken list that hides no other."""

from __future__ import annotations

import msgspec
import pytest

from splitbrain.harness.campaigns.outcomes import RunOutcome
from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.serving.campaign_view import campaigns_of, known_failures, suites_of
from splitbrain.harness.serving.run_index import RunIndex
from splitbrain.harness.suites.suite import CaseOutcome

LOST = Signature("lost-writes", "lost", ("kill",), ("put ok", "read ok"))
CYCLE = Signature("transactions", "G1c")


@pytest.fixture
def index(root) -> RunIndex:
    def campaign(name: str, *outcomes: RunOutcome) -> None:
        folder = root / "campaigns" / name
        folder.mkdir(parents=True)
        (folder / "campaign.json").write_text("{}")
        (folder / "results.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(outcomes))

    def outcome(number: int, status: str, *signatures: Signature) -> RunOutcome:
        folder = "" if status == "valid" else f"runs/{number:06d}"
        return RunOutcome(
            number, "sets", f"splitbrain run {number}", status, "why", signatures=signatures, folder=folder
        )

    campaign("20261101T000000Z", outcome(0, "valid"), outcome(1, "invalid", LOST), outcome(2, "invalid", LOST))
    campaign("20261102T000000Z", outcome(0, "invalid", LOST, CYCLE), outcome(1, "broken"))
    campaign("20261103T000000Z")
    (root / "campaigns" / "20261103T000000Z" / "results.jsonl").write_text("{}\n")
    for name, content in (("20261101T000000Z", None), ("20261102T000000Z", b"{}\n")):
        folder = root / "suites" / name
        folder.mkdir(parents=True)
        cases = [
            CaseOutcome("a", "etcd", "sets", "splitbrain run", "valid", "valid", "fine", folder="runs/sets/1"),
            CaseOutcome("b", "etcd", "sets", "splitbrain run", "invalid", "valid", "fine"),
        ]
        (folder / "results.jsonl").write_bytes(content or msgspec.json.Encoder().encode_lines(cases))
    found = RunIndex([root])
    found.refresh()
    return found


def test_failures_are_counted_by_signature_over_all_campaigns(index):
    known = known_failures(campaigns_of(index.campaigns()))
    assert [(each.signature, each.runs, len(each.campaigns)) for each in known] == [(LOST, 3, 2), (CYCLE, 1, 1)]
    assert known[0].first == "runs/campaigns/20261102T000000Z/runs/000000", "the newest campaign's"
    assert known[0].command == "splitbrain run 0"


def test_a_campaign_has_its_runs_by_verdict_and_a_broken_one_says_why(index):
    newest, middle, oldest = campaigns_of(index.campaigns())
    assert (oldest.counts["runs"], oldest.counts["valid"], oldest.counts["invalid"]) == (3, 1, 2)
    assert (middle.counts["broken"], middle.problem) == (1, "")
    assert "results.jsonl, line 1: Object missing required field `index`" in newest.problem and not newest.outcomes


def test_a_suite_has_what_came_out_as_wanted_and_a_broken_one_says_why(index):
    newest, oldest = suites_of(index.suites())
    assert (oldest.passed, len(oldest.outcomes), oldest.problem) == (1, 2, "")
    assert "results.jsonl can't be read" in newest.problem
