"""Campaigns and suites as the list of runs shows them: their runs, and their failures by signature.

A list of results that can't be read is named with what is wrong with it, and hides no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitbrain.harness.campaigns.outcomes import RESULTS, RunOutcome, counts, failures, read_outcomes
from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.results import ResultsError
from splitbrain.harness.serving.run_index import Found
from splitbrain.harness.suites.suite import CaseOutcome
from splitbrain.harness.suites.suite import read_outcomes as read_cases


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign. problem: why its results can't be read; "" if they can."""

    id: str
    outcomes: Sequence[RunOutcome]
    problem: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Its runs by verdict, and `runs`."""
        return counts(self.outcomes)


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """Failures of one signature in all campaigns.

    runs: how many. campaigns: ids of those that have it, the newest first. first: the id of the run of the lowest
    number in the newest of them, "" if its folder was not kept. reason, command: that run's.
    """

    signature: Signature
    runs: int
    campaigns: tuple[str, ...]
    first: str
    reason: str
    command: str


@dataclass(frozen=True, slots=True)
class SuiteView:
    """A suite. problem: why its results can't be read; "" if they can."""

    id: str
    outcomes: Sequence[CaseOutcome]
    problem: str = ""

    @property
    def passed(self) -> int:
        return sum(outcome.passed for outcome in self.outcomes)


def campaigns_of(found: Sequence[Found]) -> list[CampaignView]:
    """The campaigns in these folders, in the same order. O(bytes of their results)."""
    views = []
    for each in found:
        try:
            views.append(CampaignView(each.id, read_outcomes(each.root / each.folder / RESULTS)))
        except ResultsError as problem:
            views.append(CampaignView(each.id, (), str(problem)))
    return views


def known_failures(campaigns: Sequence[CampaignView]) -> list[KnownFailure]:
    """The failures of all campaigns by signature, the most frequent first. campaigns: the newest first. O(n)."""
    found: dict[Signature, KnownFailure] = {}
    for campaign in campaigns:
        for failure in failures(campaign.outcomes):
            known = found.get(failure.signature)
            if known is None:
                first = failure.first
                run = f"{campaign.id}/{first.folder}" if first.folder else ""
                known = KnownFailure(failure.signature, 0, (), run, first.reason, first.command)
            found[failure.signature] = KnownFailure(
                known.signature,
                known.runs + failure.runs,
                (*known.campaigns, campaign.id),
                known.first,
                known.reason,
                known.command,
            )
    return sorted(found.values(), key=lambda known: (-known.runs, known.signature))


def suites_of(found: Sequence[Found]) -> list[SuiteView]:
    """The suites in these folders, in the same order. O(bytes of their results)."""
    views = []
    for each in found:
        try:
            views.append(SuiteView(each.id, read_cases(each.root / each.folder)))
        except UsageProblem as problem:
            views.append(SuiteView(each.id, (), str(problem)))
    return views
