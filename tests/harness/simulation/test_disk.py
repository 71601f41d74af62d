from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.harness.environment import DiskCondition, PowerCut
from splitbrain.harness.simulation.disk import DiskTimes, SimulatedDisk, frame, frames
from splitbrain.harness.simulation.loop import VirtualLoop, run_simulated

RECORDS = st.lists(
    st.tuples(st.sampled_from(["data", "hints"]), st.binary(max_size=2), st.none() | st.binary(max_size=40)),
    min_size=1,
    max_size=4,
)
COMMITS = st.lists(st.tuples(RECORDS, st.floats(min_value=0, max_value=0.003)), max_size=20)
SPACES = ("data", "hints")


def new_disk(seed: int = 1, times: DiskTimes | None = None) -> SimulatedDisk:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return SimulatedDisk(loop, seed=seed, times=times)


def unexpected(error: OSError) -> None:
    raise error


def contents(disk: SimulatedDisk) -> dict[tuple[str, bytes], bytes]:
    return {(space, key): value for space in SPACES for key, value in disk.scan(space)}


def replay(commits: list) -> dict[tuple[str, bytes], bytes]:  # type: ignore[type-arg]
    state: dict[tuple[str, bytes], bytes] = {}
    for records in commits:
        for space, key, value in records:
            if value is None:
                state.pop((space, key), None)
            else:
                state[space, key] = value
    return state


@settings(deadline=None, max_examples=200)
@given(COMMITS, st.integers(min_value=0, max_value=2**32))
def test_after_a_crash_the_disk_holds_a_prefix_of_whole_commits_with_all_that_were_acknowledged(
    commits: list,  # type: ignore[type-arg]
    seed: int,
) -> None:
    async def main() -> None:
        disk = new_disk(seed)
        acknowledged: list[int] = []
        for number, (records, pause_s) in enumerate(commits):
            disk.commit(records, lambda number=number: acknowledged.append(number), unexpected)  # type: ignore[misc]
            await asyncio.sleep(pause_s)
        assert acknowledged == list(range(len(acknowledged)))
        disk.crash()
        disk.recover()
        prefixes = [replay([records for records, _ in commits[:end]]) for end in range(len(commits) + 1)]
        assert contents(disk) in prefixes[len(acknowledged) :]
        await asyncio.sleep(10)
        assert acknowledged == list(range(len(acknowledged))), "a crashed disk acknowledged"

    run_simulated(main)


def test_what_was_not_synced_may_survive_a_crash_in_part_and_may_not() -> None:
    async def survivors(seed: int) -> int:
        disk = new_disk(seed)
        for number in range(5):
            disk.commit([("data", bytes([number]), b"x" * 20)], lambda: None, unexpected)
        disk.crash()
        disk.recover()
        return len(contents(disk))

    found = {run_simulated(lambda seed=seed: survivors(seed)) for seed in range(100)}  # type: ignore[misc]
    assert {0, 1, 4} <= found


