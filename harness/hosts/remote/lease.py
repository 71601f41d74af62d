"""The leases of a run's hosts: renewed while the harness lives, on a thread and connections of their own.

1. A renewal waits for nothing that the run does: a command on a host may take long, and so may judging a history.
2. Every renewal looks too: a host that has healed itself, was restarted, was cleaned by somebody, or does not answer
   any more is lost to the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.agent.caretaker import FOLDER
from splitbrain.harness.hosts.remote.stay import LEASE_S
from splitbrain.harness.hosts.ssh import Login, SshConnection

RENEWAL_S = LEASE_S / 6
SILENCE_S = LEASE_S / 2
"""A host that has not answered for so long is lost."""
ANSWER_S = 10.0
_LOST = {
    "gone": "what the run had there was removed; see who ran `splitbrain clean`",
    "healed": f"it healed itself, as its lease of {LEASE_S:g} s was not renewed; see what kept this machine from that",
    "unwatched": "its watchdog is gone; see whether it was restarted",
}


class Leases:
    """The leases of one run. logins: by the host's name."""

    def __init__(self, run: str, logins: Mapping[str, Login]) -> None:
        self._run = run
        self._connections = {name: SshConnection(name, login) for name, login in logins.items()}
        self._answered = dict.fromkeys(logins, time.monotonic())
        self._renewals = 0
        self._losses: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="leases", daemon=True)
        self._thread.start()

    @property
    def losses(self) -> Mapping[str, str]:
        """By host, why it is lost. As of the last renewal."""
        return dict(self._losses)

    async def renew(self) -> None:
        """Renew all of them now, and look. One that does not answer now is lost."""
        await self._there(self._renew_all(patience_s=0.0))

    def close(self) -> None:
        """Renew nothing any more. Idempotent."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=ANSWER_S)
        for connection in self._connections.values():
            connection.close()

    async def _there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it on the thread's loop."""
        if not self._thread.is_alive():
            work.close()
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        renewing = self._loop.create_task(self._renew_for_ever())
        try:
            self._loop.run_forever()
        finally:
            left = {renewing, *asyncio.all_tasks(self._loop)}
            for task in left:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()

    async def _renew_for_ever(self) -> None:
        while True:
            await self._renew_all(patience_s=SILENCE_S)
            await asyncio.sleep(RENEWAL_S)

    async def _renew_all(self, *, patience_s: float) -> None:
        self._renewals += 1
        await asyncio.gather(*(self._renew_one(name, self._renewals, patience_s) for name in self._connections))

    async def _renew_one(self, name: str, number: int, patience_s: float) -> None:
        if name in self._losses:
            return
        script = (
            "# renewal of the lease\n"
            f'cd {FOLDER} 2>/dev/null && grep -q \'"run": "{self._run}"\' marker.json || {{ echo gone; exit; }}\n'
            f"[ ! -e healed ] || {{ echo healed; exit; }}\n"
            f'[ -d "/proc/$(cat watchdog)" ] || {{ echo unwatched; exit; }}\n'
            f"echo {number} > lease.new && mv lease.new lease && echo renewed"
        )
        try:
            said = (await self._connections[name].check(script, timeout_s=ANSWER_S)).text
        except EnvironmentFailure as failure:
            if time.monotonic() - self._answered[name] > patience_s:
                self._losses[name] = str(failure)
            return
        self._answered[name] = time.monotonic()
        if said != "renewed":
            self._losses[name] = f"{name} is lost: {_LOST.get(said, f'it says {said[:80]!r}; see what happened there')}"
