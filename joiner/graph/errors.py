"""Errors as Graph writes them: `{"error": {code, message, details, innerError}}`, and what domain errors become."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from joiner.directory.dynamic_groups import DynamicMembershipError
from joiner.directory.tables import ImportFileError
from joiner.errors import (
    AlreadyExistsError,
    ForbiddenTargetError,
    InvalidStateError,
    InvalidValueError,
    JoinerError,
    NotFoundError,
    TooManyRequestsError,
)
from joiner.provisioning.mapping.schema import SchemaError


class GraphError(JoinerError):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details
        self.retry_after = retry_after
        """Seconds."""


TRANSLATIONS: Final[tuple[tuple[type[JoinerError], int, str], ...]] = (
    (NotFoundError, 404, "Request_ResourceNotFound"),
    (AlreadyExistsError, 400, "Request_BadRequest"),
    (DynamicMembershipError, 403, "Authorization_RequestDenied"),
    (InvalidStateError, 409, "InvalidState"),
    (ForbiddenTargetError, 400, "ForbiddenTarget"),
    (InvalidValueError, 400, "Request_BadRequest"),
    (JoinerError, 400, "Request_BadRequest"),
)
"""Domain error → status and code; the first that fits."""


def as_graph_error(error: JoinerError) -> GraphError:
    """The answer for a domain error."""
    if isinstance(error, GraphError):
        return error
    if isinstance(error, ImportFileError):
        details = [
            {"code": "InvalidRow", "target": f"{error.file} line {problem.line}", "message": problem.reason}
            for problem in error.problems
        ]
        return GraphError(400, "ImportRefused", str(error), details)
    if isinstance(error, SchemaError):
        parts = (problem.partition(": ") for problem in error.problems)
        details = [{"code": "InvalidSchema", "target": path, "message": message} for path, _, message in parts]
        message = f"The schema cannot be used; {len(details)} problems." if len(details) > 1 else str(error.problems[0])
        return GraphError(400, "InvalidSchema", message, details)
    if isinstance(error, TooManyRequestsError):
        return GraphError(429, "TooManyRequests", str(error), retry_after=error.seconds)
    if isinstance(error, AlreadyExistsError) and error.attribute == "userPrincipalName":
        # Clients compare this text, so it is Graph's to the letter.
        message = "Another object with the same value for property userPrincipalName already exists."
        detail = {"code": "ObjectConflict", "target": "userPrincipalName", "message": str(error)}
        return GraphError(400, "Request_BadRequest", message, [detail])
    status, code = next((status, code) for kind, status, code in TRANSLATIONS if isinstance(error, kind))
    return GraphError(status, code, str(error))


def error_body(error: GraphError, request_id: str, date: str) -> dict[str, Any]:
    """The body of the answer."""
    body: dict[str, Any] = {
        "code": error.code,
        "message": str(error),
        "innerError": {"date": date, "request-id": request_id, "client-request-id": request_id},
    }
    if error.details:
        body["details"] = list(error.details)
    return {"error": body}
