"""Comparisons of two values in search form (RFC 7644 §3.4.2.2)."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "pr": lambda held, wanted: True,
    "eq": operator.eq,
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
"""Operator → whether the held value, which is assigned, passes."""


def compares(operator: str, held: Any, wanted: Any) -> bool:
    """False for what is unassigned."""
    return held is not None and COMPARISONS[operator](held, wanted)
