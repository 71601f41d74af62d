"""As whom a program runs on a machine, and to whom its files belong, as lines of a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def owned(user: str | None, files: Sequence[str], data: str | None, mark: int) -> str:
    """Shell lines that say to whom these paths belong (`own`), and have "$@" run as that user, or as root.

    data: the program's folder, if it has one. mark: a group that its processes have besides.
    """
    mine = shlex.join([*files, *([data] if data else [])])
    own = f"chown {shlex.quote(user)}: {mine}" if user and mine else ":"
    # Folders on the way to the files have to be open to that user.
    mask = "022" if user else "077"
    return f"DATA={shlex.quote(data or '')} MASK={mask}\nown() {{ {own}; }}\n{as_user(user, f',{mark}')}"


def as_user(user: str | None, groups: str = "") -> str:
    """A shell line that has "$@" run as this user, or as root; with more groups, each with a comma in front."""
    if user is None:
        return f'set -- setpriv --groups "$(id -G | tr " " ","){groups}" "$@"\n' if groups else ""
    quoted = shlex.quote(user)
    return (
        f"id -u {quoted} >/dev/null || exit 3\n"
        f'set -- setpriv --reuid={quoted} --regid="$(id -g {quoted})" '
        f'--groups "$(id -G {quoted} | tr " " ","){groups}" '
        f'env HOME="$(getent passwd {quoted} | cut -d: -f6)" "$@"\n'
    )
