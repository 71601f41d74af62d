"""Files as a tar in memory, to be unpacked on another machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping


def archive(files: Mapping[str, bytes], mode: int = 0o600, executables: Collection[str] = ()) -> bytes:
    """The files by path as a tar, in their order; absolute paths lose their slash.

    mode: of each file, but for the executables, which have 0755. Equal values give equal bytes.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content)
            entry.mode = 0o755 if path in executables else mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
