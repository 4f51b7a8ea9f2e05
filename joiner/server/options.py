"""What `joiner serve` was told, as the server's process gets it."""

from typing import Any, Literal

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    data: str
    """The data folder."""
    config: str | None
    """The settings file; None: the data folder's own."""
    only: Literal["application", "directory"] | None
    overrides: dict[str, Any]
    """Settings that were typed, None where they were not."""
    as_json: bool
