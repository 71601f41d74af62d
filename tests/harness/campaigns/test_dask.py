"""A campaign on Dask's workers: processes of a real cluster, one of which is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed")

from splitbrain.harness.campaigns.campaign import Campaign, Stop, created  # noqa: E402
from splitbrain.harness.campaigns.outcomes import OutcomeFile, RunOutcome  # noqa: E402
from splitbrain.harness.campaigns.plan import CampaignPlan  # noqa: E402
from splitbrain.harness.campaigns.workers import dask  # noqa: E402
from splitbrain.harness.running.experiment import UsageProblem  # noqa: E402
from splitbrain.harness.terminal import Progress  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as made:
        yield made


def test_a_campaign_goes_on_after_a_worker_is_killed(cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    plan = CampaignPlan(seed=2, workloads=("registers",), faults=(), time_limit_s=2)
    folder = created(tmp_path, plan)
    address = cluster.scheduler_address.replace("tcp://", "dask://")
    add, seen = OutcomeFile.add, []

    def killing(file: OutcomeFile, outcome: RunOutcome) -> None:
        add(file, outcome)
        seen.append(outcome.index)
        if len(seen) == 2:
            with distributed.Client(cluster) as client:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutcomeFile, "add", killing)
        first = Campaign(plan, folder, dask(address), Stop(runs=6), Progress(quiet=True)).go()
    assert [(outcome.index, outcome.status) for outcome in first.outcomes] == [(index, "valid") for index in range(6)]
    again = Campaign(plan, folder, dask(address), Stop(runs=8), Progress(quiet=True)).go()
    assert [outcome.index for outcome in again.outcomes] == list(range(8))
    assert again.outcomes[:6] == first.outcomes, "what was done is not done again"


def test_no_scheduler_is_one_line() -> None:
    with pytest.raises(UsageProblem, match=r"no Dask scheduler answers at 127.0.0.1:1"):
        dask("dask://127.0.0.1:1")
