"""TCP between asyncio programs: what streams promise, under all that a network does to them."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from splitbrain.harness.simulation import LinkConditions
from splitbrain.harness.simulation.programs.segments import ACK, Segment, decode
from tests.harness.simulation.programs.bench import Bench, on_machines

PORT = 7000


async def echo() -> None:
    """Sends every byte back."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError as problem:
            print(type(problem).__name__)
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", PORT)
    await server.serve_forever()


async def connected(bench: Bench, node: str = "n1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    await asyncio.sleep(0.01)
    return await asyncio.open_connection(node, PORT)


def now() -> float:
    return asyncio.get_running_loop().time()


PATTERN = bytes(number * number % 251 for number in range(400_000))


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_bytes_arrive_once_and_in_order_whatever_the_network_loses_repeats_and_reorders(seed: int, loss: float) -> None:
    conditions = LinkConditions(loss=loss, duplication=0.2, delay_s=(0.001, 0.05))

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        reader, writer = await connected(bench)
        writer.write(PATTERN)
        writer.write_eof()
        assert await reader.read() == PATTERN

    on_machines(scenario, seed=seed, conditions=conditions)


def test_loss_is_a_delay() -> None:
    async def scenario(bench: Bench) -> float:
        await bench.start("n1", echo)
        reader, writer = await connected(bench)
        began = now()
        for _ in range(20):
            writer.write(b"x")
            await reader.readexactly(1)
        return now() - began

    assert on_machines(scenario) < 0.1
    # A fifth of 40 segments is sent again, each 200 ms later at least.
    assert on_machines(scenario, conditions=LinkConditions(loss=0.2)) > 0.4


def test_what_is_written_together_may_be_read_apart() -> None:
    async def scenario(bench: Bench) -> set[int]:
        await bench.start("n1", echo)
        reader, writer = await connected(bench)
        lengths = set()
        for _ in range(100):
            writer.write(b"x" * 100)
            lengths.add(len(await reader.read(1000)))
            await asyncio.sleep(1)
            await reader.read(1000) if len(reader._buffer) else None  # type: ignore[attr-defined]
        return lengths

    lengths = on_machines(scenario)
    assert 100 in lengths
    assert min(lengths) < 100


def test_a_port_at_which_nothing_listens_refuses() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError) as refused:
            await asyncio.open_connection("n1", PORT + 1)
        assert refused.value.errno == errno.ECONNREFUSED
        assert now() < 0.1

    on_machines(scenario)


def test_a_host_that_is_switched_off_leaves_a_connection_waiting_for_two_minutes() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(TimeoutError) as timeout:
            await asyncio.open_connection("n1", PORT)
        assert timeout.value.errno == errno.ETIMEDOUT
        assert now() == pytest.approx(1 + 2 + 4 + 8 + 16 + 32 + 64)  # Linux's six retries

    on_machines(scenario)


