"""The credentials and options of an application (`synchronization/secrets`): stored encrypted, shown masked."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from joiner.errors import InvalidValueError
from joiner.vault import Vault

MASK: Final = "*"
MASKED: Final = frozenset(
    {
        "AppKey",
        "ClientSecret",
        "ConnectionString",
        "ConsumerSecret",
        "Oauth2AccessToken",
        "Oauth2AuthorizationCode",
        "Oauth2ClientSecret",
        "Oauth2RefreshToken",
        "Password",
        "SecretToken",
        "TokenKey",
    }
)
KEYS: Final = MASKED | frozenset(
    {
        "ApplicationTemplateIdentifier",
        "AuthenticationType",
        "BaseAddress",
        "ClientIdentifier",
        "CompanyId",
        "ConsumerKey",
        "Domain",
        "EnforceDomain",
        "HardDeletesEnabled",
        "InstanceName",
        "None",
        "Oauth2AccessTokenCreationTime",
        "Oauth2AuthorizationUri",
        "Oauth2ClientId",
        "Oauth2RedirectUri",
        "Oauth2TokenExchangeUri",
        "PerformInboundEntitlementGrants",
        "Sandbox",
        "SandboxName",
        "Server",
        "SingleSignOnType",
        "SkipOutOfScopeDeletions",
        "SyncAgentADContainer",
        "SyncAgentCompatibilityKey",
        "SyncAll",
        "SyncNotificationSettings",
        "SynchronizationSchedule",
        "SystemOfRecord",
        "TestReferences",
        "TokenExpiration",
        "UpdateKeyOnSoftDelete",
        "Url",
        "UserName",
        "ValidateDomain",
    }
)


LIST_EXTENSIONS: Final = "ListExtensionSchemas"
"""Our own addition to the keys of the reference: creates name the extensions that they use (D-03)."""


def read_credentials(connection: sqlite3.Connection, vault: Vault, service_principal_id: str) -> dict[str, str]:
    """Key → value, in clear: for the engine only."""
    rows = connection.execute(
        "SELECT key, value FROM secret WHERE service_principal_id = ? ORDER BY key", (service_principal_id,)
    )
    return {row["key"]: vault.decrypt(row["value"], _place(service_principal_id, row["key"])) for row in rows}


def show_credentials(credentials: Mapping[str, str]) -> dict[str, str]:
    """What may be shown: sensitive values as `*` (REQ-P-006)."""
    return {key: MASK if key in MASKED else value for key, value in credentials.items()}


def merge_credentials(stored: Mapping[str, str], pairs: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """`stored` with the pairs applied: `*` keeps what is stored, an empty value removes the key.

    Raises InvalidValueError for an unknown key, and when a new BaseAddress comes without a SecretToken: a token must
    not be sent to an address for which it was not entered (REQ-P-007).
    """
    unknown = [key for key, _ in pairs if key not in KEYS and key != LIST_EXTENSIONS]
    if unknown:
        raise InvalidValueError(f"'{unknown[0]}' is not a key of the secrets collection")
    given = {key: value or "" for key, value in pairs if value != MASK}
    result = {key: value for key, value in {**stored, **given}.items() if value}
    moved = "BaseAddress" in given and "BaseAddress" in stored and given["BaseAddress"] != stored["BaseAddress"]
    if moved and "SecretToken" in stored and "SecretToken" not in given:
        raise InvalidValueError("a new BaseAddress (Tenant URL) needs the SecretToken to be entered again")
    return result


def write_credentials(
    connection: sqlite3.Connection, vault: Vault, service_principal_id: str, credentials: Mapping[str, str]
) -> None:
    """Stores exactly these."""
    connection.execute("DELETE FROM secret WHERE service_principal_id = ?", (service_principal_id,))
    connection.executemany(
        "INSERT INTO secret VALUES (?, ?, ?)",
        (
            (service_principal_id, key, vault.encrypt(value, _place(service_principal_id, key)))
            for key, value in credentials.items()
        ),
    )


def forget_credentials(connection: sqlite3.Connection, service_principal_id: str) -> None:
    """Nothing of an application that is removed stays behind."""
    connection.execute("DELETE FROM secret WHERE service_principal_id = ?", (service_principal_id,))


def is_true(text: str | None) -> bool:
    """Whether a value of the collection says yes: `true` in any case."""
    return text is not None and text.strip().lower() == "true"


def _place(service_principal_id: str, key: str) -> str:
    return f"secret/{service_principal_id}/{key}"
