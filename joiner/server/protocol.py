"""HTTP/1.1 as uvicorn speaks it, with limits: the size of a request's head, the time until it is there, and the time
that a body may pause. And with one write for an answer, where uvicorn makes two.

Whoever has not sent a whole head has shown no credentials, so it must cost next to nothing. The size of bodies is
limited by those who read them.
"""

import asyncio
import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of the request line and all headers together."""
SECONDS_FOR_HEAD: Final = 30.0
SECONDS_OF_SILENCE: Final = 30.0
"""In the middle of a body."""
SHORT: Final = 16 * 1024
"""Bytes of a body that are copied behind its head: cheaper than two buffers."""
UPGRADE: Final = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A head that is too long is answered (RFC 6585 §5, RFC 9110 §15.5.15), one that does not come is
    not."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._received = 0
        """Bytes since the end of the last request; those of its body count until the end of its head is seen."""
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(_OneWrite(transport, self.loop))  # type: ignore[arg-type] # it is all that uvicorn uses
        self._expect(SECONDS_FOR_HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and not self._received:
            data = _without_upgrade(data)
        self._received += len(data)
        super().data_received(data)
        if not self._in_head:
            self._expect(SECONDS_OF_SILENCE)
        elif self._received and not self.transport.is_closing():
            if self._received > MOST_HEAD_BYTES:
                self._refuse_head()
            elif self._deadline is None:
                self._expect(SECONDS_FOR_HEAD)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        # What has come may be mostly body: counting exactly is for the few requests that need it.
        if self._received > MOST_HEAD_BYTES and self._head_length() > MOST_HEAD_BYTES:
            self._refuse_head()
            raise ValueError("the head is too long")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._received = 0
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _head_length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        is_target = len(getattr(self, "url", b"")) > MOST_HEAD_BYTES // 2
        status = b"414 URI Too Long" if is_target else b"431 Request Header Fields Too Large"
        text = b"At most %d bytes are accepted before the body." % MOST_HEAD_BYTES
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n" % status
            + b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(text), text)
        )
        self.transport.close()

    def _expect(self, seconds: float) -> None:
        """More has to come within so many seconds."""
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _OneWrite:
    """A transport that holds the head of an answer until its body comes: two writes would be two packets, which cost
    more than most answers. A head whose body takes longer goes without it."""

    __slots__ = ("_call_soon", "_held", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._held: bytes | None = None
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        held = self._held
        if held is not None:
            self._held = None
            if len(data) < SHORT:
                self._transport.write(held + data)
            else:
                self._transport.writelines((held, data))
        elif data.startswith(b"HTTP/1."):
            self._held = data
            self._call_soon(self._let_go)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            if not self._transport.is_closing():
                self._transport.write(held)


def _without_upgrade(data: bytes) -> bytes:
    """A head without the wish for another protocol, which we may ignore (RFC 9110 §7.8): the parser would take what
    follows for that protocol, and the body would be lost. Clients in Java wish for one in every request."""
    if b"pgrade" not in data and b"PGRADE" not in data:
        return data
    end = data.find(b"\r\n\r\n")
    found = UPGRADE.search(data, 0, end) if end > 0 else None
    return data if found is None else data[: found.start()] + data[found.end() :]
