"""The SCIM client: one request at a time to one target, with retries, and answers read tolerantly.

Knows HTTP and SCIM messages; knows nothing of mappings, links or jobs (REQ-C-001 … REQ-C-038).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson

from joiner.clock import Clock, system_clock
from joiner.provisioning.failures import TargetError, failure_of, incompatible

TRIES: Final = 3
LONGEST_WAIT: Final = 300.0
"""Seconds that a Retry-After may make us wait."""
REQUEST_TIMEOUT: Final = 60.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
UNANSWERED: Final = frozenset({"Timeout", "WebExceptionProtocolError"})
TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})

Resource = dict[str, Any]
Sleep = Callable[[float], Awaitable[None]]


class ScimTarget:
    """An `async with` resource. `base_url` has been checked and has no query and no slash at its end.

    `concurrency` bounds the requests under way at once.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        concurrency: int = 16,
        timeout: float = REQUEST_TIMEOUT,
        clock: Clock = system_clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._base_url = base_url
        self._headers = {"Accept": "application/scim+json, application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No cookies, no proxy from the environment, no redirects: the token goes to the address entered, nowhere else.
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=self._concurrency),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        """The resources of `/Users` or `/Groups` whose `attribute` equals `value`.

        Raises TargetError if an answer does not have the value asked for: a target that ignores filters would
        otherwise have its first object taken for everybody's match (provisioning service §7).
        """
        literal = orjson.dumps(value).decode()
        params = {"filter": f"{attribute} eq {literal}"}
        if exclude:
            params["excludedAttributes"] = ",".join(exclude)
        _, body = await self._send("GET", endpoint, params=params, of_collection=True)
        found = _resources_of(body)
        if any(not _has_value(resource, attribute, value, case_exact) for resource in found):
            raise incompatible(
                f"the application answered the filter {params['filter']} with objects that do not match it"
            )
        return found

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        """The resource, or None if it no longer exists."""
        params = {"excludedAttributes": ",".join(exclude)} if exclude else {}
        try:
            _, body = await self._send("GET", _path(endpoint, target_id), params=params)
        except TargetError as error:
            if error.status == 404:
                return None
            raise
        return _one_resource(body)

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        """Creates the resource and returns its id. Not repeated after a lost answer: the caller matches first."""
        _, body = await self._send("POST", endpoint, body=resource, of_collection=True, repeats=False)
        target_id = body.get("id") if isinstance(body, dict) else None
        if not isinstance(target_id, str) or not target_id:
            raise incompatible("the application answered the create without an id")
        return target_id

    async def describe(self, endpoint: str) -> list[Resource]:
        """What `/Schemas` or `/ResourceTypes` lists; nothing if the target has no such endpoint."""
        try:
            _, body = await self._send("GET", endpoint)
        except TargetError as error:
            if error.status == 404:
                return []
            raise
        found = body if isinstance(body, list) else body.get("Resources") if isinstance(body, dict) else None
        if not isinstance(found, list):
            raise incompatible(f"the application did not answer {endpoint} with a SCIM ListResponse")
        return [item for item in found if isinstance(item, dict)]

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        """Sends a PatchOp."""
        await self._send("PATCH", _path(endpoint, target_id), body=body)

    async def delete(self, endpoint: str, target_id: str) -> None:
        """Deletes the resource; that it does not exist any more is success (REQ-P-101)."""
        try:
            await self._send("DELETE", _path(endpoint, target_id))
        except TargetError as error:
            if error.status != 404:
                raise

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        of_collection: bool = False,
        repeats: bool = True,
    ) -> tuple[int, Any]:
        data = orjson.dumps(body) if body is not None else None
        for remaining in range(TRIES - 1, -1, -1):
            try:
                status, answer, retry_after = await self._exchange(method, path, params, data)
            except TargetError as error:
                # An answer that came but cannot be understood would be no better the next time.
                if error.code not in UNANSWERED or not repeats or not remaining:
                    raise
                await self._sleep(self._backoff(TRIES - remaining))
                continue
            if status < 300:
                return status, answer
            # A 429 or 503 with Retry-After says that nothing was done, so even a create may be repeated.
            again = status in TRANSIENT and (repeats or retry_after is not None)
            if not again or not remaining:
                raise failure_of(status, answer, of_collection=of_collection)
            await self._sleep(retry_after if retry_after is not None else self._backoff(TRIES - remaining))
        raise AssertionError("unreachable")

    async def _exchange(
        self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None
    ) -> tuple[int, Any, float | None]:
        """One request: status, parsed body (None if empty or not JSON), seconds of Retry-After."""
        if self._session is None:
            raise RuntimeError("the target is used outside of `async with`")
        headers = {"Content-Type": "application/scim+json"} if data is not None else None
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                params=params,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                content = await answer.content.read(MAX_ANSWER_BYTES + 1)
                while content and len(content) <= MAX_ANSWER_BYTES and not answer.content.at_eof():
                    content += await answer.content.read(MAX_ANSWER_BYTES + 1 - len(content))
                if len(content) > MAX_ANSWER_BYTES:
                    raise incompatible(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
                if 300 <= answer.status < 400:
                    raise incompatible(
                        f"the application redirects to '{answer.headers.get('Location', '?')}' (HTTP {answer.status}); "
                        "enter the final address as Tenant URL"
                    )
                return (
                    answer.status,
                    _parsed(content, answer.status),
                    self._retry_after(answer.headers.get("Retry-After")),
                )
        except TimeoutError:
            raise TargetError("Timeout", f"no answer within {self._timeout.total:.0f} seconds") from None
        except aiohttp.ClientError as error:
            raise TargetError("WebExceptionProtocolError", f"the application cannot be reached: {error}") from None

    def _backoff(self, attempt: int) -> float:
        """Seconds: 0.5, 1, 2 …, half to whole of it by chance."""
        return float(0.5 * 2 ** (attempt - 1) * (0.5 + self._jitter() / 2))

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds to wait (RFC 9110 §10.2.3: a number or a date), at most `LONGEST_WAIT`."""
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(text) - self._clock()).total_seconds()
            except (TypeError, ValueError):
                return None
        return min(max(seconds, 0.0), LONGEST_WAIT)


def _path(endpoint: str, target_id: str) -> str:
    return f"{endpoint}/{quote(target_id, safe='')}"


def _parsed(content: bytes, status: int) -> Any:
    if not content.strip():
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if status < 300:
            raise incompatible("the application answered with something that is not JSON") from None
        return None


def _resources_of(body: Any) -> list[Resource]:
    """The resources of a list answer; spelling and missing counts are forgiven (REQ-C-028)."""
    if not isinstance(body, dict):
        raise incompatible("the application did not answer a query with a SCIM ListResponse")
    found = body.get("Resources", body.get("resources"))
    if found is None:
        if "id" in body:
            found = [body]
        elif body.get("totalResults") == 0 or "ListResponse" in str(body.get("schemas")):
            found = []
        else:
            raise incompatible("the application did not answer a query with a SCIM ListResponse")
    if not isinstance(found, list) or not all(isinstance(item, dict) and item.get("id") for item in found):
        raise incompatible("the application lists objects without an id")
    return found


def _one_resource(body: Any) -> Resource:
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        raise incompatible("the application answered a read without a SCIM resource")
    return body


def _has_value(resource: Resource, attribute: str, value: str, case_exact: bool) -> bool:
    """Whether a simple top-level attribute has the value; paths and absent attributes get the benefit of the doubt."""
    held = next((item for name, item in resource.items() if name.lower() == attribute.lower()), None)
    if not isinstance(held, str):
        return True
    return held == value or (not case_exact and held.casefold() == value.casefold())
