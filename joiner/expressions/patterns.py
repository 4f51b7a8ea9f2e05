"""Users' regular expressions, in .NET's dialect. What RE2 can run takes time in proportion to the text, whatever the
pattern; the rest runs on `regex` with a limit of time."""

from functools import lru_cache
from typing import Any, Final

import re2
import regex

from joiner.expressions.errors import EvaluationError
from joiner.expressions.pattern_dialect import PatternError, translate
from joiner.expressions.values import well_formed

__all__ = ["Pattern", "PatternError", "compile_linear_pattern", "compile_pattern"]

# A pattern that cannot be used is told to whoever wrote it, not printed on standard error.
RE2_OPTIONS: Final = re2.Options()
RE2_OPTIONS.log_errors = False
MATCH_SECONDS: Final = 0.25
"""The longest that `regex` may search one text."""
LONGEST_SEARCHED: Final = 20_000
"""Characters of a text that all matches are looked for in: even in linear time each of them may look at all of it."""


class Pattern:
    """A compiled pattern. Its matches have `start`, `end` and `[n]` as those of `re` do; n as in `groups`."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        translation = translate(pattern)
        self.groups = translation.groups
        """.NET's name or number of a group → the positions of the groups that have it."""
        self._translation = translation
        self._fast = _compile_fast(translation.fast)
        self._exact: Any = None
        if self._fast is None:
            self._exact = self._compile_exact()

    @property
    def is_linear(self) -> bool:
        """It always gives an answer, in time that grows with the text alone."""
        return self._fast is not None

    def search(self, text: str) -> Any:
        """The first match, or None. Raises EvaluationError if that takes too long, which no linear pattern does."""
        return self._asked("search", text)

    def fullmatch(self, text: str) -> Any:
        """The match of the whole text, or None. Raises as `search` does."""
        return self._asked("fullmatch", text)

    def _asked(self, method: str, text: str) -> Any:
        if self._suits_fast(text):
            return getattr(self._fast, method)(text)
        try:
            return getattr(self._with_exact(), method)(text, timeout=MATCH_SECONDS)
        except TimeoutError:
            if self._fast is None:
                raise self._too_long() from None
            return getattr(self._fast, method)(well_formed(text))

    def matches(self, text: str) -> list[Any]:
        """All matches from left to right, empty ones included. Raises EvaluationError if that takes too long."""
        if len(text) > LONGEST_SEARCHED:
            raise EvaluationError(f"patterns are applied to texts of up to {LONGEST_SEARCHED:,} characters")
        if self._suits_fast(text):
            return self._all_fast(text)
        try:
            return list(self._with_exact().finditer(text, timeout=MATCH_SECONDS))
        except TimeoutError:
            if self._fast is None:
                raise self._too_long() from None
            return self._all_fast(well_formed(text))

    def _all_fast(self, text: str) -> list[Any]:
        found: list[Any] = []
        for match in self._fast.finditer(text):
            # An empty match further on in the text comes twice from this package.
            if not found or match.span() != found[-1].span():
                found.append(match)
        return found

    def group(self, match: Any, name: str) -> tuple[int, int] | None:
        """Where the group of this name or number was found; None if it took no part in the match."""
        for position in reversed(self.groups[name]):
            start = match.start(position)
            if start >= 0:
                return start, match.end(position)
        return None

    def _suits_fast(self, text: str) -> bool:
        """Whether RE2 finds in this text what .NET would find."""
        if self._fast is None:
            return False
        if self._translation.has_end and text.endswith("\n"):
            return False
        # RE2 reads UTF-8, which half a surrogate pair cannot be written in.
        return text.isascii() or not (self._translation.has_boundary or any("\ud800" <= c <= "\udfff" for c in text))

    def _with_exact(self) -> Any:
        if self._exact is None:
            self._exact = self._compile_exact()
        return self._exact

    def _compile_exact(self) -> Any:
        version = regex.VERSION1 if self._translation.subtracts else regex.VERSION0
        try:
            return regex.compile(self._translation.exact, version)
        except (regex.error, OverflowError) as error:
            raise PatternError(f"the pattern '{self.text}' cannot be used: {error}") from None

    def _too_long(self) -> EvaluationError:
        return EvaluationError(f"the pattern '{self.text}' takes too long on this value")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """Raises PatternError with the reason."""
    try:
        return Pattern(pattern)
    except RecursionError:
        raise PatternError(f"the pattern '{pattern}' cannot be used: it is nested too deep") from None


def compile_linear_pattern(pattern: str) -> Pattern:
    """For patterns whose answer is needed whatever the text is. Raises PatternError also for one that is not linear."""
    compiled = compile_pattern(pattern)
    if not compiled.is_linear:
        raise PatternError(
            f"the pattern '{pattern}' cannot be used: look-around and back references are not possible here"
        )
    return compiled


def _compile_fast(text: str | None) -> Any:
    """None for what RE2 cannot run, or only with more memory than it may have."""
    if text is None:
        return None
    try:
        return re2.compile(text, RE2_OPTIONS)
    except (re2.error, UnicodeEncodeError):
        return None
