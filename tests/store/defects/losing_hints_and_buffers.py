"""Stories of acknowledged writes that were on no disk, or in a hint that is thrown away."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers import History
from splitbrain.harness.simulation.cluster import Host
from splitbrain.store import defects
from splitbrain.store.actions import Persist
from splitbrain.store.config import Config
from tests.store.defects.losing import ONE_REPLICA, the_power_fails_everywhere_right_after_an_acknowledgement
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def stand_ins_fail_right_after_an_acknowledgement(config: Config) -> History:
    run = Recording(config, sync_s=(0.02, 0.03))
    key, homes, strangers = run.key()
    run.kill(*homes)
    run.box.run_for(3.0)
    run.process(strangers[0]).put(key, 1)
    run.kill(*strangers)
    run.restart(*run.box.names)
    return run.finish(key)


def the_only_owner_never_comes_back(config: Config) -> History:
    """Its stand-in has the only copy, and it is removed for good."""
    run = Recording(config, nodes=3)
    key, homes, strangers = run.key()
    run.kill(homes[0])
    run.box.run_for(3.0)
    run.process(strangers[0]).put(key, 1)
    assert run.box.leave(homes[0], via=strangers[0], gone=True).ok
    run.box.run_for(5.0)
    run.stage("recovery", "recovered", "convergence")
    run.poll(key)
    run.stage("final-reads")
    for name in strangers:
        run.process(name).read(key)
    run.stage("end")
    return run.history


def every_disk_is_full(config: Config) -> History:
    """Then the power fails."""
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)

    def refuse(host: Host[Any, Any], persist: Persist) -> None:
        def refused() -> None:
            if host.node is not None:
                run.box.do(host, host.node.persist_refused(persist.ticket, run.box.instant(host)))

        if host.name in homes:
            run.box.at(run.box.now + 0.001, refused)

    for home in homes:
        run.box.hold(home)
    run.box.on_persist = refuse
    run.process(homes[0]).put(key, 2)
    run.kill(*homes)
    run.box.on_persist = lambda host, persist: None
    for home in homes:
        run.box.release(home)
    run.restart(*homes)
    return run.finish(key)


STORIES = (
    Story(defects.HINT_ACKED_FROM_MEMORY, stand_ins_fail_right_after_an_acknowledgement, "lost-writes"),
    Story(defects.HINTS_DIE_WITH_OWNER, the_only_owner_never_comes_back, "lost-writes", config=ONE_REPLICA),
    Story(defects.ACK_FROM_MEMORY, the_power_fails_everywhere_right_after_an_acknowledgement, "lost-writes"),
    Story(defects.FULL_DISK_ACKNOWLEDGED, every_disk_is_full, "lost-writes"),
)
