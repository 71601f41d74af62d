"""What a node of the reference store is made of: the store's own source, what it imports, and its command."""

from __future__ import annotations

from pathlib import Path

import splitbrain.store
from splitbrain.harness.system import NodeImage

NEEDS = ("msgspec", "cryptography", "sortedcontainers", "click", "rich")
"""The distributions that the store imports."""
SOURCE = "/opt/splitbrain/splitbrain/store"
COMMAND = "/usr/local/bin/splitbrain-store"
_SCRIPT = b"""#!/bin/sh
exec python3 -m splitbrain.store.cli.main "$@"
"""


def image() -> NodeImage:
    """The image's value, with the source of the store as it is imported here."""
    folder = Path(splitbrain.store.__path__[0])
    sources = sorted(path for path in folder.rglob("*") if path.suffix == ".py" or path.name == "py.typed")
    files = {f"{SOURCE}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in sources}
    return NodeImage(python=NEEDS, files={**files, COMMAND: _SCRIPT}, executables=(COMMAND,))
