"""What fuzz tests feed on, and how long they last."""

import os
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES: Final = 600
EXAMPLES_A_SECOND: Final = 300
"""About as many as one test manages, with all that it does to each."""
SECONDS: Final = float(os.environ.get("JOINER_FUZZ_SECONDS", "0"))

LONG: Final = settings(
    max_examples=max(EXAMPLES, int(SECONDS * EXAMPLES_A_SECOND)),
    derandomize=not SECONDS,
    suppress_health_check=[HealthCheck.too_slow],
)
"""Of a fuzz test: the same examples in every run. With JOINER_FUZZ_SECONDS others each time, as many as take about so
many seconds for each test."""

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
VALID_FILTERS: Final = (
    'userName eq "marta.lopez@fjord.example"',
    'externalId eq "O\\u0027Malley \\"x\\" \\\\ é"',
    'not (emails[type eq "work" and (value co "@a" or not(primary eq true))].value sw "x") or name.familyName pr',
    f'{ENTERPRISE}:manager.value eq "u-1" and {ENTERPRISE}:department ne null',
    'active eq true and (meta.lastModified ge "0001-01-03T00:00:00.0000000Z" and meta.lastModified le 2024-05-06)',
    "displayName sw 'a b' or size gt -1.5e3 or title eq bare",
    'schemas eq "urn:ietf:params:scim:schemas:core:2.0:User" and id lt "x" and members eq "y"',
)
VALID_PATHS: Final = (
    "members",
    "name.familyName",
    'emails[type eq "work" and value ew "a]b"].value',
    "emails[type eq 'a]b'].$ref",
    f"{ENTERPRISE}:manager.value",
    f"{ENTERPRISE}.manager",
    ENTERPRISE,
    'urn:example:2.0:Thing:list[not (a pr) or (b eq 1 and c ne "x")]',
)
FRAGMENTS: Final = (
    *(" ", "(", ")", "[", "]", '"', "'", "\\", ".", ":", "$", "-", "\x00", "\ud800", "é", "\u00a0", "\n"),
    *("and ", " or ", "not", " eq ", " pr", " co ", " gt ", "true", "null", "1", "1e9", '"x"', "'y'", '"\\ud83d"'),
    *("userName", "emails", "type", "value", "name.familyName", "active", "meta.created", "urn:", ENTERPRISE, "a"),
    *('emails[type eq "work"]', ".value", "active eq true", "2024-05-06T07:08:09Z", "9" * 400, "password", "groups"),
)


JSON_LEAVES: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.sampled_from(FRAGMENTS)
)


def json_values(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """What a body may hold where it should hold something else."""
    return st.recursive(
        JSON_LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=6,
    )


def mutated(valid: Sequence[str]) -> st.SearchStrategy[str]:
    """Valid texts with some characters removed, doubled, replaced, or fragments put in."""
    return st.builds(
        _damaged,
        st.sampled_from(valid),
        st.lists(st.tuples(st.integers(0, 200), st.integers(0, 8), st.sampled_from(FRAGMENTS)), min_size=1, max_size=6),
    )


def _damaged(text: str, wounds: Sequence[tuple[int, int, str]]) -> str:
    for position, length, fragment in wounds:
        at = position % (len(text) + 1)
        # An even length takes something away, an odd one leaves what was there behind the fragment.
        text = text[:at] + fragment + text[at + (length if length % 2 == 0 else 0) :]
    return text


def check_sendable(error: Exception) -> None:
    """The text of a refusal becomes `detail`, so it must be one that can be sent."""
    assert str(error).encode()
