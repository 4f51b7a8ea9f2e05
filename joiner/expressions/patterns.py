"""Users' regular expressions, in RE2: they take time in proportion to the text, whatever the pattern.

RE2 has no look-around and no back references; a pattern that uses them is refused when it is compiled.
"""

from functools import lru_cache
from typing import Any, Final

import re2

from joiner.errors import InvalidValueError

# A pattern that cannot be used is told to whoever wrote it, not printed on standard error.
OPTIONS: Final = re2.Options()
OPTIONS.log_errors = False


escape = re2.escape


class PatternError(InvalidValueError):
    """The pattern cannot be used."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Any:
    """The compiled pattern. Raises PatternError with the reason."""
    try:
        return re2.compile(pattern, OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        words = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(f"the pattern '{pattern}' cannot be used: {words}") from None
