"""MyDb under test: what its nodes are made of, what runs on them, and how clients talk to it.

pytest                                                              # in simulation
pytest --env docker                                                 # in containers
splitbrain run linearizable-register --system mydb.py:SYSTEM --nodes 3 --faults partition,kill --seed 1
"""

import asyncio
import json
from pathlib import Path

import mydb_server

from splitbrain import Failure, NodeImage, Program, Service, Session, asyncio_program

PORT = 7000
DATA = "/var/lib/splitbrain/data"
SERVER = "/opt/splitbrain/mydb_server.py"


class MyDbSession(Session):
    """One client's connection. Each method is one operation; the workload that wants it is in `splitbrain list`."""

    # Which exceptions of your driver say that an operation certainly did not happen? All others leave it open.
    failures = (Failure(ConnectionRefusedError, "refused", definite=True),)

    def __init__(self, host):
        self.host = host

    async def open(self):
        return await asyncio.open_connection(self.host, PORT)

    async def shut(self, raw):
        raw[1].close()

    async def read(self, key):
        return (await self.ask({"do": "read", "key": key}, effect=False))["value"]

    async def write(self, key, value):
        await self.ask({"do": "write", "key": key, "new": value})

    async def cas(self, key, old, new):
        return (await self.ask({"do": "cas", "key": key, "old": old, "new": new}))["swapped"]

    async def ask(self, request, effect=True):
        async def exchange(raw):
            reader, writer = raw
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
            if not line:
                raise ConnectionResetError("the server hung up")
            return json.loads(line)

        return await self.call(exchange, effect=effect)


class MyDb(Service):
    """The system."""

    name = "mydb"
    interfaces = frozenset({"Register"})
    # Debian packages (debian=("redis-server",)), Python packages and files that a container of a node has.
    made_of = NodeImage(files={SERVER: Path(mydb_server.__file__).read_bytes()})
    port = PORT

    def program(self, environment, node):
        primary, host = environment.machines["n1"].host, environment.machines[node].host
        argv = [str(PORT), DATA, host, primary]
        return Program(
            name="mydb",
            command=("python3", "-u", SERVER, *argv),
            data=DATA,
            # A server that is no asyncio program has no `simulate`, and runs in containers only.
            simulate=asyncio_program(mydb_server.main, argv),
        )

    def session(self, environment, node):
        return MyDbSession(environment.machines[node].host)

    async def ready(self, environment, node):
        # A question that the program itself has to answer: a port alone is open even if the program is paused.
        session = self.session(environment, node)
        try:
            await session.ask({"do": "ping"})
        except Exception:
            return False
        finally:
            await session.close()
        return True


SYSTEM = MyDb()