@given(st.lists(RECORDS, max_size=5), st.data())
def test_no_torn_or_flipped_frame_ever_surfaces(commits: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    log = bytearray(b"".join(frame(records) for records in commits))
    end = data.draw(st.integers(min_value=0, max_value=len(log)))
    torn = log[:end]
    if torn:
        torn[data.draw(st.integers(min_value=0, max_value=len(torn) - 1))] ^= data.draw(st.integers(1, 255))
    read = list(frames(bytes(torn)))
    assert read == commits[: len(read)]


def test_records_can_be_read_once_they_are_durable_and_not_before() -> None:
    async def main() -> None:
        disk = new_disk()
        told: list[bytes | None] = []
        disk.commit([("data", b"k", b"v")], lambda: told.append(disk.get("data", b"k")), unexpected)
        assert disk.get("data", b"k") is None
        await asyncio.sleep(1)
        assert told == [b"v"]

    run_simulated(main)


def test_commits_that_come_during_a_sync_share_the_next_one() -> None:
    async def main() -> None:
        disk = new_disk()
        done: list[int] = []
        for number in range(100):
            disk.commit([("data", bytes([number]), b"")], lambda number=number: done.append(number), unexpected)  # type: ignore[misc]
        await asyncio.sleep(1)
        assert done == list(range(100))
        assert disk.syncs == 2

    run_simulated(main)


def test_a_stall_makes_a_commit_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        disk = new_disk(times=DiskTimes(stall=1.0))
        done: list[float] = []
        disk.commit([("data", b"k", b"v")], lambda: done.append(loop.time()), unexpected)
        await asyncio.sleep(1)
        assert 0.05 <= done[0] <= 0.2

    run_simulated(main)


def test_a_scan_is_in_the_order_of_keys() -> None:
    async def main() -> None:
        disk = new_disk()
        for key in (b"b", b"a", b"c"):
            disk.commit([("data", key, b"")], lambda: None, unexpected)
        await asyncio.sleep(1)
        assert [key for key, _ in disk.scan("data")] == [b"a", b"b", b"c"]

    run_simulated(main)


def test_a_scan_is_of_the_keys_from_its_start_up_to_and_without_its_end() -> None:
    async def main() -> None:
        disk = new_disk()
        keys = [b"%03d" % number for number in range(500)]
        disk.commit([("data", key, key) for key in reversed(keys)], lambda: None, unexpected)
        await asyncio.sleep(1)
        assert list(disk.scan("data", b"007", b"400")) == [(key, key) for key in keys[7:400]]
        assert [key for key, _ in disk.scan("data", b"4001")] == keys[401:]
        assert list(disk.scan("nothing")) == []

    run_simulated(main)


def test_a_wiped_disk_is_empty_and_acknowledges_nothing_from_before() -> None:
    async def main() -> None:
        disk = new_disk()
        done: list[str] = []
        disk.commit([("data", b"old", b"")], lambda: None, unexpected)
        await asyncio.sleep(1)
        disk.commit([("data", b"under way", b"")], lambda: done.append("under way"), unexpected)
        disk.wipe()
        await asyncio.sleep(1)
        assert contents(disk) == {}
        assert done == []

    run_simulated(main)


class Outcomes:
    """Commits to a disk, and how each ended."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.seen: list[tuple[str, int]] = []

    def commit(self, number: int) -> None:
        def failed(error: OSError) -> None:
            assert error.errno is not None
            self.seen.append((errno.errorcode[error.errno], number))

        self.disk.commit([("data", bytes([number]), b"v")], lambda: self.seen.append(("done", number)), failed)


def on_a_disk(scenario: Callable[[Outcomes], Awaitable[None]], seed: int = 1) -> None:
    async def main() -> None:
        await scenario(Outcomes(new_disk(seed)))

    run_simulated(main)


def test_a_full_disk_refuses_all_that_is_under_way_in_order_and_works_again_once_there_is_room() -> None:
    async def scenario(o: Outcomes) -> None:
        o.commit(0)
        await asyncio.sleep(1)
        o.disk.set_condition(DiskCondition(full=True))
        for number in (1, 2, 3):
            o.commit(number)
        await asyncio.sleep(1)
        assert o.seen == [("done", 0), ("ENOSPC", 1), ("ENOSPC", 2), ("ENOSPC", 3)]
        assert (o.disk.observe().refused, o.disk.observe().free_bytes) == (3, 0)
        o.disk.set_condition(DiskCondition())
        o.commit(4)
        await asyncio.sleep(1)
        assert o.seen[4:] == [("done", 4)]
        assert [key for _, key in contents(o.disk)] == [b"\0", b"\4"]
        assert (o.disk.observe().refused, o.disk.observe().free_bytes) == (0, None)

    on_a_disk(scenario)


def test_a_commit_that_is_made_when_an_earlier_one_is_refused_is_tried_by_itself() -> None:
    async def scenario(o: Outcomes) -> None:
        o.disk.set_condition(DiskCondition(full=True))

        def refused(error: OSError) -> None:
            o.disk.set_condition(DiskCondition())
            o.commit(1)

        o.disk.commit([("data", b"\0", b"v")], lambda: None, refused)
        await asyncio.sleep(1)
        assert o.seen == [("done", 1)]

    on_a_disk(scenario)


def test_after_an_io_error_a_crash_keeps_any_part_of_what_was_under_way() -> None:
    kept = set()

    async def scenario(o: Outcomes) -> None:
        o.disk.set_condition(DiskCondition(failing=True))
        o.commit(0)
        o.disk.commit([("data", b"\1", b"v")], lambda: None, lambda error: o.disk.crash())
        o.commit(2)
        await asyncio.sleep(1)
        # The process died as it was told of the second: what came after does not reach it.
        assert o.seen == [("EIO", 0)]
        o.disk.set_condition(DiskCondition())
        o.disk.recover()
        kept.add(tuple(key for _, key in contents(o.disk)))

    for seed in range(100):
        on_a_disk(scenario, seed)
    prefixes = {(), (b"\0",), (b"\0", b"\1"), (b"\0", b"\1", b"\2")}
    # The whole needs the last of its bytes to be kept, which is rare.
    assert {(), (b"\0",), (b"\0", b"\1")} <= kept <= prefixes


def test_a_process_that_goes_on_after_an_io_error_has_lost_what_was_under_way() -> None:
    async def scenario(o: Outcomes) -> None:
        o.disk.set_condition(DiskCondition(failing=True))
        o.commit(0)
        await asyncio.sleep(1)
        o.disk.set_condition(DiskCondition())
        o.commit(1)
        await asyncio.sleep(1)
        assert o.seen == [("EIO", 0), ("done", 1)]
        assert [key for _, key in contents(o.disk)] == [b"\1"]

    on_a_disk(scenario)


def test_a_stalled_disk_takes_that_much_longer_for_each_sync_and_counts_them() -> None:
    async def scenario(o: Outcomes) -> None:
        o.disk.set_condition(DiskCondition(stall_s=2.0))
        o.commit(0)
        o.commit(1)
        await asyncio.sleep(2.0)
        assert o.seen == []
        await asyncio.sleep(2.5)
        assert o.seen == [("done", 0), ("done", 1)]
        assert o.disk.observe().stalled == 2

    on_a_disk(scenario)


def test_a_power_cut_says_how_many_writes_it_took_and_keeps_whole_ones_before_them() -> None:
    seen = set()

    async def scenario(o: Outcomes) -> None:
        o.commit(9)
        await asyncio.sleep(1)
        for number in range(4):
            o.commit(number)
        cut = o.disk.power_cut(torn=False)
        o.disk.recover()
        left = [key for _, key in contents(o.disk)]
        assert left == [bytes([number]) for number in range(4 - cut.undone)] + [b"\x09"]
        each = len(frame([("data", b"\0", b"v")]))
        assert cut == PowerCut(cut.undone, cut.undone * each)
        await asyncio.sleep(1)
        assert o.seen == [("done", 9)]
        seen.add(cut.undone)

    for seed in range(60):
        on_a_disk(scenario, seed)
    assert seen == {0, 1, 2, 3, 4}


def test_a_power_cut_that_tears_leaves_a_part_of_a_write_that_never_surfaces() -> None:
    async def scenario(o: Outcomes) -> None:
        for number in range(3):
            o.commit(number)
        cut = o.disk.power_cut(torn=True)
        each = len(frame([("data", b"\0", b"v")]))
        assert cut.torn and 1 <= cut.undone <= 3
        assert (cut.undone - 1) * each < cut.undone_bytes < cut.undone * each
        o.disk.recover()
        assert len(contents(o.disk)) == 3 - cut.undone
        assert o.disk.power_cut(torn=True) == PowerCut(0, 0, torn=False)

    for seed in range(30):
        on_a_disk(scenario, seed)


def test_one_bit_of_one_durable_record_flips_as_the_seed_says() -> None:
    flipped = set()

    async def scenario(o: Outcomes) -> None:
        assert o.disk.flip_bit(1) == ""
        for number in range(3):
            o.commit(number)
        await asyncio.sleep(1)
        before = contents(o.disk)
        where = o.disk.flip_bit(7)
        after = contents(o.disk)
        (((space, key), value),) = before.items() - after.items()
        (((_, other), damaged),) = after.items() - before.items()
        distance = int.from_bytes(key + value, "big") ^ int.from_bytes(other + damaged, "big")
        assert distance.bit_count() == 1
        assert repr(key) in where and repr(space) in where
        flipped.add(where)

    on_a_disk(scenario, seed=1)
    on_a_disk(scenario, seed=2)
    assert len(flipped) == 1, "the bit depends on more than the seed it is given"


def test_how_long_a_sync_takes_depends_on_its_number_and_on_nothing_before_it() -> None:
    async def took(before: int) -> float:
        loop = asyncio.get_running_loop()
        disk = new_disk()
        ended: list[float] = []
        disk.commit([("data", b"k", b"v")], lambda: None, unexpected)
        if before:
            disk.crash()
            disk.recover()
        await asyncio.sleep(1)
        began = loop.time()
        disk.commit([("data", b"k", b"v")], lambda: ended.append(loop.time() - began), unexpected)
        await asyncio.sleep(1)
        return round(ended[0], 9)

    assert run_simulated(lambda: took(0)) == run_simulated(lambda: took(1))
