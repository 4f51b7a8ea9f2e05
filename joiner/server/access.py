"""Who may administer this installation: the holder of the folder's local key, and holders of API keys."""

from typing import Final

from joiner.directory.api_keys import ApiKeys, Principal
from joiner.tokens import bearer_token, tokens_equal

LOCAL: Final = Principal("local", "admin")


class Access:
    """Answers from an `Authorization` header. Without a directory side there are no API keys."""

    def __init__(self, local_key: str, api_keys: ApiKeys | None) -> None:
        self._local_key = local_key
        self._api_keys = api_keys

    def authenticate(self, authorization: str | None) -> Principal | None:
        """Who asks, None if that is nobody we know."""
        token = bearer_token(authorization)
        if token is None:
            return None
        if tokens_equal(token, self._local_key):
            return LOCAL
        return self._api_keys.authenticate(token) if self._api_keys else None

    def is_admin(self, authorization: str | None) -> bool:
        principal = self.authenticate(authorization)
        return principal is not None and principal.role == "admin"
