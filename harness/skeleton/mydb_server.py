"""A server that stands for your database: registers that are read, written, and compared and set, over TCP.

The first node is the primary: it keeps everything, and syncs a write before it acknowledges it. The others pass
requests on to it. Put your own server in its place.
"""

import asyncio
import json
import os
import sys
from pathlib import Path


class Registers:
    """What the primary keeps, in a journal of one JSON line a write."""

    def __init__(self, folder: str) -> None:
        path = Path(folder, "journal")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._values: dict = {}
        if path.exists():
            # A last line without its end was never acknowledged.
            for line in path.read_text().split("\n")[:-1]:
                self._values.update(json.loads(line))
        self._journal = path.open("a")

    def do(self, request: dict) -> dict:
        key, old = request["key"], self._values.get(request["key"])
        if request["do"] == "read":
            return {"value": old}
        if request["do"] == "cas" and old != request["old"]:
            return {"swapped": False}
        self._journal.write(json.dumps({key: request["new"]}) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._values[key] = request["new"]
        return {"swapped": True}


async def main(argv: list[str]) -> None:
    """argv: the port, the data folder, the address to listen on, the primary's address."""
    port, folder, host, primary = int(argv[0]), argv[1], argv[2], argv[3]
    registers = Registers(folder) if host == primary else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if json.loads(line)["do"] == "ping":
                    answer = b"{}\n"
                elif registers is not None:
                    answer = json.dumps(registers.do(json.loads(line))).encode() + b"\n"
                else:
                    answer = await passed_on(line)
                writer.write(answer)
                await writer.drain()
        except OSError:
            pass  # The client or the primary is gone; the client hears of it by the end of its connection.
        finally:
            writer.close()

    async def passed_on(line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(primary, port)
        try:
            writer.write(line)
            await writer.drain()
            answer = await reader.readline()
            if not answer:
                raise ConnectionResetError("the primary hung up")
            return answer
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
