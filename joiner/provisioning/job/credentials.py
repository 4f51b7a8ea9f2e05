"""The credentials and options of an application (`synchronization/secrets`): stored encrypted, shown masked."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from joiner.errors import InvalidValueError
from joiner.net.urls import check_url_shape
from joiner.provisioning.client.connection import IncompleteConnectionError, TargetConnection, connection_of
from joiner.provisioning.client.tenant_url import parse_tenant_url
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
        "joiner.AssertionKey",
        "joiner.ClientKey",
    }
)
"""Values that are shown as `*`."""
OWN_KEYS: Final = frozenset(
    {
        "joiner.AssertionAudience",
        "joiner.AssertionKeyId",
        "joiner.CertificateAuthority",
        "joiner.ClientCertificate",
        "joiner.Oauth2Scope",
        "joiner.SecretPlacement",
    }
)
"""What Graph has no key for."""
URLS: Final = ("BaseAddress", "Oauth2TokenExchangeUri")
"""Where secrets are sent."""
KEYS: Final = (
    MASKED
    | OWN_KEYS
    | frozenset(
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

    Raises InvalidValueError for an unknown key, for an address that is none, and when a new address comes without the
    secrets: they must not be sent to an address for which they were not entered (REQ-P-007). So they go with an
    address that is removed.
    """
    unknown = [key for key, _ in pairs if key not in KEYS and key != LIST_EXTENSIONS]
    if unknown:
        raise InvalidValueError(f"'{unknown[0]}' is not a key of the secrets collection")
    given = {key: value or "" for key, value in pairs if value != MASK}
    merged = {**stored, **given}
    for key in URLS:
        if given.get(key):
            check_url_shape(given[key])
        if key not in stored or _place_of(stored[key]) == _place_of(merged[key]):
            continue
        for secret in MASKED & stored.keys() - given.keys():
            if merged[key]:
                raise InvalidValueError(f"a new {NAMES[key]} needs the {secret} to be entered again")
            merged[secret] = ""
    return {key: value for key, value in merged.items() if value}


def changes_connection(stored: Mapping[str, str], merged: Mapping[str, str]) -> bool:
    """Whether the credentials are complete and make another connection than before. Raises InvalidValueError for what
    cannot be, whatever is added to it."""
    try:
        after = connection_of(merged)
    except IncompleteConnectionError:
        return False
    return after != _connection(stored)


def _connection(values: Mapping[str, str]) -> TargetConnection | None:
    try:
        return connection_of(values)
    except InvalidValueError:
        return None


def _place_of(url: str) -> tuple[str, str]:
    """Where requests go, whatever is said about how they are written."""
    tenant = parse_tenant_url(url)
    return tenant.base_url, tenant.query


NAMES: Final = {"BaseAddress": "BaseAddress (Tenant URL)", "Oauth2TokenExchangeUri": "Oauth2TokenExchangeUri"}


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
