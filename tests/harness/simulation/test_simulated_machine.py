from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from splitbrain.harness.environment import ClockSetting, DiskCondition, Endpoint, EnvironmentFailure, PowerCut, Program
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.simulation.simulated_machine import RECEIVE_BUFFER_BYTES, SimulatedMachine
from tests.harness.simulation.echo import PORT, Echo, program


class Bench:
    """One machine with an echo on it, and a client."""

    def __init__(self) -> None:
        self.started: list[Echo] = []
        self.answers: list[bytes] = []
        self.machine: SimulatedMachine
        self.client: Endpoint

    def send(self, datagram: bytes) -> None:
        self.client.send(datagram, ("n1", PORT))


def on_a_machine(scenario: Callable[[Bench], Awaitable[object]], *, seed: int = 1) -> object:
    async def main() -> object:
        bench = Bench()
        environment = SimulatedEnvironment(["n1", "n2"], seed=seed)
        await environment.open(lambda text: None)
        bench.machine = environment.machines["n1"]
        bench.client = await environment.endpoint(lambda datagram, source: bench.answers.append(datagram))
        await bench.machine.start(program(bench.started))
        try:
            return await scenario(bench)
        finally:
            await environment.close()

    return run_simulated(main)


def test_a_running_process_answers_and_ticks() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"hello")
        await asyncio.sleep(2.5)
        assert bench.answers == [b"hello"]
        assert bench.started[0].ticks == [0.0, 1.0, 2.0]

    on_a_machine(scenario)


def test_a_paused_process_does_nothing_and_catches_up_in_order_when_resumed() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(0.5)
        await bench.machine.pause()
        for number in range(5):
            bench.send(bytes([number]))
            await asyncio.sleep(1)
        assert bench.answers == [] and bench.started[0].ticks == [0.0]
        assert await bench.machine.running()
        await bench.machine.resume()
        assert bench.started[0].received == [bytes([number]) for number in range(5)]
        assert bench.started[0].ticks == [0.0, 5.5]
        await asyncio.sleep(1.01)
        assert sorted(bench.answers) == [bytes([number]) for number in range(5)]
        assert bench.started[0].ticks == [0.0, 5.5, 6.5]

    on_a_machine(scenario)


def test_a_sync_that_ends_during_a_pause_completes_after_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"add")
        while not bench.started[0].received:
            await asyncio.sleep(0.000_01)
        await bench.machine.pause()
        await asyncio.sleep(1)
        assert bench.answers == []
        await bench.machine.resume()
        await asyncio.sleep(1)
        assert bench.answers == [b"added \x00\x00\x00\x01"]

    on_a_machine(scenario)


def test_a_paused_processs_buffer_overflows_as_linuxs_does() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine.pause()
        for _ in range(10):
            bench.send(bytes(60_000))
        await asyncio.sleep(1)
        await bench.machine.resume()
        assert len(bench.started[0].received) == RECEIVE_BUFFER_BYTES // 60_000

    on_a_machine(scenario)


def test_after_a_kill_nothing_of_the_process_happens() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"add")
        await asyncio.sleep(0.000_9)
        await bench.machine.kill()
        assert not await bench.machine.running()
        bench.send(b"hello")
        await asyncio.sleep(5)
        assert bench.answers == [] and bench.started[0].ticks == [0.0]

    on_a_machine(scenario)


def test_what_waits_for_a_paused_process_is_gone_when_it_is_killed() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine.pause()
        bench.send(b"hello")
        await asyncio.sleep(2)
        await bench.machine.kill()
        await bench.machine.start(program(bench.started))
        await bench.machine.resume()
        await asyncio.sleep(0.5)
        assert bench.started[0].received == [] and bench.started[1].received == []
        assert bench.started[1].ticks == [2.0]

    on_a_machine(scenario)


def test_what_was_acknowledged_survives_kills_and_restarts() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(20):
            bench.send(b"add")
            await asyncio.sleep(0.001_5)
            await bench.machine.kill()
            await asyncio.sleep(1)
            await bench.machine.start(program(bench.started))
            acknowledged = int.from_bytes(bench.answers[-1][-4:], "big") if bench.answers else 0
            assert bench.started[-1].count >= acknowledged
        assert bench.answers, "no add was ever acknowledged: the test shows nothing"

    for seed in range(5):
        on_a_machine(scenario, seed=seed)


