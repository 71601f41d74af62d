"""Stories of replicas that never converge."""

from __future__ import annotations

from splitbrain.checkers import History
from splitbrain.store import defects
from splitbrain.store.config import Config
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def a_disk_is_replaced_and_nobody_reads_the_key(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.replace_disk(homes[2])
    return run.finish(key)


def a_home_misses_that_its_value_was_written_again(config: Config) -> History:
    """No hint tells it either: who kept it has lost its disk. The value is the same, and its clock is not."""
    run = Recording(config)
    key, homes, strangers = run.key()
    client = run.process(homes[0])
    client.write(key, "open")
    run.box.run_for(1.0)
    run.kill(homes[2])
    run.box.run_for(3.0)
    client.write(key, "open")
    run.box.run_for(1.0)
    for stranger in strangers:
        run.replace_disk(stranger)
    run.restart(homes[2])
    return run.finish_polls(key, rest_s=10.0)


OFTEN = Config(anti_entropy_s=0.5)
STORIES = (
    Story(
        defects.NO_ANTI_ENTROPY,
        a_disk_is_replaced_and_nobody_reads_the_key,
        "convergence",
        config=OFTEN,
    ),
    Story(defects.MERKLE_IGNORES_CLOCK, a_home_misses_that_its_value_was_written_again, "convergence", config=OFTEN),
)