async def ask(host: str) -> None:
    """Asks the echo once a second, on one connection; says what it hears."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(host, PORT)
    print("connected")
    for number in range(1000):
        writer.write(b"%3d" % number)
        try:
            answer = await reader.readexactly(3)
        except OSError as problem:
            print(f"{type(problem).__name__} at {loop.time():.1f}")
            return
        print(int(answer))
        await asyncio.sleep(1)


def test_a_cut_link_hangs_a_new_connection_until_the_heal() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        await bench.cut("n1", "n2")
        await bench.start("n2", ask, "n1")
        await asyncio.sleep(10)
        assert await bench.log("n2") == []
        await bench.environment.network.heal()
        await asyncio.sleep(5)  # SYNs were sent after 0, 1, 3 and 7 s; the next one comes after 15 s.
        assert await bench.log("n2") == []
        await asyncio.sleep(1)
        assert await bench.log("n2") == ["connected", "0"]

    on_machines(scenario)


def test_a_cut_link_stalls_an_established_connection_and_nothing_is_lost_or_reordered() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        await asyncio.sleep(0.01)
        await bench.start("n2", ask, "n1")
        await asyncio.sleep(3.5)
        heard = ["connected", "0", "1", "2", "3"]
        assert await bench.log("n2") == heard
        await bench.cut("n1", "n2")
        await asyncio.sleep(20)
        assert await bench.log("n2") == heard
        await bench.environment.network.heal()
        await asyncio.sleep(30)
        log = await bench.log("n2")
        assert log == ["connected", *map(str, range(len(log) - 1))]
        assert len(log) > len(heard) + 10

    on_machines(scenario)


def test_a_connection_that_stays_cut_gives_up_after_a_quarter_of_an_hour() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        await asyncio.sleep(0.01)
        await bench.start("n2", ask, "n1")
        await asyncio.sleep(0.5)
        await bench.cut("n1", "n2")
        await asyncio.sleep(800)
        assert await bench.log("n2") == ["connected", "0"]
        await asyncio.sleep(400)
        # 0.2 s doubled ten times, then 120 s each: 15 retries and a last wait are 924.6 s (Linux's tcp_retries2).
        assert (await bench.log("n2"))[-2:] == ["TimeoutError at 925.6", "exited"]

    on_machines(scenario)


def test_a_peer_that_was_killed_is_silent_and_after_its_restart_resets() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        reader, writer = await connected(bench)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await bench.machine("n1").kill()
        writer.write(b"anybody there?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 5)
        await bench.start("n1", echo)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 10)

    on_machines(scenario)


def test_a_process_that_ends_by_itself_closes_its_connections() -> None:
    async def serves_a_second() -> None:
        kept = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            kept.append(writer)  # One that is freed closes its connection (Python 3.13).
            writer.write(await reader.readexactly(5))

        await asyncio.start_server(answer, None, PORT)
        await asyncio.sleep(1)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", serves_a_second)
        reader, writer = await connected(bench)
        writer.write(b"hello")
        assert await reader.read() == b"hello"  # and the end
        assert now() == pytest.approx(1, abs=0.01)

    on_machines(scenario)


def test_a_paused_process_is_connected_to_and_takes_as_much_as_its_buffer_holds() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        await asyncio.sleep(0.01)
        await bench.machine("n1").pause()
        reader, writer = await asyncio.open_connection("n1", PORT)
        assert now() < 0.1, "its kernel answers"
        writer.write(PATTERN)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 10)
        await bench.machine("n1").resume()
        await writer.drain()
        assert await reader.readexactly(len(PATTERN)) == PATTERN

    on_machines(scenario)


def test_a_reader_that_does_not_read_stops_the_writer() -> None:
    async def never_reads() -> None:
        class Deaf(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.pause_reading()
                asyncio.get_running_loop().call_later(60, transport.resume_reading)

            def data_received(self, data: bytes) -> None:
                self.received = getattr(self, "received", 0) + len(data)
                print(self.received)

        server = await asyncio.get_running_loop().create_server(Deaf, None, PORT)
        await server.serve_forever()

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", never_reads)
        _, writer = await connected(bench)
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                while True:
                    writer.write(bytes(10_000))
                    sent += 10_000
                    await writer.drain()
        assert await bench.log("n1") == []
        # Both kernels' buffers (131,072 bytes each) are full, and the transport's is beyond its 64 KiB.
        assert 2 * 131_072 + 65_536 < sent < 2 * 131_072 + 65_536 + 30_000
        await asyncio.sleep(60)
        await writer.drain()
        await asyncio.sleep(60)
        assert int((await bench.log("n1"))[-1]) == sent

    on_machines(scenario)


def test_after_a_half_close_the_other_way_stays_open() -> None:
    async def counts() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = await reader.read()
            await asyncio.sleep(10)
            writer.write(b"%d bytes" % len(asked))
            writer.close()

        await (await asyncio.start_server(answer, None, PORT)).serve_forever()

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", counts)
        reader, writer = await connected(bench)
        writer.write(bytes(200_000))
        writer.write_eof()
        assert await reader.read() == b"200000 bytes"

    on_machines(scenario)


def test_an_abort_is_a_reset_at_the_other_end() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", echo)
        _, writer = await connected(bench)
        writer.write(b"x")
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        assert await bench.log("n1") == ["ConnectionResetError"]

    on_machines(scenario)


def test_a_server_bound_to_loopback_is_reached_from_its_own_host_alone() -> None:
    async def own() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        await asyncio.start_server(answer, "127.0.0.1", PORT)
        reader, _ = await asyncio.open_connection("localhost", PORT)
        print(await reader.read())
        await asyncio.sleep(10)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", own)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["b'hello'"]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("n1", PORT)

    on_machines(scenario)


def test_hosts_are_named_by_name_and_by_address() -> None:
    async def names() -> None:
        server = await asyncio.start_server(lambda reader, writer: print(writer.get_extra_info("peername")[0]), None, 0)
        port = server.sockets[0].getsockname()[1]
        assert 32_768 <= port <= 60_999
        for host in ("n1", "10.0.0.1", "127.0.0.1"):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
        await asyncio.sleep(1)
        try:
            await asyncio.open_connection("n9", port)
        except OSError as problem:
            print(problem.args[1])

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", names)
        await asyncio.sleep(2)
        *same, unknown, _ = await bench.log("n1")
        assert same == ["10.0.0.1"] * 3
        assert unknown.startswith("no simulated host is called 'n9'; there are n1 (10.0.0.1), n2 (10.0.0.2)")

    on_machines(scenario)


def test_two_servers_at_one_port_are_refused_and_the_port_is_free_after_a_restart() -> None:
    async def twice() -> None:
        await asyncio.start_server(lambda reader, writer: None, None, PORT)
        try:
            await asyncio.start_server(lambda reader, writer: None, None, PORT)
        except OSError as problem:
            print(problem.errno == errno.EADDRINUSE)
        await asyncio.sleep(100)

    async def scenario(bench: Bench) -> None:
        for _ in range(2):
            await bench.start("n1", twice)
            await asyncio.sleep(1)
            await bench.machine("n1").kill()
        assert await bench.log("n1") == ["True", "killed", "True", "killed"]

    on_machines(scenario)


def test_a_segment_that_was_changed_on_its_way_is_dropped() -> None:
    segment = Segment(1, 2, ACK, 2**40, 7, 100, b"payload")
    sent = segment.encode()
    assert decode(sent) == segment
    for at in range(len(sent)):
        assert decode(sent[:at] + bytes([sent[at] ^ 1]) + sent[at + 1 :]) is None
        assert decode(sent[:at]) is None
