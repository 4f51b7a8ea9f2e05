"""The SCIM client: what the engine asks of one target, with retries, and answers read tolerantly.

Knows SCIM messages and what the target can do; knows nothing of mappings, links or jobs (REQ-C-001 … REQ-C-038).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import orjson

from joiner.clock import Clock, system_clock
from joiner.provisioning.client.answers import (
    Page,
    Resource,
    has_value,
    id_of,
    page_of,
    page_title,
    parsed,
    resource_of,
)
from joiner.provisioning.client.authentication import NO_AUTHENTICATION, Authentication, Headers
from joiner.provisioning.client.exchange import Answer, Exchange
from joiner.provisioning.client.failures import INCOMPATIBLE, NamelessError, TargetError, failure_of, incompatible
from joiner.provisioning.client.gate import Gate, Sleep
from joiner.provisioning.client.merge import merged
from joiner.provisioning.client.pace import Pace, Verdict
from joiner.provisioning.client.profile import DEFAULT_PROFILE, TargetProfile
from joiner.provisioning.client.recorder import Masking, forms, tell
from joiner.provisioning.client.retries import (
    LONGEST_WAIT,
    MOST_THROTTLED,
    TRANSIENT,
    TRIES,
    UNANSWERED,
    backoff,
    retry_after,
)
from joiner.provisioning.client.scan import Scan
from joiner.provisioning.decisions.wire import CONTENT_TYPE, Dialect
from joiner.provisioning.mapping.target_path import compile_path

ACCEPT = "application/scim+json, application/json"
META_VERSION = compile_path("meta.version")
OVERLOADED = frozenset({408, 502, 503, 504})
MOST_PAGES = 100_000
"""A target that never comes to an end is broken."""
MOST_PAGES_OF_MATCHES = 100


class ScimTarget:
    """One target over an exchange that is open. `pace` bounds how fast it is asked, by all who use this object."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        authentication: Authentication = NO_AUTHENTICATION,
        profile: TargetProfile = DEFAULT_PROFILE,
        content_type: str = CONTENT_TYPE,
        pace: Pace | None = None,
        clock: Clock = system_clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._exchange = exchange
        self._authentication = authentication
        self._profile = profile
        self._content_type = content_type
        self._gate = Gate(pace or Pace(profile.limits(Dialect.RFC)), clock, sleep)
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._scan = Scan(clock)
        self._known: tuple[Headers, dict[str, str], dict[str, str]] | None = None
        self._forms: tuple[Sequence[str], Sequence[bytes]] | None = None

    @property
    def profile(self) -> TargetProfile:
        return self._profile

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        """The resources of `/Users` or `/Groups` whose `attribute` equals `value`; of several, two at least.

        Raises TargetError if an answer does not have the value asked for: a target that ignores filters would
        otherwise have its first object taken for everybody's match (provisioning service §7).
        """
        if not self._profile.can_filter(attribute):
            everything = await self._scan.of(endpoint, lambda: self._listed(endpoint, exclude))
            return everything.equal(attribute, value, case_exact=case_exact)
        condition = f"{attribute} eq {orjson.dumps(value).decode()}"
        params = {"filter": condition, **self._excluding(exclude)}
        page = await self._page(endpoint, params)
        found, cursors = page.resources, set[str]()
        while page.next_cursor is not None and len(found) < 2:
            if len(cursors) == MOST_PAGES_OF_MATCHES:
                raise incompatible(f"the application's answer to the filter {condition} does not come to its end")
            page = await self._page(endpoint, {**params, "cursor": _unseen(page.next_cursor, cursors)})
            found = found + page.resources
        total = page.total
        if total and total > len(found) == 1:
            # The page may hold fewer than match.
            further = await self._page(endpoint, {**params, "startIndex": "2"})
            found = found + [other for other in further.resources if other["id"] != found[0]["id"]]
        if total and not found:
            # To take this for "nobody" would create a second account.
            raise incompatible(f"the application says that {total} objects match {condition}, and lists none")
        for at, resource in enumerate(found):
            has = has_value(resource, attribute, value, case_exact=case_exact)
            if has is None:
                # Lists may leave attributes out that a read shows.
                found[at] = resource = await self._whole(endpoint, resource, exclude)
                has = has_value(resource, attribute, value, case_exact=case_exact)
            if not has:
                what = "does not show" if has is None else "does not match"
                raise incompatible(f"the application answered the filter {condition} with an object that {what} it")
        return found

    async def _whole(self, endpoint: str, resource: Resource, exclude: Sequence[str]) -> Resource:
        found = await self.read(endpoint, resource["id"], exclude=exclude)
        if found is None:
            raise incompatible(f"the application lists an object '{resource['id']}' that it does not have")
        return found

    async def every(self, endpoint: str, *, exclude: Sequence[str] = ()) -> AsyncIterator[Resource]:
        """Every resource of `/Users` or `/Groups`, page by page (REQ-C-029). Raises TargetError."""
        async for page in self._pages(endpoint, self._excluding(exclude)):
            for resource in page.resources:
                yield resource

    async def page(self, endpoint: str, *, place: int | str, count: int, exclude: Sequence[str] = ()) -> Page:
        """One page of the list of `/Users` or `/Groups`; `place` is an index, from 1, or a cursor."""
        asked = {"startIndex" if isinstance(place, int) else "cursor": str(place), "count": str(count)}
        return await self._page(endpoint, {**self._excluding(exclude), **asked})

    async def select(
        self, endpoint: str, condition: str | None, *, place: int | str | None = None, count: int | None = None
    ) -> Page:
        """One page of what matches a filter; `place` as of `page`, None where the target begins by itself."""
        asked = {
            "filter": condition,
            "cursor" if isinstance(place, str) else "startIndex": None if place is None else str(place),
            "count": None if count is None else str(count),
        }
        return await self._page(endpoint, {name: value for name, value in asked.items() if value is not None})

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        """The resource, or None if it no longer exists."""
        try:
            answer = await self._send("GET", _path(endpoint, target_id) + _query(self._excluding(exclude)))
        except TargetError as error:
            if error.status in (404, 410):
                return None
            raise
        return _asked_for(target_id, resource_of(parsed(answer)))

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        """Creates the resource and returns its id. Not repeated after a lost answer: the caller matches first, as it
        does after a NamelessError."""
        try:
            answer = await self._send("POST", endpoint, body=resource, of_collection=True, repeats=False)
            try:
                body = parsed(answer)
            except TargetError:
                # Some answer a create with nothing but its address, or a word.
                if answer.status != 201:
                    raise
                body = None
            target_id = id_of(body) or _last_segment(answer.headers.get("location"), endpoint)
            if not target_id:
                raise NamelessError(INCOMPATIBLE, "the application answered the create without an id")
        except BaseException:
            # It may have been made all the same.
            self._scan.forget(endpoint)
            raise
        self._scan.add(endpoint, resource, target_id)
        return target_id

    async def describe(self, endpoint: str) -> list[Resource]:
        """What `/Schemas` or `/ResourceTypes` lists; nothing if the target has no such endpoint."""
        body = await self.document(endpoint)
        if body is None:
            return []
        found = body.get("Resources", body.get("resources")) if isinstance(body, dict) else body
        if not isinstance(found, list):
            raise incompatible(f"the application did not answer {endpoint} with a SCIM ListResponse")
        return [item for item in found if isinstance(item, dict)]

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        """Sends a PatchOp, or for a target that knows no PATCH does what it says by reading and writing the whole."""
        self._scan.forget(endpoint)
        if self._profile.is_put(body):
            await self.replace(endpoint, target_id, body)
        else:
            # A page of a proxy that says 200 has written nothing.
            parsed(await self._send("PATCH", _path(endpoint, target_id), body=body))

    async def replace(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        """Does what a PatchOp says by reading, merging and PUT; once more if somebody else has written in between
        (RFC 7644 §3.14)."""
        try:
            await self._replace_once(endpoint, target_id, body)
        except TargetError as first:
            if first.status != 412:
                raise
            try:
                await self._replace_once(endpoint, target_id, body)
            except TargetError as error:
                error.is_without_effect &= first.is_without_effect
                raise

    async def _replace_once(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        path = _path(endpoint, target_id)
        answer = await self._send("GET", path)
        resource = _asked_for(target_id, resource_of(parsed(answer)))
        whole = merged(endpoint, resource, body)
        version = str(answer.headers.get("etag") or META_VERSION.read(resource) or "")
        headers = {"If-Match": version} if version and version.isprintable() else None
        parsed(await self._send("PUT", path, body=whole, headers=headers))

    async def delete(self, endpoint: str, target_id: str) -> None:
        """Deletes the resource; that it does not exist any more is success (REQ-P-101)."""
        self._scan.forget(endpoint)
        try:
            parsed(await self._send("DELETE", _path(endpoint, target_id)))
        except TargetError as error:
            if error.status not in (404, 410):
                raise

    async def document(self, path: str) -> Any:
        """What the target says of itself at `/ServiceProviderConfig`, `/ResourceTypes` or `/Schemas`, as JSON; None
        if it says nothing there. Raises TargetError."""
        try:
            return parsed(await self._send("GET", path))
        except TargetError as error:
            if error.status in (404, 405, 501, 403):
                return None
            raise

    # Reading

    async def _listed(self, endpoint: str, exclude: Sequence[str]) -> list[Resource]:
        return [resource async for resource in self.every(endpoint, exclude=exclude)]

    async def _pages(self, endpoint: str, params: Mapping[str, str]) -> AsyncIterator[Page]:
        """The pages of a list: by cursor if the target gives one, else by index until the total is reached, or if it
        tells none until a page is not full."""
        paging = self._profile.paging
        size = {} if paging == "none" else {"count": str(self._profile.page_size)}
        first = {"index": {"startIndex": "1"}, "cursor": {"cursor": ""}, "none": {}}
        asked: Mapping[str, str] = {**first[paging], **size}
        seen, cursors, first_ids = 0, set[str](), set[str]()
        for _ in range(MOST_PAGES):
            page = await self._page(endpoint, {**params, **asked})
            if page.total is None and not cursors and page.resources:
                if page.resources[0]["id"] in first_ids:
                    # The same page again, whatever index was asked for: it was all.
                    return
                first_ids.add(page.resources[0]["id"])
            yield page
            seen += len(page.resources)
            if page.next_cursor is not None:
                asked = {"cursor": _unseen(page.next_cursor, cursors), **size}
                continue
            has_more = len(page.resources) >= self._profile.page_size if page.total is None else seen < page.total
            if paging != "index" or cursors or not page.resources or not has_more:
                return
            asked = {"startIndex": str(seen + 1), **size}
        raise incompatible(f"the list {endpoint} does not end after {MOST_PAGES} pages")

    async def _page(self, endpoint: str, params: Mapping[str, str]) -> Page:
        return page_of(parsed(await self._send("GET", endpoint + _query(params), of_collection=True)))

    def _excluding(self, exclude: Sequence[str]) -> Mapping[str, str]:
        if not exclude or not self._profile.excludes_attributes:
            return {}
        return {"excludedAttributes": ",".join(exclude)}

    # Sending

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        of_collection: bool = False,
        repeats: bool = True,
    ) -> Answer:
        """A successful answer, or TargetError after as many tries as make sense. `repeats`: sending it twice does no
        harm."""
        data = orjson.dumps(body) if body is not None else None
        failures = throttled = 0
        renewed = False
        put_off_until: float | None = None
        while True:
            credentials = await self._authentication.headers()
            try:
                answer = await self._exchanged(method, path, self._headers(credentials, data, headers), data)
            except TargetError as error:
                # An answer that came but cannot be understood would be no better the next time.
                failures += 1
                if error.code not in UNANSWERED or not repeats or failures == TRIES:
                    raise
                await self._sleep(backoff(failures, self._jitter()))
                continue
            status = answer.status
            if status < 300:
                return answer
            if status == 401 and not renewed and await self._authentication.renew(credentials):
                renewed = True
            elif status == 429 or (status == 503 and self._pause(answer) is not None):
                # Nothing was done, so even a create may be repeated. The gate has closed for as long as was asked.
                throttled += 1
                now = self._clock().timestamp()
                put_off_until = put_off_until or now + LONGEST_WAIT
                if throttled > MOST_THROTTLED or now > put_off_until:
                    raise self._failure(answer, of_collection, was_tried=failures > 0)
            elif status in TRANSIENT and repeats and failures + 1 < TRIES:
                failures += 1
                await self._sleep(backoff(failures, self._jitter()))
            else:
                raise self._failure(answer, of_collection, was_tried=failures > 0)

    async def _exchanged(self, method: str, path: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        """One request, when its turn has come."""
        began = await self._gate.enter()
        try:
            answer = await self._exchange.send(method, path, headers, data)
        except TargetError as error:
            self._gate.leave(began, Verdict.OVERLOADED if error.code == "Timeout" else Verdict.ANSWERED)
            tell(method, path, data, None, error.code, self._hidden)
            raise
        except BaseException:
            self._gate.give_up()
            raise
        if answer.status in OVERLOADED or answer.status == 429:
            verdict = Verdict.THROTTLED if answer.status == 429 else Verdict.OVERLOADED
            self._gate.leave(began, verdict, self._pause(answer))
        else:
            self._gate.leave(began, Verdict.ANSWERED)
        tell(method, path, data, answer, None, self._hidden)
        return answer

    def _pause(self, answer: Answer) -> float | None:
        return retry_after(answer.headers.get("retry-after"), self._clock())

    def _headers(
        self, credentials: Headers, data: bytes | None, further: Mapping[str, str] | None
    ) -> Mapping[str, str]:
        known = self._known
        if known is None or known[0] is not credentials:
            plain = {"Accept": ACCEPT, **credentials}
            known = self._known = credentials, plain, {**plain, "Content-Type": self._content_type}
        chosen = known[1] if data is None else known[2]
        return {**chosen, **further} if further else chosen

    def _hidden(self) -> Sequence[bytes]:
        secrets = self._authentication.secrets
        known = self._forms
        if known is None or known[0] is not secrets:
            known = self._forms = secrets, forms(secrets)
        return known[1]

    def _failure(self, answer: Answer, of_collection: bool, *, was_tried: bool) -> TargetError:
        """`was_tried`: the request may have taken effect before this answer to it."""
        if 300 <= answer.status < 400:
            place = str(answer.headers.get("location") or "").partition("?")[0]
            return incompatible(
                f"the application redirects to '{place}' (HTTP {answer.status}); enter the final address as Tenant URL"
            )
        body = parsed(answer)
        page = page_title(answer) if body is None else ""
        error = failure_of(
            answer.status, body, of_collection=of_collection, credential=self._authentication.name, page=page
        )
        # Some answer by repeating what they were sent.
        reason = Masking((), self._authentication.secrets).text(error.reason)
        if reason != error.reason:
            error = type(error)(error.code, reason, error.status)
        error.is_without_effect &= not was_tried
        return error


def _path(endpoint: str, target_id: str) -> str:
    return f"{endpoint}/{quote(target_id, safe='')}"


def _asked_for(target_id: str, resource: Resource) -> Resource:
    """Raises TargetError for another resource: what is to be written to one person would be written to another."""
    if resource["id"].casefold() != target_id.casefold():
        raise incompatible(f"the application answered a read of '{target_id}' with the object '{resource['id']}'")
    return resource


def _unseen(cursor: str, seen: set[str]) -> str:
    """The cursor, which is remembered. Raises TargetError if it came before: the list would never end."""
    if cursor in seen:
        raise incompatible("the application gives the same nextCursor again and again")
    seen.add(cursor)
    return cursor


def _query(params: Mapping[str, str]) -> str:
    if not params:
        return ""
    # A blank as %20: some read `+` as it is.
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())


def _last_segment(location: str | None, endpoint: str) -> str | None:
    """The id at the end of a resource's address."""
    path = (location or "").partition("?")[0].rstrip("/")
    head, _, last = path.rpartition("/")
    return unquote(last) if head.lower().endswith(endpoint.lower()) else None
