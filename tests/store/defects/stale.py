"""Stories of reads that are stale for longer than they should be."""

from __future__ import annotations

from splitbrain.checkers import History
from splitbrain.store import defects
from splitbrain.store.config import Config
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def a_stand_in_is_asked_just_after_a_partition(config: Config) -> History:
    """It still suspects all homes, holds nothing itself, and could ask them."""
    run = Recording(config)
    key, homes, strangers = run.key()
    run.process(homes[0]).put(key, 1)
    run.isolate(strangers[0])
    run.box.run_for(5.0)
    run.heal()
    run.process(strangers[0]).read(key, r=1)
    return run.history


def a_stale_home_is_asked_after_a_read_has_met_it(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.replace_disk(homes[2])
    run.process(homes[0]).read(key)
    run.box.run_for(2.0)
    run.process(homes[2]).read(key, r=1)
    return run.history


def a_home_without_a_disk_is_asked(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.replace_disk(homes[2])
    run.process(homes[2]).read(key)
    return run.history


NEVER_STALE = {"max_k": 0}
STORIES = (
    Story(defects.FALLBACK_NOT_FOUND, a_stand_in_is_asked_just_after_a_partition, "staleness", NEVER_STALE),
    Story(
        defects.NO_READ_REPAIR,
        a_stale_home_is_asked_after_a_read_has_met_it,
        "staleness",
        NEVER_STALE,
        # Else it might have been there first.
        Config(anti_entropy_s=0),
    ),
    Story(defects.QUORUM_OF_ONE, a_home_without_a_disk_is_asked, "staleness", NEVER_STALE, Config(anti_entropy_s=0)),
)
