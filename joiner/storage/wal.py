"""How much of SQLite's write-ahead log is in use. Its format is documented: https://sqlite.org/walformat.html"""

import os
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
SALTS = slice(16, 24)
"""Where the header has two numbers that are new each time the log begins anew; every frame repeats them."""
FRAME_SALTS = slice(8, 16)


def bytes_in_use(log: Path) -> int:
    """From the beginning of the log to its last frame; what follows in the file are frames of the round before.

    A log that has been copied into the database counts until the next write begins it anew. 0 if there is none.
    """
    try:
        file = os.open(log, os.O_RDONLY)
    except OSError:
        return 0
    try:
        header = os.pread(file, HEADER_BYTES, 0)
        if len(header) < HEADER_BYTES:
            return 0
        frame_bytes = FRAME_HEADER_BYTES + int.from_bytes(header[8:12], "big")
        low, high = 0, (os.fstat(file).st_size - HEADER_BYTES) // frame_bytes
        while low < high:
            middle = (low + high) // 2
            frame = os.pread(file, FRAME_HEADER_BYTES, HEADER_BYTES + middle * frame_bytes)
            if frame[FRAME_SALTS] == header[SALTS]:
                low = middle + 1
            else:
                high = middle
        return HEADER_BYTES + low * frame_bytes if low else 0
    finally:
        os.close(file)
