from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

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
            disk.commit(records, lambda number=number: acknowledged.append(number))  # type: ignore[misc]
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
            disk.commit([("data", bytes([number]), b"x" * 20)], lambda: None)
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
        disk.commit([("data", b"k", b"v")], lambda: told.append(disk.get("data", b"k")))
        assert disk.get("data", b"k") is None
        await asyncio.sleep(1)
        assert told == [b"v"]

    run_simulated(main)


def test_commits_that_come_during_a_sync_share_the_next_one() -> None:
    async def main() -> None:
        disk = new_disk()
        done: list[int] = []
        for number in range(100):
            disk.commit([("data", bytes([number]), b"")], lambda number=number: done.append(number))  # type: ignore[misc]
        await asyncio.sleep(1)
        assert done == list(range(100))
        assert disk.syncs == 2

    run_simulated(main)


def test_a_stall_makes_a_commit_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        disk = new_disk(times=DiskTimes(stall=1.0))
        done: list[float] = []
        disk.commit([("data", b"k", b"v")], lambda: done.append(loop.time()))
        await asyncio.sleep(1)
        assert 0.05 <= done[0] <= 0.2

    run_simulated(main)


def test_a_scan_is_in_the_order_of_keys() -> None:
    async def main() -> None:
        disk = new_disk()
        for key in (b"b", b"a", b"c"):
            disk.commit([("data", key, b"")], lambda: None)
        await asyncio.sleep(1)
        assert [key for key, _ in disk.scan("data")] == [b"a", b"b", b"c"]

    run_simulated(main)


def test_a_scan_is_of_the_keys_from_its_start_up_to_and_without_its_end() -> None:
    async def main() -> None:
        disk = new_disk()
        keys = [b"%03d" % number for number in range(500)]
        disk.commit([("data", key, key) for key in reversed(keys)], lambda: None)
        await asyncio.sleep(1)
        assert list(disk.scan("data", b"007", b"400")) == [(key, key) for key in keys[7:400]]
        assert [key for key, _ in disk.scan("data", b"4001")] == keys[401:]
        assert list(disk.scan("nothing")) == []

    run_simulated(main)


def test_a_wiped_disk_is_empty_and_acknowledges_nothing_from_before() -> None:
    async def main() -> None:
        disk = new_disk()
        done: list[str] = []
        disk.commit([("data", b"old", b"")], lambda: None)
        await asyncio.sleep(1)
        disk.commit([("data", b"under way", b"")], lambda: done.append("under way"))
        disk.wipe()
        await asyncio.sleep(1)
        assert contents(disk) == {}
        assert done == []

    run_simulated(main)