def test_a_process_that_raises_is_dead_and_its_traceback_ends_its_log() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"die")
        await asyncio.sleep(1)
        assert not await bench.machine.running()
        assert (await bench.machine.logs())["echo.log"].rstrip().endswith(b"ZeroDivisionError: asked to die")
        assert bench.machine.ended == "ZeroDivisionError: asked to die"

    on_a_machine(scenario)


def test_a_process_that_dies_at_once_is_a_failed_start_with_the_end_of_its_log() -> None:
    def simulate(machine: SimulatedMachine) -> Echo:
        raise KeyError("no such ring")

    async def scenario(bench: Bench) -> None:
        await bench.machine.kill()
        with pytest.raises(EnvironmentFailure, match=r"gone at once(.|\n)*no such ring"):
            await bench.machine.start(Program("broken", (), simulate=simulate))
        assert not await bench.machine.running()

    on_a_machine(scenario)


def test_a_program_without_a_simulation_is_refused() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine.kill()
        with pytest.raises(EnvironmentFailure, match="can't be simulated"):
            await bench.machine.start(Program("nginx", ("nginx",)))

    on_a_machine(scenario)


def test_only_a_stopped_machine_can_be_wiped_and_then_it_is_empty() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"add")
        await asyncio.sleep(1)
        with pytest.raises(EnvironmentFailure, match="kill it first"):
            await bench.machine.wipe()
        await bench.machine.kill()
        await bench.machine.wipe()
        await bench.machine.start(program(bench.started))
        assert bench.started[-1].count == 0

    on_a_machine(scenario)


def test_a_skewed_calendar_leaves_the_monotonic_clock_alone() -> None:
    async def scenario(bench: Bench) -> None:
        before = bench.machine.wall_ns()
        await bench.machine.set_clock(ClockSetting(offset_s=-5.0))
        assert bench.machine.wall_ns() == before - 5_000_000_000
        assert await bench.machine.read_clock() == -5.0
        assert bench.machine.now() == 0
        await bench.machine.set_clock(ClockSetting())
        assert await bench.machine.read_clock() == 0.0

    on_a_machine(scenario)


def test_a_drifting_calendar_is_the_more_wrong_the_longer_it_drifts() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(100)
        await bench.machine.set_clock(ClockSetting(offset_s=1.0, drift=0.05))
        await asyncio.sleep(100)
        assert round(await bench.machine.read_clock(), 6) == 1.0 + 0.05 * 100
        assert bench.machine.now() == 200

    on_a_machine(scenario)


def test_a_monotonic_clock_that_runs_fast_takes_its_timers_along_and_never_jumps() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(9.5)
        await bench.machine.set_clock(ClockSetting(monotonic_drift=0.25))
        assert bench.machine.now() == 9.5
        await asyncio.sleep(8.5)
        assert await bench.machine.read_monotonic() == 9.5 + 8.5 * 1.25
        ticks = bench.started[0].ticks
        # The tick at 10 was set while the clock was right; it finds that half a second took 0.625 s by now.
        assert [round(tick, 6) for tick in ticks[:12]] == [*range(10), 10.125, 11.125]
        assert len(ticks) == 11 + 9
        await bench.machine.set_clock(ClockSetting())
        assert bench.machine.now() == 9.5 + 8.5 * 1.25
        await asyncio.sleep(1)
        assert bench.machine.now() == 10.5 + 8.5 * 1.25
        assert await bench.machine.read_clock() == 0.0
        with pytest.raises(ValueError, match="stops the clock"):
            await bench.machine.set_clock(ClockSetting(monotonic_drift=-1.0))

    on_a_machine(scenario)


def test_a_timer_never_comes_before_its_moment_however_the_clock_runs() -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(200):
            await bench.machine.set_clock(ClockSetting(monotonic_drift=-0.5 + number / 199))
            await asyncio.sleep(0.1)
            due = bench.machine.now() + 0.123 + number / 7
            came: list[float] = []
            bench.machine.call_at(due, lambda came=came: came.append(bench.machine.now()))  # type: ignore[misc]
            await asyncio.sleep(100)
            # Who finds that it is too early asks again, at once and for ever.
            assert 0 <= came[0] - due < 1e-8

    on_a_machine(scenario)


