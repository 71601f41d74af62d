"""Stories of siblings that nobody made."""

from __future__ import annotations

from splitbrain.checkers import History
from splitbrain.store import defects
from splitbrain.store.config import Config
from tests.store.defects.recording import Recording
from tests.store.defects.story import Story


def a_put_is_tried_again_elsewhere_after_somebody_replaced_it(config: Config) -> History:
    """The first home does the put, but its answer is lost, so the put goes on to the second; which had it long ago, and
    meanwhile took a write that replaced it."""
    run = Recording(config)
    key, homes, strangers = run.key()
    run.cut((homes[0], strangers[0]))
    first = run.process(strangers[0])
    first.begin_put(key, 1)
    run.box.run_for(0.1)
    second = run.process(homes[1])
    second.read(key)
    second.put(key, 2)
    first.wait()
    run.heal()
    return run.finish(key)


def siblings_are_merged(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.process(homes[1]).put(key, 2)
    merger = run.process(homes[2])
    merger.read(key)
    merger.put(key, 3)
    return run.finish(key)


def a_home_misses_that_its_write_was_replaced_twice(config: Config) -> History:
    """Three coordinators' entries make a clock of three; the one that goes says that the first write was replaced."""
    run = Recording(config)
    key, homes, _ = run.key()
    run.process(homes[0]).put(key, 1)
    run.box.run_for(1.0)
    run.kill(homes[0])
    run.box.run_for(3.0)
    for write, home in enumerate(homes[1:], 2):
        writer = run.process(home)
        writer.read(key)
        writer.put(key, write)
    run.restart(homes[0])
    return run.finish(key)


def a_client_replaces_its_own_write(config: Config) -> History:
    run = Recording(config)
    key, homes, _ = run.key()
    client = run.process(homes[0])
    client.put(key, 1)
    run.box.run_for(1.0)
    client.put(key, 2)
    return run.finish(key)


def a_coordinator_stands_still_while_its_client_goes_elsewhere(config: Config) -> History:
    """What was sent to it meanwhile is in its receive buffer when it goes on."""
    run = Recording(config)
    key, homes, _ = run.key()
    first = run.process(homes[0], homes[1])
    first.read(key)  # The node knows the client from now on, and takes what it sends.
    held: list[bytes] = []

    def tap(source: str, target: str, datagram: bytes) -> bool:
        if source == "client" and target == homes[0]:
            held.append(datagram)
        return True

    run.act("pause", "pause", "start", lambda: run.box.pause(homes[0]), nodes=[homes[0]])
    run.box.wiretap = tap
    first.begin_put(key, 1)
    sender = first.caller.address
    first.wait()
    second = run.process(homes[1])
    second.read(key)
    second.put(key, 2)
    run.box.run_for(2.0)
    run.act("resume", "pause", "stop", lambda: run.box.resume(homes[0]), nodes=[homes[0]])
    run.box.inject(run.box.hosts[homes[0]].address, held[0], sender)
    return run.finish(key)


def a_coordinator_restarts_before_its_client_hears_of_the_put(config: Config) -> History:
    """Somebody has replaced the write by then, and nothing is left of the request in the coordinator's state."""
    run = Recording(config)
    key, homes, _ = run.key()
    deaf = [True]
    first = run.process(homes[0])
    first.read(key)
    run.box.wiretap = lambda source, target, datagram: not (deaf[0] and source == homes[0] and target == "client")
    first.begin_put(key, 1)
    run.box.run_for(0.1)
    second = run.process(homes[1])
    second.read(key)
    second.put(key, 2)
    run.box.run_for(0.1)
    run.kill(homes[0])
    run.restart(homes[0])
    deaf[0] = False
    first.wait()
    return run.finish(key)


STORIES = (
    Story(defects.TRUNCATION_AT_2, a_home_misses_that_its_write_was_replaced_twice, "siblings"),
    Story(defects.RETRY_WITHOUT_DEDUPLICATION, a_put_is_tried_again_elsewhere_after_somebody_replaced_it, "siblings"),
    Story(defects.CONTEXT_OF_ONE_SIBLING, siblings_are_merged, "siblings"),
    Story(defects.MERGE_FORGETS_SEEN, a_client_replaces_its_own_write, "siblings"),
    Story(defects.STALLED_PUTS_DONE, a_coordinator_stands_still_while_its_client_goes_elsewhere, "siblings"),
    Story(defects.RESTART_REDOES_RETRIES, a_coordinator_restarts_before_its_client_hears_of_the_put, "siblings"),
)
