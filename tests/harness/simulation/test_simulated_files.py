"""A program's files: what a kill leaves of them, and that no real disk is written."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.harness.simulation.programs.bench import Bench, on_machines

FOLDER = Path("/var/lib/splitbrain-simulated")
FILE = FOLDER / "journal"


async def appends() -> None:
    """Ten lines a second, of which every tenth call is followed by a sync."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if FILE.exists():
        print("found", FILE.stat().st_size, FILE.read_bytes()[:9].decode())
    with FILE.open("wb") as file:
        number = 0
        while True:
            number += 1
            file.write(b"line %04d" % number)
            file.flush()
            if number % 10 == 0:
                os.fsync(file.fileno())
            await asyncio.sleep(0.1)


def left_by_a_kill(seed: int) -> int:
    """How many bytes of the 25 lines are there after a restart."""

    async def scenario(bench: Bench) -> list[str]:
        await bench.start("n1", appends)
        await asyncio.sleep(2.45)
        await bench.machine("n1").kill()
        await bench.start("n1", appends)
        await asyncio.sleep(0.01)
        return await bench.log("n1")

    killed, found = on_machines(scenario, seed=seed)
    assert killed == "killed"
    assert not FOLDER.exists()
    return int(found.split()[1])


def test_what_was_synced_survives_a_kill_and_of_the_rest_a_prefix_does() -> None:
    sizes = [left_by_a_kill(seed) for seed in range(30)]
    assert all(20 * 9 <= size <= 25 * 9 for size in sizes)
    assert len({size // 9 for size in sizes}) > 3
    assert any(size % 9 for size in sizes), "no write was torn"
    assert sizes == [left_by_a_kill(seed) for seed in range(30)]


def test_a_file_renamed_before_it_is_synced_may_be_empty_after_a_kill() -> None:
    async def saves(synced: bool) -> None:
        if FILE.exists():
            print(FILE.read_text() or "empty")
            return
        temporary = FOLDER / "temporary"
        with temporary.open("w") as file:
            file.write("contents")
            file.flush()
            if synced:
                os.fsync(file.fileno())
        temporary.rename(FILE)
        await asyncio.sleep(100)

    def found(seed: int, *, synced: bool) -> str:
        async def scenario(bench: Bench) -> list[str]:
            await bench.start("n1", saves, synced)
            await asyncio.sleep(1)
            await bench.machine("n1").kill()
            await bench.start("n1", saves, synced)
            await asyncio.sleep(1)
            return await bench.log("n1")

        log: list[str] = on_machines(scenario, seed=seed)
        return log[1]

    assert {found(seed, synced=True) for seed in range(10)} == {"contents"}
    unsynced = {found(seed, synced=False) for seed in range(10)}
    assert {"empty", "contents"} <= unsynced
    assert all("contents".startswith(text) or text == "empty" for text in unsynced)


def test_files_belong_to_one_machine_and_a_wipe_removes_them() -> None:
    async def writes(node: str) -> None:
        print(sorted(os.listdir(FOLDER)) if FOLDER.exists() else "no folder")  # noqa: PTH208
        (FOLDER / node).write_text(node)
        (FOLDER / "both").write_text("x")
        with (FOLDER / node).open("a+") as file:
            file.write("!")
            file.seek(0)
            print(file.read())
        (FOLDER / "both").unlink()

    async def scenario(bench: Bench) -> None:
        for node in ("n1", "n2", "n1"):
            await bench.start(node, writes, node)
            await asyncio.sleep(1)
        assert await bench.log("n1") == ["no folder", "n1!", "exited", "['n1']", "n1!", "exited"]
        assert await bench.log("n2") == ["no folder", "n2!", "exited"]
        await bench.machine("n1").wipe()
        await bench.start("n1", writes, "n1")
        await asyncio.sleep(1)
        assert (await bench.log("n1"))[-3:] == ["no folder", "n1!", "exited"]

    on_machines(scenario)
    assert not FOLDER.exists()


def test_real_files_can_be_read_and_not_removed(tmp_path: Path) -> None:
    real = tmp_path / "configuration"
    real.write_text("from outside")

    async def reads() -> None:
        print(real.read_text(), real.stat().st_size, [path.name for path in tmp_path.iterdir()])
        try:
            real.unlink()
        except FileNotFoundError:
            print("not removed")
        real.write_text("mine")
        print(real.read_text())

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", reads)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["from outside 12 ['configuration']", "not removed", "mine", "exited"]

    on_machines(scenario)
    assert real.read_text() == "from outside"


def test_what_a_dead_process_left_in_a_buffer_is_never_written() -> None:
    async def buffers() -> None:
        if FILE.exists():
            print("found", repr(FILE.read_text()))
            return
        file = FILE.open("w")
        file.write("never flushed")
        await asyncio.sleep(100)
        file.close()

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", buffers)
        await asyncio.sleep(1)
        await bench.machine("n1").kill()
        await bench.start("n1", buffers)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["killed", "found ''", "exited"]

    on_machines(scenario)
