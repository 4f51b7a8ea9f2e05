"""What a SCIM request can have wrong with it: each error knows its status and `scimType` (RFC 7644 §3.12)."""

from typing import ClassVar

from joiner.errors import JoinerError


class ScimError(JoinerError):
    """The text becomes `detail`: it names the attribute and the rule, never internals."""

    status: ClassVar[int] = 400
    scim_type: ClassVar[str | None] = None


class InvalidFilterError(ScimError):
    scim_type = "invalidFilter"


class InvalidSyntaxError(ScimError):
    scim_type = "invalidSyntax"


class InvalidPathError(ScimError):
    scim_type = "invalidPath"


class NoTargetError(ScimError):
    scim_type = "noTarget"


class InvalidAttributeError(ScimError):
    """`invalidValue`: a required value is missing, or a value does not fit its attribute."""

    scim_type = "invalidValue"


class MutabilityError(ScimError):
    scim_type = "mutability"


class ConflictError(ScimError):
    """What was asked depends on something that is not there: a bulk operation that failed, or a circle (§3.7.1)."""

    status = 409


class UniquenessError(ScimError):
    status = 409
    scim_type = "uniqueness"


class UnauthorizedError(ScimError):
    status = 401


class ForbiddenError(ScimError):
    status = 403


class ResourceNotFoundError(ScimError):
    status = 404


class MethodNotAllowedError(ScimError):
    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotAcceptableError(ScimError):
    status = 406


class PreconditionFailedError(ScimError):
    status = 412


class TooLargeError(ScimError):
    status = 413


class UnsupportedMediaTypeError(ScimError):
    status = 415


class NotSupportedError(ScimError):
    status = 501


class InvalidVersionError(ScimError):
    scim_type = "invalidVers"


class InvalidCursorError(ScimError):
    scim_type = "invalidCursor"


class ExpiredCursorError(ScimError):
    scim_type = "expiredCursor"


class InvalidCountError(ScimError):
    scim_type = "invalidCount"


class RetryLaterError(ScimError):
    """What was asked is right, but has to wait."""

    status = 503

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds
        """When it is worth trying again."""


class TooManyRequestsError(RetryLaterError):
    status = 429
