"""Stories of acknowledged writes that are lost beside their siblings."""

from __future__ import annotations

from splitbrain.checkers import History
from splitbrain.store import defects
from splitbrain.store.config import Config
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def a_client_that_knows_nothing_puts(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.process(homes[0]).put(key, 2)
    return run.finish(key)


def a_client_deletes_what_it_knows(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    one = run.process(homes[0])
    one.put(key, 1)
    run.process(homes[0]).put(key, 2)
    one.delete(key, 3)
    return run.finish(key)


def a_client_puts_twice_beside_another(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    other = run.process(homes[0])
    other.put(key, 2)
    other.put(key, 3)
    return run.finish(key)


def a_client_reads_two_siblings_and_puts(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.process(homes[0]).put(key, 2)
    other = run.process(homes[0])
    other.read(key)
    other.put(key, 3)
    return run.finish(key)


def four_clients_put_that_know_nothing(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    for write in (1, 2, 3, 4):
        run.process(homes[0]).put(key, write)
    return run.finish(key)


STORIES = (
    Story(defects.BLIND_PUT_REPLACES, a_client_that_knows_nothing_puts, "lost-writes"),
    Story(defects.DELETE_TAKES_SIBLINGS, a_client_deletes_what_it_knows, "lost-writes"),
    Story(defects.PUT_COVERS_ALL, a_client_puts_twice_beside_another, "lost-writes"),
    Story(defects.NEWEST_SIBLING_ONLY, a_client_reads_two_siblings_and_puts, "lost-writes"),
    Story(defects.SIBLING_LIMIT, four_clients_put_that_know_nothing, "lost-writes"),
)
