"""The domain's errors. They are raised low and translated once, in the `endpoint.py` files and the command line."""


class JoinerError(Exception):
    """Something that the caller can understand and put right. The text says what is wrong and where."""


class NotFoundError(JoinerError):
    """There is no such thing."""


class AlreadyExistsError(JoinerError):
    """A value that must be unique is taken."""

    def __init__(self, message: str, attribute: str = "") -> None:
        super().__init__(message)
        self.attribute = attribute
        """The attribute whose value is taken, in the spelling of its schema; empty if it is not one attribute."""


class InvalidValueError(JoinerError):
    """A value that cannot be accepted."""


class InvalidStateError(JoinerError):
    """The thing exists, but what was asked is not possible in its present state."""


class TooManyRequestsError(JoinerError):
    """Asked too often; `seconds` from now it may be asked again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class DataFolderInUseError(JoinerError):
    """Another process works on the data folder."""


class ForbiddenTargetError(JoinerError):
    """The address must not be called from here."""
