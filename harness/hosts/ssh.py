"""One SSH connection to a machine, with its host key pinned.

1. The host key is known before the first contact. A machine that shows another one is always refused.
2. Only one key gets in. There is no password, no agent, and no key file on the harness's side.
3. A lost connection is opened again before a command, never during one: whether that command ran would be unknown.
4. Every command ends: done, failed, or timed out. Each message names the machine.
5. A machine may answer without end. Output is cut off at `OUTPUT_LIMIT_BYTES` while it comes in, and that is a failure.
"""

from __future__ import annotations

import asyncio
import base64
import shlex
import socket
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from splitbrain.harness.environment import EnvironmentFailure

T = TypeVar("T")

COMMAND_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
OUTPUT_LIMIT_BYTES = 16 << 20
"""The most that one command may answer; the largest answer asked for is the end of a log."""
EXCERPT_CHARACTERS = 2000
"""Characters of what a machine said that go into a message, and with it into histories and results."""
RUN_MARK, AGENT_MARK = "SPLITBRAIN_RUN", "SPLITBRAIN_AGENT"
"""Variables in the environment of processes, by which they are found again (`agent.caretaker`)."""
_ALGORITHMS = {
    "ssh-ed25519": "ssh-ed25519",
    **{name: name for name in ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")},
    **dict.fromkeys(("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"), "ssh-rsa"),
}
"""How a machine may show its key, and the type of that key."""
_LOST = (paramiko.SSHException, OSError, EOFError)


class _CommandTimeout(Exception):
    """A command took too long. Not a TimeoutError: a connect that times out is one, and is another matter."""


class _OutputLimitError(Exception):
    """A command answered more than it may."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key pair. private: OpenSSH's file format. public: one line, as in `authorized_keys`."""

    private: bytes
    public: str

    @staticmethod
    def generate() -> KeyPair:
        """A new pair, from the operating system's randomness."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return KeyPair(private, public.decode())


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to a machine.

    host: its address, numeric. key: the private key that gets in. host_key: the machine's public key, as
    "ssh-ed25519 AAAA...", the only one that is accepted; several are a line each. sudo: whether the user becomes root
    by `sudo -n`. run: marks every process that is started there with the run's id; "" for no mark.
    """

    host: str
    key: paramiko.PKey
    host_key: str
    user: str = "root"
    port: int = 22
    sudo: bool = False
    run: str = ""

    def command(self, script: str, *, agent: bool = False) -> str:
        """The command line that runs a POSIX shell script there, as root. agent: marks it as no program under test."""
        # Whatever shell the account has, scripts are for sh.
        words = f"sh -c {shlex.quote(script)}"
        if self.run:
            words = f"env {RUN_MARK}={self.run} {f'{AGENT_MARK}=1 ' if agent else ''}{words}"
        # sudo takes the environment away, and with it the word from where the harness comes.
        return f'exec sudo -n env SSH_CONNECTION="$SSH_CONNECTION" {words}' if self.sudo else f"exec {words}"


@dataclass(frozen=True, slots=True)
class Output:
    """What a command answered. status: its exit status; -1 if a signal ended it. data: both its outputs."""

    status: int
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace").strip()

    @property
    def excerpt(self) -> str:
        """The end of it, for a message."""
        return excerpt(self.data)


class SshConnection:
    """Commands on one machine, one at a time, without blocking the event loop.

    name: the node's name, for messages.
    """

    def __init__(self, name: str, login: Login) -> None:
        self.name = name
        self.host = login.host
        self._login = login
        self._client: paramiko.SSHClient | None = None
        self._closed = False
        # A thread of its own: commands to one machine keep their order, and a hung machine holds up no other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ssh-{name}")

    async def connect(self, deadline_s: float) -> None:
        """Log in, trying again while there is no answer. deadline_s: for how long.

        Raises EnvironmentFailure: no answer in that time, or at once on a wrong host key or a refused login.
        """
        end = time.monotonic() + deadline_s
        while True:
            try:
                await self.in_thread(self._connected)
                return
            except paramiko.AuthenticationException as error:
                raise EnvironmentFailure(
                    f"{self._where} refuses the login of {self._login.user} ({error}); check its authorized key"
                ) from error
            except paramiko.ssh_exception.IncompatiblePeer as error:
                raise EnvironmentFailure(
                    f"{self._where} shows no host key of the kind that is known of it ({error}); "
                    "make its keys known anew"
                ) from error
            except _LOST as error:
                if time.monotonic() > end:
                    raise EnvironmentFailure(
                        f"{self._where} does not answer within {deadline_s:g} s ({error or type(error).__name__}); "
                        "check that sshd runs there and that this machine can reach that address"
                    ) from error
            # sshd needs some tens of milliseconds until it listens.
            await asyncio.sleep(0.05)

    async def run(self, script: str, *, stdin: bytes = b"", timeout_s: float = COMMAND_TIMEOUT_S) -> Output:
        """Run a POSIX shell script to its end, whatever its exit status.

        Raises EnvironmentFailure if the machine can't be reached, the script takes longer than timeout_s, or it
        answers more than `OUTPUT_LIMIT_BYTES`.
        """
        try:
            return await self.in_thread(lambda: self._run(script, stdin, timeout_s))
        except _CommandTimeout as error:
            self._drop()
            raise EnvironmentFailure(
                f"{self._where} did not finish a command within {timeout_s:g} s ({_shortened(script)}); "
                "the machine hangs or is overloaded: try fewer nodes or a lower rate"
            ) from error
        except _OutputLimitError as error:
            self._drop()
            raise EnvironmentFailure(
                f"{self._where} answered a command with more than {OUTPUT_LIMIT_BYTES >> 20} MiB "
                f"({_shortened(script)}); see what runs there under that name"
            ) from error
        except _LOST as error:
            self._drop()
            raise EnvironmentFailure(
                f"the SSH connection to {self._where} was lost during a command ({_shortened(script)}): "
                f"{error or type(error).__name__}; see whether the machine still runs"
            ) from error

    async def check(self, script: str, *, stdin: bytes = b"", timeout_s: float = COMMAND_TIMEOUT_S) -> Output:
        """`run`, and raise EnvironmentFailure with what it said if its exit status is not 0."""
        output = await self.run(script, stdin=stdin, timeout_s=timeout_s)
        if output.status != 0:
            raise EnvironmentFailure(f"{self._where}: {output.excerpt or f'exit status {output.status}'}")
        return output

    async def channel(self, script: str) -> paramiko.Channel:
        """Start a script that stays, and talk to it through the channel's standard input and output."""

        def opened() -> paramiko.Channel:
            channel = self._session()
            channel.exec_command(self._login.command(script, agent=True))
            return channel

        try:
            return await self.in_thread(opened)
        except _LOST as error:
            raise EnvironmentFailure(f"the SSH connection to {self._where} was lost: {error}") from error

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do blocking work on this connection's thread, after what is under way there."""
        if self._closed:
            raise EnvironmentFailure(f"the SSH connection to {self._where} is closed already")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Hang up; a command under way fails. Idempotent."""
        self._closed = True
        self._drop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.host})"

    def _run(self, script: str, stdin: bytes, timeout_s: float) -> Output:
        end = time.monotonic() + timeout_s
        with self._session() as channel:
            # One stream: with two, a command blocks for ever on the one that is not being read.
            channel.set_combine_stderr(True)
            channel.exec_command(self._login.command(script))
            channel.settimeout(timeout_s)
            said = bytearray()
            try:
                channel.sendall(stdin)
                channel.shutdown_write()
                while piece := channel.recv(1 << 16):
                    said += piece
                    if len(said) > OUTPUT_LIMIT_BYTES:
                        raise _OutputLimitError
                    channel.settimeout(max(0.0, end - time.monotonic()))
            except TimeoutError as error:
                raise _CommandTimeout from error
            if not channel.status_event.wait(max(0.0, end - time.monotonic())):
                raise _CommandTimeout
            transport = channel.get_transport()
            # A lost connection also ends in an empty read, and would pass for a command that was killed.
            if channel.exit_status == -1 and not transport.is_active():
                raise EOFError("connection closed")
            return Output(channel.exit_status, bytes(said))

    def _session(self) -> paramiko.Channel:
        """A channel on the connection, made anew if it is gone."""
        try:
            return self._open_session()
        except _LOST:
            self._drop()
            return self._open_session()

    def _open_session(self) -> paramiko.Channel:
        transport = self._connected().get_transport()
        if transport is None:
            raise paramiko.SSHException("not connected")
        return transport.open_session(timeout=CONNECT_TIMEOUT_S)

    def _connected(self) -> paramiko.SSHClient:
        if self._client is not None:
            return self._client
        login = self._login
        client = paramiko.SSHClient()
        # Nothing is loaded from the user's known_hosts: the pinned key is the only one there is.
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        known = login.host if login.port == 22 else f"[{login.host}]:{login.port}"
        pinned = [public_key(line) for line in login.host_key.splitlines()]
        for each in pinned:
            client.get_host_keys().add(known, each.get_name(), each)
        sock = socket.create_connection((login.host, login.port), timeout=CONNECT_TIMEOUT_S)
        # A command is a handful of small packets; with Nagle's algorithm it takes 47 ms, without it 2.6 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.connect(
                login.host,
                login.port,
                username=login.user,
                pkey=login.key,
                sock=sock,
                allow_agent=False,
                look_for_keys=False,
                disabled_algorithms={"keys": _others(pinned)},
                timeout=CONNECT_TIMEOUT_S,
                banner_timeout=CONNECT_TIMEOUT_S,
                auth_timeout=CONNECT_TIMEOUT_S,
            )
        except paramiko.BadHostKeyException as error:
            client.close()
            raise EnvironmentFailure(
                f"{self._where} shows another host key than the pinned one: something else answers at that address, "
                "or the machine was set up anew; pin its new key only if you know why it changed"
            ) from error
        except BaseException:
            client.close()
            sock.close()
            raise
        self._client = client
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def public_key(line: str) -> paramiko.PKey:
    """A public key as `authorized_keys` has it. Raises ValueError for what is none."""
    kind, _, rest = line.strip().partition(" ")
    try:
        return paramiko.PKey.from_type_string(kind, base64.b64decode(rest.split(" ")[0], validate=True))
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError, IndexError) as problem:
        raise ValueError(
            f"{line[:40]!r} is no public key; write it as in known_hosts: ssh-ed25519 AAAA..."
        ) from problem


def _others(pinned: Collection[paramiko.PKey]) -> list[str]:
    """The algorithms of host keys that are not pinned: a machine that has several keys must show one that is."""
    wanted = {key.get_name() for key in pinned}
    return [name for name, kind in _ALGORITHMS.items() if kind not in wanted]


def excerpt(said: bytes) -> str:
    """The end of a machine's output, at most `EXCERPT_CHARACTERS` characters."""
    text = said[-4 * EXCERPT_CHARACTERS :].decode(errors="replace").strip()
    return text if len(text) <= EXCERPT_CHARACTERS else "..." + text[3 - EXCERPT_CHARACTERS :]


def _shortened(script: str) -> str:
    line = script.strip().splitlines()[0]
    return line if len(line) <= 60 else line[:57] + "..."
