"""A connection of aiohttp's that is kept: one request after the other."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from joiner.provisioning.client.failures import TargetError, incompatible

BUFFER: Final = 256 * 1024


class Line(ResponseHandler):
    """Its parser is made once, for all answers."""

    lease: Connection
    """What aiohttp's connector holds of it; set by whoever has got it."""
    _is_asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=BUFFER)

    def data_received(self, data: bytes) -> None:
        if self._is_asked:
            super().data_received(data)
        elif self.transport is not None:
            # It must not be taken for the answer to what is asked next.
            self.transport.close()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # Called for each piece of a body, whether it was paused or not.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    async def ask(self, message: bytes, most_bytes: int) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer. Raises as `Connections.send`, and HttpProcessingError."""
        transport = self.transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        self._is_asked = True
        transport.write(message)
        status = 100
        while status < 200:
            answer, content = await self.read()
            status = answer.code
        data = content.read_nowait(most_bytes + 1) if content.is_eof() else await content.read(most_bytes + 1)
        if not content.at_eof():
            parts, size = [data], len(data)
            while size <= most_bytes and (part := await content.read(most_bytes + 1 - size)):
                parts.append(part)
                size += len(part)
            data = b"".join(parts)
        if len(data) > most_bytes:
            raise too_long(most_bytes)
        self._is_asked = False
        return status, answer.headers, data

    def give_up(self) -> None:
        """No whole answer has come in time: `ask` raises TimeoutError."""
        error = TimeoutError()
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)


def too_long(most: int) -> TargetError:
    return incompatible(f"the answer is longer than {most} bytes")
