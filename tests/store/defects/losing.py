"""Stories of acknowledged writes that are lost."""

from __future__ import annotations

from itertools import islice

from splitbrain.checkers import History
from splitbrain.harness.simulation.cluster import Host
from splitbrain.store import defects
from splitbrain.store.actions import Persist
from splitbrain.store.config import Config
from splitbrain.store.storage.replica import DATA
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def the_power_fails_everywhere_right_after_an_acknowledgement(config: Config) -> History:
    run = Recording(config, sync_s=(0.02, 0.03))
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.kill(*run.box.names)
    run.restart(*run.box.names)
    return run.finish(key)


def owners_fail_as_their_hints_arrive(config: Config) -> History:
    """All homes are down, stand-ins take a write; each home crashes again just as it is about to store its hint."""
    run = Recording(config)
    key, homes, strangers = run.key()
    run.kill(*homes)
    run.box.run_for(3.0)
    run.process(strangers[0]).put(key, 1)
    run.box.run_for(2.0)
    failing = set(homes)

    def power(host: Host, persist: Persist) -> None:
        if host.name in failing and any(record.space == DATA for record in persist.records):
            failing.discard(host.name)
            run.kill(host.name)

    run.box.on_persist = power
    run.restart(*homes)
    run.box.run_until(lambda: not failing)
    run.box.run_for(3.0)
    run.restart(*homes)
    return run.finish(key)


def a_read_repairs_a_replaced_disk_while_there_are_siblings(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.process(homes[1]).put(key, 2)
    run.replace_disk(homes[2])
    run.process(homes[0]).read(key)
    return run.finish(key)


def a_coordinator_writes_again_after_its_disk_was_replaced(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.replace_disk(homes[0])
    run.process(homes[0]).put(key, 2)
    return run.finish(key)


def a_coordinator_with_a_late_clock_overwrites_what_one_with_an_early_clock_wrote(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.box.hosts[homes[0]].clock_ahead_s = 60.0
    run.process(homes[0]).put(key, 1)
    writer = run.process(homes[1])
    writer.read(key)
    writer.put(key, 2)
    return run.finish(key)


def two_clients_write_at_once_through_one_coordinator(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    one, other = run.process(homes[0]), run.process(homes[0])
    one.begin_put(key, 1)
    other.begin_put(key, 2)
    one.wait()
    other.wait()
    return run.finish(key)


def the_only_replica_is_out_of_reach_for_a_moment(config: Config) -> History:
    run = Recording(config, nodes=3)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.isolate(homes[0])
    run.box.run_for(5.0)
    run.heal()
    return run.finish(key, rest_s=15.0)


def a_second_node_joins(config: Config) -> History:
    run = Recording(config, nodes=1)
    keys = list(islice(run.box.keys(), 8))
    for number, key in enumerate(keys, 1):
        run.process("n1").put(key, number)
    run.join("n2")
    run.box.run_for(5.0)
    assert {run.box.ring.primaries(key) for key in keys} == {("n1",), ("n2",)}, "the story needs keys that move"
    return run.finish(*keys)


ONE_REPLICA = Config(n=1, r=1, w=1)
STORIES = (
    Story(defects.ACK_BEFORE_DURABLE, the_power_fails_everywhere_right_after_an_acknowledgement, "lost-writes"),
    Story(defects.HINT_DELETED_BEFORE_ACK, owners_fail_as_their_hints_arrive, "lost-writes"),
    Story(defects.ONE_WINNER_REPAIR, a_read_repairs_a_replaced_disk_while_there_are_siblings, "lost-writes"),
    Story(defects.REUSED_DOT, a_coordinator_writes_again_after_its_disk_was_replaced, "lost-writes"),
    Story(
        defects.LAST_WRITE_WINS,
        a_coordinator_with_a_late_clock_overwrites_what_one_with_an_early_clock_wrote,
        "lost-writes",
    ),
    Story(defects.SAME_COORDINATOR_OVERWRITE, two_clients_write_at_once_through_one_coordinator, "lost-writes"),
    Story(
        defects.DETECTOR_EDITS_RING, the_only_replica_is_out_of_reach_for_a_moment, "lost-writes", config=ONE_REPLICA
    ),
    Story(defects.OWNERSHIP_BEFORE_DATA, a_second_node_joins, "lost-writes", config=ONE_REPLICA),
)
