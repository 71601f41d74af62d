"""etcd: registers, transactions on rows, and locks, through its JSON gateway.

1. Each node runs one member. A client talks to the member of its node only.
2. `reads=serializable` has a member answer reads from what it holds itself, which may be old.
3. A transaction reads all of its rows, and writes on condition that none of them has changed since. One whose condition
   did not hold is done anew, a few times.
4. A lock belongs to a lease. The client keeps no lease alive: it holds the lock for as long as it asked for.

Sources: etcd 3.4's documentation of the API and of its guarantees; Jepsen, etcd 3.4.3 (2020).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage, OperationFailed
from splitbrain.harness.systems.kit import Failure, Service, Session, Setting, answers_http
from splitbrain.harness.systems.kit.session import TIMEOUT_S

PORT, PEER_PORT = 2379, 2380
DATA = "/var/lib/splitbrain/data"
LOCK_S = 0.3
"""How long a client waits in line for a lock that somebody else holds."""
ATTEMPTS = 5
"""How often a transaction is tried whose rows were changed by others meanwhile."""
# Codes of gRPC. A member that lost its leader says one of the first, and what it had proposed may still be done.
_OPEN, _NOT_FOUND = (4, 14), 5


class EtcdError(Exception):
    """An answer that is an error. code: gRPC's number for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class EtcdSession(Session[httpx.AsyncClient]):
    """Register, Transactions and Lock, through one member."""

    failures: ClassVar[Sequence[Failure]] = (
        Failure(httpx.ConnectError, "unreachable", definite=True, usable=False),
        Failure(httpx.ConnectTimeout, "unreachable", definite=True, usable=False),
        Failure(httpx.TimeoutException, "timeout"),
        Failure(httpx.TransportError, "connection-lost"),
        Failure(EtcdError, "lease-over", definite=True, when=lambda problem: problem.code == _NOT_FOUND),
        Failure(EtcdError, "unavailable", when=lambda problem: problem.code in _OPEN, usable=True),
    )

    def __init__(self, host: str, *, serializable: bool) -> None:
        self._url = f"http://{host}:{PORT}/v3"
        self._serializable = serializable
        self._leases: dict[str, tuple[str, str]] = {}

    async def open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self.timeout_s, trust_env=False, verify=False)

    async def shut(self, raw: httpx.AsyncClient) -> None:
        await raw.aclose()

    async def read(self, key: str) -> Any:
        found = await self._ask("kv/range", self._range(key), effect=False)
        return _value(found)

    async def write(self, key: str, value: Any) -> None:
        await self._ask("kv/put", _put(key, value))

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        condition = {"key": _coded(key), "target": "VALUE", "result": "EQUAL", "value": _coded(json.dumps(old))}
        answer = await self._ask("kv/txn", {"compare": [condition], "success": [{"request_put": _put(key, new)}]})
        return bool(answer.get("succeeded"))

    async def transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        for _ in range(ATTEMPTS):
            done = await self._attempt(micro_operations)
            if done is not None:
                return done
        raise OperationFailed("conflict", f"its rows were changed by others {ATTEMPTS} times", definite=True)

    async def acquire(self, name: str, lease_s: float) -> int | None:
        granted = await self._ask("lease/grant", {"TTL": math.ceil(lease_s)}, effect=False)
        lease = granted["ID"]
        try:
            asked = {"name": _coded(name), "lease": lease}
            locked = await self._ask("lock/lock", asked, effect=False, patience_s=LOCK_S)
            rows = await self._rows(locked["key"])
        except OperationFailed as failed:
            # It may be given to this lease later on, when nobody knows of it any more.
            await self._revoke(lease)
            if failed.code != "timeout":
                raise
            return None
        if not rows:  # The lease was over while it waited, and the member gave the lock to it all the same.
            return None
        # Not the answer's own revision: two answers may have the same one.
        token = int(rows[0]["create_revision"])
        self._leases[f"{name}/{token}"] = (lease, locked["key"])
        return token

    async def release(self, name: str, token: int) -> bool:
        lease, key = self._leases.pop(f"{name}/{token}", ("", ""))
        held = bool(key and await self._rows(key))
        if held:
            await self._ask("lock/unlock", {"key": key})
            await self._revoke(lease)
        return held

    async def status(self) -> Mapping[str, Any]:
        """What the member says of itself; nothing if it does not answer. It closes the session."""
        try:
            return await self._ask("maintenance/status", {}, effect=False)
        except OperationFailed:
            return {}
        finally:
            await self.close()

    async def _revoke(self, lease: str) -> None:
        # It ends by itself soon.
        with contextlib.suppress(OperationFailed):
            await self._ask("lease/revoke", {"ID": lease}, effect=False)

    async def _rows(self, key: str) -> Any:
        return (await self._ask("kv/range", {"key": key}, effect=False)).get("kvs", [])

    async def _attempt(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
        """Do it on condition that nothing which it read has changed. None if something has."""
        keys = list(dict.fromkeys(str(key) for _, key, _ in micro_operations))
        reads = [{"request_range": self._range(key)} for key in keys]
        answer = await self._ask("kv/txn", {"success": reads}, effect=False)
        found = [each["response_range"] for each in answer["responses"]]
        rows = {key: _value(each) for key, each in zip(keys, found, strict=True)}
        done: list[list[Any]] = []
        written: dict[str, Any] = {}
        for f, key, value in micro_operations:
            match f:
                case "r":
                    done.append([f, key, rows[key]])
                    continue
                case "append":
                    rows[key] = [*(rows[key] or []), value]
                case _:
                    rows[key] = value
            written[key] = rows[key]
            done.append([f, key, value])
        if not written:
            return done
        conditions = [
            {"key": _coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": _changed(each)}
            for key, each in zip(keys, found, strict=True)
        ]
        puts = [{"request_put": _put(key, value)} for key, value in written.items()]
        answer = await self._ask("kv/txn", {"compare": conditions, "success": puts})
        return done if answer.get("succeeded") else None

    async def _ask(
        self, path: str, request: Mapping[str, Any], *, effect: bool = True, patience_s: float = TIMEOUT_S
    ) -> Mapping[str, Any]:
        async def post(raw: httpx.AsyncClient) -> Mapping[str, Any]:
            answer = await raw.post(f"{self._url}/{path}", json=request, timeout=patience_s)
            said: Mapping[str, Any] = answer.json()
            if answer.is_error or "code" in said:
                raise EtcdError(int(said.get("code", 0)), str(said.get("message", answer.text)))
            return said

        return await self.call(post, effect=effect)

    def _range(self, key: str) -> dict[str, Any]:
        return {"key": _coded(key), "serializable": self._serializable}


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _put(key: str, value: Any) -> dict[str, Any]:
    return {"key": _coded(key), "value": _coded(json.dumps(value))}


def _value(found: Mapping[str, Any]) -> Any:
    rows = found.get("kvs")
    return json.loads(base64.b64decode(rows[0]["value"])) if rows else None


def _changed(found: Mapping[str, Any]) -> str:
    rows = found.get("kvs")
    return str(rows[0]["mod_revision"]) if rows else "0"


class Etcd(Service):
    """A cluster, one member a node."""

    name = "etcd"
    interfaces = frozenset({"Register", "Transactions", "Lock"})
    settings: ClassVar[Mapping[str, Setting]] = {"reads": ("linearizable", "serializable")}
    made_of = NodeImage(debian=("etcd-server",))
    port = PORT
    sizes = (1, 9)

    def program(self, environment: Environment, node: str) -> Program:
        host = environment.machines[node].host
        cluster = ",".join(f"{name}=http://{each.host}:{PEER_PORT}" for name, each in environment.machines.items())
        options = {
            "name": node,
            "data-dir": DATA,
            "listen-client-urls": f"http://{host}:{PORT}",
            "advertise-client-urls": f"http://{host}:{PORT}",
            "listen-peer-urls": f"http://{host}:{PEER_PORT}",
            "initial-advertise-peer-urls": f"http://{host}:{PEER_PORT}",
            "initial-cluster": cluster,
            # Ignored once there is data, so a restart joins the cluster that it left.
            "initial-cluster-state": "new",
            "enable-grpc-gateway": "true",
            "logger": "zap",
        }
        command = ["etcd", *(f"--{key}={value}" for key, value in options.items())]
        return Program("etcd", tuple(command), data=DATA, preload=False)

    def session(self, environment: Environment, node: str) -> EtcdSession:
        host = environment.machines[node].host
        return EtcdSession(host, serializable=self.config["reads"] == "serializable")

    async def ready(self, environment: Environment, node: str) -> bool:
        """Whether the member knows a leader."""
        return await answers_http(f"http://{environment.machines[node].host}:{PORT}/health")

    async def leader(self, environment: Environment) -> str | None:
        """The member that most of those who answer take for the leader."""
        nodes = list(environment.members)
        asked = (self.session(environment, node).status() for node in nodes)
        answers = dict(zip(nodes, await asyncio.gather(*asked), strict=True))
        led = [said["leader"] for said in answers.values() if said.get("leader", "0") != "0"]
        leader = max(sorted(set(led)), key=led.count, default="")
        return next((node for node, said in answers.items() if said and said["header"]["member_id"] == leader), None)


SYSTEM = Etcd()
