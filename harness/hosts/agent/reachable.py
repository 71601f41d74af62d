"""Whether libraries can be preloaded into a program: looked up in its executable. Runs on a node, before the start.

1. A script is as good as its interpreter.
2. A static binary has no loader that would preload anything. A Go binary may have one, but asks the kernel by itself.
3. What can't be found or read is no matter of this program: the start itself will say why.

It is sent over as text, so it imports nothing of splitbrain. Usage: reachable.py COMMAND. It prints why it can't be
done, in one line, or nothing.
"""

import shutil
import struct
import sys
from pathlib import Path

INTERPRETERS_MAX = 4
GO = b"\xff Go buildinf:"
PT_INTERP = 3


def obstacle(command: str) -> str:
    """Why nothing can be preloaded into it; "" if it can, or if it can't be told."""
    for _ in range(INTERPRETERS_MAX):
        path = shutil.which(command)
        if path is None:
            return ""
        try:
            content = Path(path).read_bytes()
        except OSError:
            return ""
        if content.startswith(b"#!"):
            words = content[2:200].split(b"\n")[0].split()
            if not words:
                return ""
            # `#!/usr/bin/env name` names the interpreter in its second word.
            asked = words[1] if words[0].endswith(b"/env") and len(words) > 1 else words[0]
            command = asked.decode(errors="replace")
            continue
        if not content.startswith(b"\x7fELF"):
            return ""
        if GO in content:
            return f"{path} is written in Go, and asks the kernel without libc"
        return "" if dynamic(content) else f"{path} is a static binary"
    return ""


def dynamic(content: bytes) -> bool:
    """Whether an ELF file names a loader. Raises struct.error for one that ends too early."""
    wide, order = content[4] == 2, "<" if content[5] == 1 else ">"
    offset = struct.unpack_from(f"{order}Q" if wide else f"{order}I", content, 32 if wide else 28)[0]
    size, count = struct.unpack_from(f"{order}HH", content, 54 if wide else 42)
    return any(struct.unpack_from(f"{order}I", content, offset + i * size)[0] == PT_INTERP for i in range(count))


if __name__ == "__main__":
    print(obstacle(sys.argv[1]))
