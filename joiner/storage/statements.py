"""SQL that the two databases spell differently."""

from collections.abc import Sequence
from typing import Any

import orjson

from joiner.storage.session import Dialect


def listed(dialect: Dialect, mark: int) -> str:
    """A subquery over the texts of one parameter; give the parameter by `as_list`."""
    if dialect == "sqlite":
        return f"(SELECT value FROM json_each(?{mark}))"
    return f"(SELECT unnest(?{mark}::text[]))"


def listed_numbers(dialect: Dialect, mark: int) -> str:
    """A subquery over the whole numbers of one parameter; give the parameter by `as_list`."""
    if dialect == "sqlite":
        return f"(SELECT value FROM json_each(?{mark}))"
    return f"(SELECT unnest(?{mark}::bigint[]))"


def as_list(dialect: Dialect, values: Sequence[Any]) -> Any:
    """Many values as one parameter."""
    return orjson.dumps(list(values)).decode() if dialect == "sqlite" else list(values)


def joined(dialect: Dialect, element: str, order: str) -> str:
    """The texts of a group of rows, joined by commas, as bytes; NULL if there are none."""
    if dialect == "sqlite":
        # There is no order in an aggregate before 3.44; the rows come in the order of the index that is walked.
        return f"CAST(group_concat({element}) AS BLOB)"
    return f"convert_to(string_agg({element}, ',' ORDER BY {order}), 'UTF8')"
