"""Bodies that are files: written to disk as they come, so that their size costs no memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from starlette.requests import Request

from joiner.errors import InvalidValueError
from joiner.graph.errors import GraphError

MOST_FILE_BYTES: Final = 8 * 1024**3


@contextmanager
def spool_files(folder: Path, number: int) -> Iterator[list[BinaryIO]]:
    """So many empty files in the folder, nameless, gone afterwards."""
    with ExitStack() as opened:
        yield [opened.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(number)]


async def receive_files(request: Request, sizes: Sequence[int], files: Sequence[BinaryIO]) -> None:
    """Writes the body, which is files of these sizes one behind the other. Raises GraphError, InvalidValueError."""
    if sum(sizes) > MOST_FILE_BYTES:
        raise GraphError(413, "RequestTooLarge", f"Files may have {MOST_FILE_BYTES} bytes together.")
    missing = list(sizes)
    current = 0
    async for chunk in request.stream():
        rest = memoryview(chunk)
        while len(rest):
            while current < len(missing) and not missing[current]:
                current += 1
            if current == len(missing):
                raise InvalidValueError("the body is longer than the files that the query announces")
            part = rest[: missing[current]]
            files[current].write(part)
            missing[current] -= len(part)
            rest = rest[len(part) :]
    if any(missing):
        raise InvalidValueError("the body is shorter than the files that the query announces")
