"""The token endpoint over HTTP (RFC 6749 §3.2, §5): a form in, JSON out, nothing kept by anyone on the way."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.application.access.oauth import ClientCredentials, ErrorCode, OAuthError

PATH: Final = "/oauth/token"
FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 32 * 1024
MOST_FIELDS: Final = 32
STATUS_CODES: Final[Mapping[ErrorCode, int]] = {"invalid_client": 401, "temporarily_unavailable": 429}
"""Others are 400 (RFC 6749 §5.2). There is no code for having to wait; the status says it."""
NOT_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def oauth_routes(credentials: ClientCredentials) -> list[Route]:
    """The route `/oauth/token`."""

    async def token(request: Request) -> Response:
        try:
            grant = await credentials.grant(await _form(request), request.headers.get("authorization"))
        except OAuthError as error:
            return _refusal(error)
        except ClientDisconnect:
            return _json(400, {"error": "invalid_request"}, {})
        return _json(200, msgspec.to_builtins(grant), {})

    return [Route(PATH, token, methods=["POST"])]


async def _form(request: Request) -> dict[str, str]:
    """The fields that have a value; none may be there twice (RFC 6749 §3.2). Raises OAuthError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"the body must be {FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise OAuthError("invalid_request", f"the body may have {MOST_BYTES} bytes")
    try:
        fields = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "the body is not a form") from None
    form = dict(fields)
    if len(form) != len(fields):
        raise OAuthError("invalid_request", "a parameter is there twice")
    if any("\x00" in value for value in form.values()):
        raise OAuthError("invalid_request", "a parameter contains a NUL character")
    return form


def _refusal(error: OAuthError) -> Response:
    headers = {}
    if error.code == "invalid_client":
        headers["WWW-Authenticate"] = 'Basic realm="joiner"'
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return _json(STATUS_CODES.get(error.code, 400), {"error": error.code, "error_description": str(error)}, headers)


def _json(status: int, body: Any, headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(body), status, {**headers, **NOT_KEPT}, media_type="application/json")
