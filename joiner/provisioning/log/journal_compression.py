"""Compresses what rows of the provisioning log say, with a dictionary of what entries usually say (REQ-P-131).

Many texts go through one call: each call lets go of Python's lock, and waits for the other threads to get it back.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import zstandard

FORMAT: Final = b"\x03"
"""First byte of what is compressed: another dictionary is another format."""
DICTIONARY: Final = zstandard.ZstdCompressionDict(Path(__file__).with_name("journal.dictionary").read_bytes())
"""Made by `python -m benchmarks.journal_dictionary`."""
COMPRESSION: Final = zstandard.ZstdCompressionParameters.from_level(
    3, dict_size=len(DICTIONARY), write_dict_id=False, format=zstandard.FORMAT_ZSTD1_MAGICLESS
)
MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""Begins a frame (RFC 8878 section 3.1.1); it is not kept."""


class _Compressors(threading.local):
    """They are for one thread at a time."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(dict_data=DICTIONARY, compression_params=COMPRESSION)
        self.decompressor = zstandard.ZstdDecompressor(dict_data=DICTIONARY)


_threads: Final = _Compressors()


def compressed(texts: Sequence[bytes]) -> list[bytes]:
    """Each of the texts as it is kept."""
    if not texts:
        return []
    frames: Any = _threads.compressor.multi_compress_to_buffer(list[Any](texts))
    return [FORMAT + frame.tobytes() for frame in frames]


def text_of(kept: bytes) -> bytes:
    """The text that `compressed` was given."""
    return _threads.decompressor.decompress(MAGIC + kept[1:])


def decompressed(kept: Sequence[bytes]) -> list[bytes]:
    """As `text_of`, of many: for one alone the call takes longer than the work."""
    if not kept:
        return []
    texts: Any = _threads.decompressor.multi_decompress_to_buffer([MAGIC + each[1:] for each in kept])
    return [text.tobytes() for text in texts]
