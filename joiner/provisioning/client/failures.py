"""What a target's refusal means: the error code of the provisioning log, and whether the cycle can go on.

Source: provisioning service §14.4, the mapping of HTTP answers.
"""

from collections.abc import Mapping
from typing import Any, Final

from joiner.errors import JoinerError

INCOMPATIBLE: Final = "SystemForCrossDomainIdentityManagementServiceIncompatible"


class TargetError(JoinerError):
    """The target refused one object, or could not be reached for it; other objects may succeed."""

    def __init__(self, code: str, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        """Error code of the provisioning log."""
        self.reason = reason
        self.status = status
        """HTTP status, None if there was no answer."""
        self.is_without_effect = status is not None and status < 500 and status != 408
        """Whether it is known that nothing was written: a refusal, of a request of which no earlier try may have taken
        effect."""


class TargetUnusableError(TargetError):
    """No object can succeed: credentials are refused, or what answers is not a SCIM endpoint. Ends the cycle."""


class NamelessError(TargetError):
    """A create was accepted, and the answer does not say which id the resource has."""


RECOMMENDATIONS: Final[Mapping[str, str]] = {
    "Conflict": "Change the value that is taken, here or in the application, or match on another attribute.",
    "DuplicateSourceEntries": "Make the matching attribute unique in the directory, or correct the object connection.",
    "DuplicateTargetEntries": "Remove the duplicates in the application, or match on an attribute unique there.",
    "ImportSkipped": "Give the object a value for a matching attribute.",
    "InsufficientRights": "Give the token's account the right to this operation in the application.",
    "InternalError": "Correct the mapping that is named, then provision the object again.",
    "InternalServerError": "Nothing to do: it is tried again. If it persists, ask the application's operator.",
    "InvalidAnchor": "Restore the account in the application, or delete the object connection to match anew.",
    "MandatoryFieldsMissing": "Fill the attribute in the directory, or give the mapping a default value.",
    "MethodNotAllowed": "Ask the application's operator, or probe the target's profile: it may want PUT for updates.",
    "NotEffectivelyEntitled": "Assign the object, or change the scope or the filter, if it should be provisioned.",
    "NotImplemented": "Switch the action off in the mapping, or probe the target's profile: it may want PUT.",
    "SchemaAttributeNotFound": "Remove the mapping of the attribute, or correct its name.",
    "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse": "Ask the application's operator.",
    "SystemForCrossDomainIdentityManagementServiceIncompatible": "Check that the Tenant URL leads to a SCIM endpoint.",
    "Timeout": "Nothing to do: it is tried again. If it persists, ask the application's operator.",
    "TooManyDeletes": "Look at what is held back, then allow it, or put right what caused it.",
    "TooManyRequests": "Nothing to do: it is tried again more slowly.",
    "UnableToResolveReferenceAttributeValue": "Bring those who are named into scope, if they should be written.",
    "Unauthorized": "Enter a valid secret token and test the connection.",
    "UnprocessableEntity": "Read the application's message; correct the value or the mapping.",
    "WebExceptionProtocolError": "Check that the Tenant URL is right and that the application can be reached.",
}

CODES_BY_STATUS: Final[Mapping[int, str]] = {
    403: "InsufficientRights",
    404: "InvalidAnchor",
    405: "MethodNotAllowed",
    408: "Timeout",
    409: "Conflict",
    410: "InvalidAnchor",
    422: "UnprocessableEntity",
    429: "TooManyRequests",
    500: "InternalServerError",
    501: "NotImplemented",
    502: "InternalServerError",
    503: "InternalServerError",
    504: "Timeout",
}
CODES_BY_SCIM_TYPE: Final[Mapping[str, str]] = {
    "invalidPath": "SchemaAttributeNotFound",
    "noTarget": "SchemaAttributeNotFound",
}
"""Of answers that the status says no more of, such as 400."""
MISSING: Final = ("required", "missing", "mandatory")
"""Words by which a target says that it wants a value."""


def failure_of(
    status: int, body: Any, *, of_collection: bool, credential: str = "the secret token", page: str = ""
) -> TargetError:
    """The error for an answer that is not a success. `body` is the parsed body, or None.

    `of_collection`: the request went to `/Users` or `/Groups` itself, where a 404 means that the Tenant URL is
    wrong (REQ-P-076). `credential`: what we had authenticated with. `page`: the title of an HTML page that came
    instead of an error message.
    """
    detail, scim_type = _scim_error(body)
    told = f": {detail}" if detail else f": '{page}'" if page else ""
    if status == 401:
        return TargetUnusableError("Unauthorized", f"the application refused {credential} (HTTP 401){told}", 401)
    if status in (404, 410) and of_collection:
        return TargetUnusableError(
            "WebExceptionProtocolError",
            f"there is no SCIM endpoint at this address (HTTP {status}){told}; check the Tenant URL",
            status,
        )
    code = "Conflict" if scim_type == "uniqueness" else CODES_BY_STATUS.get(status)
    if code is None:
        code = "InternalServerError" if status >= 500 else _code_by_words(detail, scim_type)
    return TargetError(code, f"the application answered HTTP {status}{told}", status)


def _code_by_words(detail: str, scim_type: str) -> str:
    is_missing = scim_type in ("", "invalidValue") and any(word in detail.lower() for word in MISSING)
    return CODES_BY_SCIM_TYPE.get(scim_type) or ("MandatoryFieldsMissing" if is_missing else "UnprocessableEntity")


def incompatible(reason: str, code: str = INCOMPATIBLE) -> TargetError:
    """What was answered cannot be understood as SCIM."""
    return TargetError(code, reason)


TELLING: Final = ("detail", "message", "error_description", "errorsummary", "description", "title", "error", "errors")
"""Lower-cased members of error bodies in which targets say what is wrong, when they do not say it as SCIM does."""

DEPTH: Final = 3


def _scim_error(body: Any) -> tuple[str, str]:
    """`detail` and `scimType` of an error body (RFC 7644 §3.12), empty where absent; of another one what it says."""
    if not isinstance(body, dict):
        return "", ""
    kind = next((str(value) for name, value in body.items() if name.lower() == "scimtype" and value), "")
    return _told(body)[:500], kind


def _told(body: Any, depth: int = DEPTH) -> str:
    if isinstance(body, list):
        body = body[0] if body else ""
    if not isinstance(body, dict):
        return str(body or "")
    named = {name.lower(): value for name, value in body.items()}
    return next((told for name in TELLING if depth and (told := _told(named.get(name), depth - 1))), "")
