"""The application side: people and groups behind a SCIM endpoint, the tokens that open it, its administration."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joiner.application.library import scim_app

__all__ = ["scim_app"]


def __getattr__(name: str) -> Any:
    """`scim_app` is imported when it is asked for: nothing else here should wait for it."""
    if name == "scim_app":
        from joiner.application.library import scim_app

        return scim_app
    raise AttributeError(name)
