"""A small replicated key-value store: Raft, written for asyncio as anybody would. It knows nothing of splitbrain.

    pip install -e raft
    splitbrain run raft-registers --system raft --nodes 3 --faults partition,kill,pause --seed 1 --time-limit 20

Every node speaks JSON lines over TCP, to clients and to its peers. All operations, reads too, go through the log, which
is on disk before anything is answered. Left out: snapshots, changes of the membership, and answering a retry with what
the first attempt did.

Ongaro and Ousterhout: In Search of an Understandable Consensus Algorithm (USENIX ATC 2014), figure 2.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

ELECTION_S = (0.4, 0.8)
HEARTBEAT_S = 0.1
PEER_PATIENCE_S = 0.3
BATCH = 100
MISTAKES = ("none", "stale-reads", "no-fsync")


class Journal:
    """The log, the term and the vote on disk: a line for each change, the last of them in force."""

    def __init__(self, path, synced):
        self._synced = synced
        self.term, self.vote, self.entries = 0, None, []
        path.parent.mkdir(parents=True, exist_ok=True)
        good = self._replay(path) if path.exists() else b""
        # What a crash left behind the last whole line would swallow the next one.
        temporary = path.with_suffix(".new")
        self._file = temporary.open("wb")
        self._write(good)
        os.replace(temporary, path)  # noqa: PTH105 - the open file follows its name

    def _replay(self, path):
        good = b""
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                change = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            good += line
            if "term" in change:
                self.term, self.vote = change["term"], change["vote"]
            else:
                self.entries[change["at"] :] = change["entries"]
        return good

    def _write(self, data):
        self._file.write(data)
        self._file.flush()
        if self._synced:
            os.fsync(self._file.fileno())

    def promise(self, term, vote):
        self.term, self.vote = term, vote
        self._write(json.dumps({"term": term, "vote": vote}).encode() + b"\n")

    def put(self, at, entries):
        self.entries[at:] = entries
        self._write(json.dumps({"at": at, "entries": entries}).encode() + b"\n")


class Peer:
    """A connection to another node, made when it is needed; one request at a time."""

    def __init__(self, host, port):
        self._address = host, port
        self._streams = None
        self._lock = asyncio.Lock()

    async def ask(self, request):
        """The answer, or None if there was none in time."""
        async with self._lock:
            try:
                async with asyncio.timeout(PEER_PATIENCE_S):
                    if self._streams is None:
                        self._streams = await asyncio.open_connection(*self._address)
                    reader, writer = self._streams
                    writer.write(json.dumps(request).encode() + b"\n")
                    await writer.drain()
                    return json.loads(await reader.readline())
            except (OSError, TimeoutError, ValueError):
                # A late answer must not be taken for that to the next request.
                if self._streams is not None:
                    self._streams[1].close()
                self._streams = None
                return None


class Node:
    """One node of the cluster. peers: name -> Peer."""

    def __init__(self, name, peers, journal, mistake):
        self.name, self.peers, self.journal, self.mistake = name, peers, journal, mistake
        self.role, self.leader = "follower", None
        self.values, self.committed, self.applied = {}, 0, 0
        self.waiting = {}
        self.next, self.match = {}, {}
        self.grown = asyncio.Event()
        self.heard()

    def heard(self):
        self.deadline = time.monotonic() + random.uniform(*ELECTION_S)

    def adopt(self, term):
        """Follow in a newer term."""
        if term > self.journal.term:
            self.journal.promise(term, None)
            self.role, self.leader = "follower", None

    def last(self):
        """The last entry's term, and how many there are: which log is the newer one."""
        entries = self.journal.entries
        return [entries[-1]["term"] if entries else 0, len(entries)]

    # Elections.

    async def watch(self):
        """Stand for election whenever no leader was heard of for long enough."""
        while True:
            await asyncio.sleep(0.02)
            if self.role != "leader" and time.monotonic() > self.deadline:
                await self.stand()

    async def stand(self):
        self.heard()
        self.role, self.leader = "candidate", None
        self.journal.promise(self.journal.term + 1, self.name)
        term = self.journal.term
        request = {"ask": "vote", "term": term, "from": self.name, "last": self.last()}
        votes = 1
        for asked in asyncio.as_completed([peer.ask(request) for peer in self.peers.values()]):
            answer = await asked
            if answer is not None:
                self.adopt(answer["term"])
                votes += answer["granted"]
            if self.role != "candidate" or self.journal.term != term:
                return
            if votes > (len(self.peers) + 1) // 2:
                self.lead()
                return

    def vote(self, request):
        self.adopt(request["term"])
        granted = (
            request["term"] == self.journal.term
            and self.journal.vote in (None, request["from"])
            and request["last"] >= self.last()
        )
        if granted:
            self.journal.promise(request["term"], request["from"])
            self.heard()
        return {"term": self.journal.term, "granted": granted}

    # The log.

    def lead(self):
        print(f"{self.name} leads in term {self.journal.term}")
        self.role, self.leader = "leader", self.name
        self.next = dict.fromkeys(self.peers, len(self.journal.entries))
        self.match = dict.fromkeys(self.peers, 0)
        self.append({"op": "nothing"})
        for name in self.peers:
            asyncio.create_task(self.replicate(name, self.journal.term))  # noqa: RUF006 - it ends with the term

    def append(self, command):
        self.journal.put(len(self.journal.entries), [{"term": self.journal.term, "command": command}])
        self.grown.set()
        self.commit()
        return len(self.journal.entries)

    async def replicate(self, name, term):
        """Send a peer what it lacks, and heartbeats, for as long as this node leads in the term."""
        while self.role == "leader" and self.journal.term == term:
            start, entries = self.next[name], self.journal.entries
            request = {
                "ask": "append",
                "term": term,
                "from": self.name,
                "start": start,
                "before": entries[start - 1]["term"] if start else 0,
                "entries": entries[start : start + BATCH],
                "committed": self.committed,
            }
            answer = await self.peers[name].ask(request)
            if self.role != "leader" or self.journal.term != term:
                return
            if answer is None:
                await asyncio.sleep(HEARTBEAT_S / 2)
                continue
            self.adopt(answer["term"])
            if answer["holds"] is None:
                self.next[name] = max(0, min(start - 1, answer["length"]))
                continue
            self.match[name] = self.next[name] = answer["holds"]
            self.commit()
            if self.next[name] == len(self.journal.entries):
                self.grown.clear()
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await self.grown.wait()
                except TimeoutError:
                    pass

    def take(self, request):
        """A leader's entries."""
        self.adopt(request["term"])
        entries, start = self.journal.entries, request["start"]
        refused = {"term": self.journal.term, "holds": None, "length": len(entries)}
        if request["term"] < self.journal.term:
            return refused
        self.role, self.leader = "follower", request["from"]
        self.heard()
        if len(entries) < start or (start and entries[start - 1]["term"] != request["before"]):
            return refused
        for number, entry in enumerate(request["entries"], start):
            # An old request that comes late must not cut off what a newer one brought.
            if number >= len(entries) or entries[number]["term"] != entry["term"]:
                self.journal.put(number, request["entries"][number - start :])
                break
        holds = start + len(request["entries"])
        self.committed = max(self.committed, min(request["committed"], holds))
        self.apply()
        return {"term": self.journal.term, "holds": holds}

    def commit(self):
        """Only entries of the leader's own term are committed by counting (section 5.4.2)."""
        lengths = sorted([*self.match.values(), len(self.journal.entries)], reverse=True)
        held = lengths[len(lengths) // 2]
        if held > self.committed and self.journal.entries[held - 1]["term"] == self.journal.term:
            self.committed = held
            self.apply()

    def apply(self):
        while self.applied < self.committed:
            entry = self.journal.entries[self.applied]
            self.applied += 1
            answer = self.execute(entry["command"])
            term, waiter = self.waiting.pop(self.applied, (None, None))
            if waiter is not None and not waiter.done():
                waiter.set_result(answer if term == entry["term"] else {"error": "overwritten"})

    def execute(self, command):
        key = command.get("key")
        match command["op"]:
            case "write":
                self.values[key] = command["value"]
            case "cas":
                if self.values.get(key) != command["old"]:
                    return {"error": "mismatch"}
                self.values[key] = command["new"]
        return {"value": self.values.get(key)}

    # Clients.

    async def execute_for_client(self, command):
        if command["op"] == "ping":
            return {"leader": self.leader}
        if self.role != "leader":
            return {"error": "not-leader", "leader": self.leader}
        if command["op"] == "read" and self.mistake == "stale-reads":
            return {"value": self.values.get(command["key"])}  # Another leader may have been elected meanwhile.
        waiter = asyncio.get_running_loop().create_future()
        # The entry may be committed at once, where there are no peers.
        self.waiting[len(self.journal.entries) + 1] = self.journal.term, waiter
        self.append(command)
        return await waiter

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                request = json.loads(line)
                match request.get("ask"):
                    case "vote":
                        answer = self.vote(request)
                    case "append":
                        answer = self.take(request)
                    case _:
                        answer = await self.execute_for_client(request)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=HOST")
    parser.add_argument("--mistake", choices=MISTAKES, default="none")
    options = parser.parse_args(argv)
    hosts = dict(peer.split("=") for peer in options.peer)
    peers = {name: Peer(host, options.port) for name, host in hosts.items()}
    journal = Journal(options.data / "journal", synced=options.mistake != "no-fsync")
    node = Node(options.name, peers, journal, options.mistake)
    server = await asyncio.start_server(node.serve, "0.0.0.0", options.port, limit=1 << 24)
    print(f"{options.name} serves; term {journal.term}, {len(journal.entries)} entries")
    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve_forever())
        tasks.create_task(node.watch())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