def test_sigterm_ends_a_process_that_does_not_handle_it_and_leaves_one_that_does() -> None:
    class Deaf(Echo):
        def terminate(self) -> None:
            self.machine.log("I would rather not")

    async def scenario(bench: Bench) -> None:
        await bench.machine.terminate()
        assert not await bench.machine.running()
        await bench.machine.terminate()
        await bench.machine.start(Program("deaf", (), simulate=Deaf))
        await bench.machine.pause()
        await bench.machine.terminate()
        assert b"rather not" not in (await bench.machine.logs())["deaf.log"]
        await bench.machine.resume()
        assert b"rather not" in (await bench.machine.logs())["deaf.log"]
        assert await bench.machine.running()

    on_a_machine(scenario)


def test_a_paused_process_ends_by_sigterm_when_it_is_resumed() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine.pause()
        await bench.machine.terminate()
        assert await bench.machine.running()
        await bench.machine.resume()
        assert not await bench.machine.running()

    on_a_machine(scenario)


def test_a_power_cut_ends_the_process_and_takes_what_was_not_synced() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"add")
        await asyncio.sleep(1)
        bench.send(b"add")
        while len(bench.started[0].received) < 2:
            await asyncio.sleep(0.000_01)
        cut = await bench.machine.power_cut(torn=True)
        assert (cut.undone, cut.torn) == (1, True)
        assert not await bench.machine.running()
        assert await bench.machine.power_cut() == PowerCut(0, 0)
        await bench.machine.start(program(bench.started))
        assert bench.started[-1].count == 1
        assert bench.answers == [b"added \0\0\0\1"]

    on_a_machine(scenario)


def test_a_process_that_does_not_handle_a_full_disk_dies_of_it() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.machine.set_disk(DiskCondition(full=True))
        bench.send(b"add")
        await asyncio.sleep(1)
        assert not await bench.machine.running()
        assert (await bench.machine.read_disk()).refused == 1
        assert b"No space left on device" in (await bench.machine.logs())["echo.log"]

    on_a_machine(scenario)


def test_a_bit_flips_only_while_nothing_runs() -> None:
    async def scenario(bench: Bench) -> None:
        bench.send(b"add")
        await asyncio.sleep(1)
        with pytest.raises(EnvironmentFailure, match="kill it first"):
            await bench.machine.flip_bit(1)
        await bench.machine.kill()
        assert "'counter'" in await bench.machine.flip_bit(1)
        await bench.machine.start(program(bench.started))
        # The program keeps no checksum, so it believes what it reads.
        assert bench.started[-1].count != 1

    on_a_machine(scenario)


def test_a_process_may_end_by_itself_and_says_so() -> None:
    class Tired(Echo):
        def start(self) -> None:
            super().start()
            self.machine.call_later(2.0, self.machine.exit, "enough")

    async def scenario(bench: Bench) -> None:
        await bench.machine.kill()
        await bench.machine.start(Program("tired", (), simulate=Tired))
        assert await bench.machine.running()
        await asyncio.sleep(2.5)
        assert not await bench.machine.running()
        assert (await bench.machine.logs())["tired.log"].rstrip().endswith(b"enough")

    on_a_machine(scenario)


def test_a_simulation_on_a_real_loop_is_refused() -> None:
    with pytest.raises(EnvironmentFailure, match="run_simulated"):
        asyncio.run(SimulatedEnvironment(["n1"], seed=1).open(lambda text: None))


def test_who_waits_for_a_mark_goes_on_at_the_moment_a_process_makes_it() -> None:
    async def scenario(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        heard = asyncio.create_task(bench.machine.marked(["kept", "delivered"]))
        await asyncio.sleep(0.25)
        assert set(bench.machine.awaited) == {"kept", "delivered"}
        bench.machine.mark("begun")
        await asyncio.sleep(0)
        assert not heard.done()
        bench.machine.mark("delivered")
        assert await heard == "delivered"
        assert loop.time() == 0.25
        assert not bench.machine.awaited

    on_a_machine(scenario)


def test_a_line_of_the_log_makes_the_mark_that_it_has() -> None:
    async def scenario(bench: Bench) -> None:
        heard = asyncio.create_task(bench.machine.marked(["became leader"]))
        await asyncio.sleep(0)
        bench.machine.log("term 3: n1 became leader of 5")
        assert await heard == "became leader"

    on_a_machine(scenario)
