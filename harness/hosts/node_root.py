"""Where a node's files are and how its programs start, if one logs in beside the node and not to it.

1. Whoever logs in sees the node's processes under the node's own ids. So signals and looks at /proc need none of this.
2. A path of the node is resolved as the node sees it: where it has a link to /run, that is the node's /run.
3. A node need not have anything: no shell, no Python. What works on its files is started beside it, and enters.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from splitbrain.harness.hosts.ssh import SshConnection

# Modules are imported before it enters: there may be no Python inside.
_ENTER = """
import contextlib, json, os, pathlib, shutil, struct, sys, typing
os.chroot({path!r})
os.chdir("/")
os.environ["PATH"] = {search!r}
"""
_RESOLVE = 'import os, sys; print(*map(os.path.realpath, sys.argv[1:]), sep="\\0", end="")'
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class NodeRoot:
    """A node's root folder.

    path: as it is called where one logs in; "" if one logs in to the node itself. variables: with which the node's
    programs start, as "NAME=value", if they have a root of their own.
    """

    path: str = ""
    variables: tuple[str, ...] = ()

    def started(self, command: Sequence[str]) -> str:
        """The command as shell words, to be started where one logs in."""
        return shlex.join(("/usr/sbin/chroot", self.path, *command) if self.path else command)

    @property
    def cleared(self) -> str:
        """A shell line after which "$@" starts with the node's environment variables, and no others."""
        if not self.path:
            return ""
        return f'set -- /usr/bin/env -i {shlex.join((f"PATH={_SEARCH}", "HOME=/root", *self.variables))} "$@"\n'

    def python(self, source: str, *arguments: str) -> str:
        """The shell line that runs a Python program among the node's files."""
        search = next((word[5:] for word in self.variables if word.startswith("PATH=")), _SEARCH)
        before = _ENTER.format(path=self.path, search=search) if self.path else ""
        return f"python3 -c {shlex.quote(before + source)} {shlex.join(arguments)}"

    async def resolved(self, connection: SshConnection, paths: Sequence[str]) -> tuple[str, ...]:
        """Paths of the node without links, as the node calls them. Raises EnvironmentFailure."""
        if not self.path or not paths:
            return tuple(paths)
        said = await connection.check(self.python(_RESOLVE, *paths))
        return tuple(said.data.decode(errors="surrogateescape").split("\0"))
