"""Copy a file that may change meanwhile, until it did not: what a disk held at one moment.

1. Only stretches that hold data are read; the rest of the copy is a hole, as in the file.
2. After each copy the file is read again. If it is what was copied, then it was so at every moment in between.

It is sent over as text, so it imports nothing of splitbrain. Usage: still_copy.py FILE COPY TRIES. Its exit status is 1
if the file changed each time.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

CHUNK_BYTES = 1 << 20


def stretches(file: int) -> "Iterator[tuple[int, bytes]]":
    """(offset, content) of all that is no hole."""
    end = 0
    with contextlib.suppress(OSError):  # No data beyond that offset.
        while True:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
            for at in range(start, end, CHUNK_BYTES):
                yield at, os.pread(file, min(CHUNK_BYTES, end - at), at)


def still_copy(source: str, target: str, tries: int) -> bool:
    """Whether a copy was made."""
    file = os.open(source, os.O_RDONLY)
    for _ in range(tries):
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.ftruncate(copy, os.fstat(file).st_size)
        copied = list(stretches(file))
        for at, content in copied:
            os.pwrite(copy, content, at)
        os.close(copy)
        if list(stretches(file)) == copied:
            return True
    return False


if __name__ == "__main__":
    sys.exit(not still_copy(sys.argv[1], sys.argv[2], int(sys.argv[3])))
