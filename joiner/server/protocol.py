"""HTTP/1.1 as uvicorn speaks it, with limits: the size of a request's head, the time until it is there, and the time
that a body may pause. And with less work for a short answer, which costs uvicorn a task, two writes and a timer.

Whoever has not sent a whole head has shown no credentials, so it must cost next to nothing. The size of bodies is
limited by those who read them.
"""

import asyncio
import contextlib
import re
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of the request line and all headers together."""
SECONDS_FOR_HEAD: Final = 30.0
SECONDS_OF_SILENCE: Final = 30.0
"""In the middle of a body."""
SECONDS_IDLE: Final = 75.0
"""How long an idle connection is kept: longer than clients keep theirs, so that none is closed under a request."""
MOST_HELD: Final = 64 * 1024
"""Bytes of answers that are kept together."""
UPGRADE: Final = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A head that is too long is answered (RFC 6585 §5, RFC 9110 §15.5.15), one that does not come is
    not.

    An application may have a method `may_begin_at_once`: given a request's scope, whether it can do without a task
    until it first waits for something, `asyncio.current_task()` being None until then.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._received = 0
        """Bytes since the end of the last request; those of its body count until the end of its head is seen."""
        self._in_head = True
        self._has_begun = True
        """Whether the time for the head of the request is running."""
        self._due: float | None = None
        """When it is over, by the loop's clock, unless more comes."""
        self._timer: asyncio.TimerHandle | None = None
        self._may_begin: Callable[[Any], bool] | None = getattr(self.app, "may_begin_at_once", None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(_Outgoing(transport, self.loop))  # type: ignore[arg-type] # it is all that uvicorn uses
        self._expect(SECONDS_FOR_HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
            elif not self._has_begun:
                self._has_begun = True
                self._expect(SECONDS_FOR_HEAD)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._has_begun = False
        self._due = None
        # What has come may be mostly body: counting exactly is for the few requests that need it.
        if self._received > MOST_HEAD_BYTES and self._head_length() > MOST_HEAD_BYTES:
            self._refuse_head()
            raise ValueError("the head is too long")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._received = 0
        self._due = None
        super().on_message_complete()
        if self.cycle.response_complete:
            self._expect(SECONDS_IDLE)

    def on_response_complete(self) -> None:
        # uvicorn's own, but for its timer.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            # As a task: each would begin in the middle of the end of the one before.
            super()._start_asgi_task(*self.pipeline.pop())
        elif self._in_head and not self._received:
            self._expect(SECONDS_IDLE)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._may_begin is not None and self._may_begin(cycle.scope):
            self._begin(cycle.run_asgi(app))
        else:
            super()._start_asgi_task(cycle, app)

    def _begin(self, run: Coroutine[Any, Any, None]) -> None:
        """Runs it until it waits for something, and only then makes a task of it."""
        try:
            awaited = run.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_rest(run, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

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
        """More has to come within so many seconds. The timer that runs is good enough if it rings earlier."""
        self._due = due = self.loop.time() + seconds
        timer = self._timer
        if timer is None or timer.when() > due:
            if timer is not None:
                timer.cancel()
            self._timer = self.loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is not None:
            left = self._due - self.loop.time()
            if left > 0:
                self._timer = self.loop.call_later(left, self._ring)
            else:
                self.transport.close()


@types.coroutine
def _rest(run: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that has begun and waits."""
    with contextlib.suppress(StopIteration):
        while True:
            try:
                came = yield awaited
            except BaseException as error:
                awaited = run.throw(error)
            else:
                awaited = run.send(came)


class _Outgoing:
    """A transport that writes once the requests that have come with this one have begun: an answer is one packet, head
    and body, and the clients that wait for the others are not woken in the middle of the work."""

    __slots__ = (
        "_call_soon",
        "_pieces",
        "_size",
        "_transport",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._pieces: list[bytes] = []
        self._size = 0
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._call_soon(self.flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        self.flush()
        self._transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """A head without the wish for another protocol, which we may ignore (RFC 9110 §7.8): the parser would take what
    follows for that protocol, and the body would be lost. Clients in Java wish for one in every request."""
    if b"pgrade" not in data and b"PGRADE" not in data:
        return data
    end = data.find(b"\r\n\r\n")
    found = UPGRADE.search(data, 0, end) if end > 0 else None
    return data if found is None else data[: found.start()] + data[found.end() :]
