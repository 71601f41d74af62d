"""Stories of deleted values that come back.

To a register of values a delete is a write of null. One client does one thing after the other, so there is one order of
all it did, and in that a value that was deleted is never read again: the checker is `linearizable`.
"""

from __future__ import annotations

from splitbrain.checkers import History
from splitbrain.store import defects
from splitbrain.store.config import Config
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def a_home_misses_a_delete(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    client = run.process(homes[0])
    client.write(key, "here")
    run.box.run_for(1.0)
    run.kill(homes[2])
    run.box.run_for(3.0)
    client.look(key)
    client.write(key, None)
    client.look(key)
    run.restart(homes[2])
    run.box.run_for(3.0)
    for _ in range(3):
        client.look(key)
        run.box.run_for(1.0)
    return run.history


def a_home_is_away_for_longer_than_tombstones_are_kept(config: Config) -> History:
    """Nor will a hint tell it of the delete: who kept it has lost its disk."""
    run = Recording(config)
    key, homes, strangers = run.key()
    client = run.process(homes[0])
    client.write(key, "here")
    run.box.run_for(1.0)
    run.kill(homes[2])
    run.box.run_for(3.0)
    client.look(key)
    client.write(key, None)
    run.box.run_for(1.0)
    for stranger in strangers:
        run.replace_disk(stranger)
    run.box.run_for(120.0)
    run.restart(homes[2])
    run.box.run_for(3.0)
    for _ in range(3):
        client.look(key)
        run.box.run_for(1.0)
    return run.history


REGISTER = {"model": "register"}
STORIES = (
    Story(defects.PHYSICAL_DELETE, a_home_misses_a_delete, "linearizable", REGISTER),
    Story(
        defects.EARLY_REAP,
        a_home_is_away_for_longer_than_tombstones_are_kept,
        "linearizable",
        REGISTER,
        Config(tombstone_grace_s=1.0),
    ),
)
