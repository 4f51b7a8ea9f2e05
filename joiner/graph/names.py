"""The names that `$select` and `$filter` may use: what objects have, and what clients of Graph ask for.

All in lower case, since names compare without case.
"""

from typing import Final

from joiner.directory.columns import USER_ATTRIBUTES
from joiner.graph.shapes import ATTRIBUTES, WRITABLE

NEVER_HELD: Final = (
    "businessPhones",
    "createdDateTime",
    "creationType",
    "deletedDateTime",
    "employeeHireDate",
    "externalUserState",
    "id",
    "identities",
    "imAddresses",
    "lastPasswordChangeDateTime",
    "legalAgeGroupClassification",
    "onPremisesDistinguishedName",
    "onPremisesDomainName",
    "onPremisesImmutableId",
    "onPremisesLastSyncDateTime",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesUserPrincipalName",
    "preferredDataLocation",
    "proxyAddresses",
    "securityIdentifier",
    "signInSessionsValidFromDateTime",
)
"""What clients may ask of users beside what can be written; mostly null here."""
ENGINE_ONLY: Final = frozenset(name.lower() for name in ATTRIBUTES)
"""Attributes that Graph has under another name."""
USER_NAMES: Final = frozenset({*WRITABLE, *(name.lower() for name in (*NEVER_HELD, *USER_ATTRIBUTES))}) - ENGINE_ONLY
GROUP_NAMES: Final = frozenset(
    name.lower()
    for name in (
        "createdDateTime",
        "deletedDateTime",
        "description",
        "displayName",
        "groupTypes",
        "id",
        "isAssignableToRole",
        "mail",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "onPremisesSyncEnabled",
        "proxyAddresses",
        "securityEnabled",
        "visibility",
    )
)

TEMPLATE_NAMES: Final = frozenset(
    name.lower()
    for name in (
        "categories",
        "deprecationDate",
        "description",
        "displayName",
        "homePageUrl",
        "id",
        "logoUrl",
        "publisher",
        "supportedProvisioningTypes",
        "supportedSingleSignOnModes",
    )
)
APPLICATION_NAMES: Final = frozenset(
    name.lower()
    for name in (
        "accountEnabled",
        "api",
        "appDisplayName",
        "appId",
        "appRoleAssignmentRequired",
        "appRoles",
        "applicationTemplateId",
        "createdDateTime",
        "deletedDateTime",
        "description",
        "displayName",
        "homepage",
        "id",
        "identifierUris",
        "info",
        "loginUrl",
        "logoutUrl",
        "notes",
        "notificationEmailAddresses",
        "preferredSingleSignOnMode",
        "publisherDomain",
        "replyUrls",
        "servicePrincipalNames",
        "servicePrincipalType",
        "signInAudience",
        "tags",
        "web",
    )
)
"""Of applications and of service principals."""
