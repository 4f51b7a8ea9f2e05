"""Directory objects as Graph documents and back: the sync engine's attribute names are not Graph's (§13.1).

Pure tables and functions; nothing here reads the database.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

from joiner.directory import users
from joiner.directory.gallery import ApplicationTemplate
from joiner.directory.model import Assignment, Group, RuleProcessing, ServicePrincipal, User
from joiner.errors import InvalidValueError

ATTRIBUTES: Final = {
    "telephoneNumber": "businessPhones",
    "mobile": "mobilePhone",
    "physicalDeliveryOfficeName": "officeLocation",
    "facsimileTelephoneNumber": "faxNumber",
    "dirSyncEnabled": "onPremisesSyncEnabled",
}
"""The engine's name → Graph's, where they differ; `businessPhones` is a list of at most one."""
ENGINE_NAMES: Final = {graph.lower(): engine for engine, graph in ATTRIBUTES.items()}
DEFAULT_USER: Final = (
    "id",
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
)
"""What a user shows without `$select`."""
OWN_COLUMNS: Final = frozenset({"userPrincipalName", "accountEnabled"})
NO_EXTENSIONS: Final = {f"extensionAttribute{number}": None for number in range(1, 16)}
READ_ONLY: Final = frozenset({"id", "createdDateTime", "deletedDateTime"})
DYNAMIC: Final = "DynamicMembership"
RULE_PROPERTIES: Final = ("groupTypes", "membershipRule", "membershipRuleProcessingState")
NOT_KEPT: Final = frozenset({"passwordProfile", "members", "owners", "manager"})
PLAIN: Final = (
    "ageGroup",
    "city",
    "companyName",
    "consentProvidedForMinor",
    "country",
    "department",
    "displayName",
    "employeeId",
    "employeeType",
    "givenName",
    "jobTitle",
    "mail",
    "mailNickname",
    "onPremisesExtensionAttributes",
    "otherMails",
    "postalCode",
    "preferredLanguage",
    "state",
    "streetAddress",
    "surname",
    "usageLocation",
    "userType",
)
WRITABLE: Final = {name.lower(): name for name in (*OWN_COLUMNS, *PLAIN, *ATTRIBUTES.values())}


def user_document(user: User) -> dict[str, Any]:
    """Every property of the user."""
    document: dict[str, Any] = {
        "id": user.id,
        "userPrincipalName": user.user_principal_name,
        "accountEnabled": user.account_enabled,
        "createdDateTime": user.created_at,
        "deletedDateTime": user.deleted_at,
        "businessPhones": [],
    }
    extensions = {}
    for name, value in user.attributes.items():
        if name == "telephoneNumber":
            document["businessPhones"] = [value]
        elif name.startswith("extensionAttribute"):
            extensions[name] = value
        else:
            document[ATTRIBUTES.get(name, name)] = value
    if extensions:
        document["onPremisesExtensionAttributes"] = extensions
    return document


def changed_user(user: User, body: Mapping[str, Any]) -> User:
    """The user with the properties of a POST or PATCH; null clears. Raises InvalidValueError naming the property."""
    name, enabled, attributes = user.user_principal_name, user.account_enabled, dict(user.attributes)
    for key, value in body.items():
        if key in NOT_KEPT:
            continue
        if key in READ_ONLY:
            raise InvalidValueError(f"Property '{key}' is read-only.")
        known = WRITABLE.get(key.lower())
        if known == "userPrincipalName":
            name = _text(key, value) or ""
        elif known == "accountEnabled":
            if not isinstance(value, bool):
                raise InvalidValueError("Property 'accountEnabled' must be true or false.")
            enabled = value
        elif known == "onPremisesExtensionAttributes":
            _put_all(attributes, NO_EXTENSIONS if value is None else value)
        elif known == "otherMails":
            _put(attributes, known, _texts(key, value))
        elif known is not None or key.startswith("extension_"):
            engine = ENGINE_NAMES.get(key.lower(), known or key)
            _put(attributes, engine, _first(key, value) if engine == "telephoneNumber" else _text(key, value))
        else:
            raise InvalidValueError(f"Property '{key}' does not exist on a user.")
    if name != user.user_principal_name and not users.PRINCIPAL_NAME.fullmatch(name):
        raise InvalidValueError(f"Property 'userPrincipalName' must have the form alias@domain, not '{name}'.")
    return User(
        id=user.id,
        user_principal_name=name,
        account_enabled=enabled,
        manager_id=user.manager_id,
        attributes=attributes,
        created_at=user.created_at,
    )


def group_document(group: Group) -> dict[str, Any]:
    """Every property of the group."""
    return {
        "id": group.id,
        "displayName": group.display_name,
        "description": group.attributes.get("description"),
        "mailEnabled": bool(group.attributes.get("mailEnabled", False)),
        "mailNickname": group.attributes.get("mailNickname"),
        "mail": group.attributes.get("mail"),
        "securityEnabled": group.security_enabled,
        "groupTypes": [DYNAMIC] if group.membership_rule is not None else [],
        "membershipRule": group.membership_rule,
        "membershipRuleProcessingState": group.rule_processing if group.membership_rule is not None else None,
        "createdDateTime": group.created_at,
        "deletedDateTime": None,
    }


def changed_group(group: Group, body: Mapping[str, Any]) -> Group:
    """The group with the properties of a POST or PATCH. Raises InvalidValueError naming the property."""
    name, security, attributes = group.display_name, group.security_enabled, dict(group.attributes)
    rule, processing = changed_rule(group, body)
    for key, value in body.items():
        if key == "displayName":
            name = _text(key, value) or ""
        elif key in ("securityEnabled", "mailEnabled"):
            if not isinstance(value, bool):
                raise InvalidValueError(f"Property '{key}' must be true or false.")
            if key == "securityEnabled":
                security = value
            else:
                attributes[key] = value
        elif key in ("description", "mailNickname", "mail"):
            _put(attributes, key, _text(key, value))
        elif key not in ("visibility", *RULE_PROPERTIES) and not key.endswith("@odata.bind"):
            raise InvalidValueError(f"Property '{key}' does not exist on a group.")
    return Group(
        id=group.id,
        display_name=name,
        security_enabled=security,
        attributes=attributes,
        created_at=group.created_at,
        membership_rule=rule,
        rule_processing=processing,
    )


def changed_rule(group: Group, body: Mapping[str, Any]) -> tuple[str | None, RuleProcessing]:
    """The group's rule and its processing state with those of a POST or PATCH; a group that is no longer dynamic has
    none. Raises InvalidValueError naming the property."""
    types = body.get("groupTypes")
    if types is None:
        is_dynamic = group.membership_rule is not None
    elif isinstance(types, list) and all(each == DYNAMIC for each in types):
        is_dynamic = bool(types)
    else:
        raise InvalidValueError(f"Property 'groupTypes' may hold {DYNAMIC}: only security groups are kept here.")
    rule = _text("membershipRule", body.get("membershipRule", group.membership_rule if is_dynamic else None))
    if is_dynamic and rule is None:
        raise InvalidValueError(f"A value is required for property 'membershipRule' of a group with {DYNAMIC}.")
    if rule is not None and not is_dynamic:
        raise InvalidValueError(f"Property 'membershipRule' is for groups whose 'groupTypes' holds {DYNAMIC}.")
    state = body.get("membershipRuleProcessingState") or group.rule_processing
    if state not in get_args(RuleProcessing):
        raise InvalidValueError("Property 'membershipRuleProcessingState' must be On or Paused.")
    return rule, state


def template_document(template: ApplicationTemplate) -> dict[str, Any]:
    return {
        "id": template.id,
        "displayName": template.display_name,
        "publisher": template.publisher,
        "description": template.description,
        "homePageUrl": template.home_page_url,
        "logoUrl": None,
        "categories": ["Tools"],
        "supportedProvisioningTypes": ["sync"],
        "supportedSingleSignOnModes": ["notSupported"],
    }


def service_principal_document(principal: ServicePrincipal) -> dict[str, Any]:
    return {
        "id": principal.id,
        "appId": principal.app_id,
        "applicationTemplateId": principal.application_template_id,
        "displayName": principal.display_name,
        "appDisplayName": principal.display_name,
        "accountEnabled": True,
        "appRoleAssignmentRequired": True,
        "servicePrincipalType": "Application",
        "servicePrincipalNames": [principal.app_id],
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
        "notificationEmailAddresses": [],
        "preferredSingleSignOnMode": None,
        "createdDateTime": principal.created_at,
        "deletedDateTime": None,
        "appRoles": _roles(principal),
    }


def application_document(principal: ServicePrincipal) -> dict[str, Any]:
    return {
        "id": principal.application_id,
        "appId": principal.app_id,
        "applicationTemplateId": principal.application_template_id,
        "displayName": principal.display_name,
        "createdDateTime": principal.created_at,
        "deletedDateTime": None,
        "identifierUris": [],
        "signInAudience": "AzureADMyOrg",
        "tags": [],
        "appRoles": _roles(principal),
        "web": {"homePageUrl": None, "redirectUris": [], "logoutUrl": None},
    }


def assignment_document(assignment: Assignment, principal_name: str, resource_name: str) -> dict[str, Any]:
    return {
        "id": assignment.id,
        "deletedDateTime": None,
        "appRoleId": assignment.app_role_id,
        "createdDateTime": assignment.created_at,
        "principalId": assignment.principal_id,
        "principalType": assignment.principal_type,
        "principalDisplayName": principal_name,
        "resourceId": assignment.resource_id,
        "resourceDisplayName": resource_name,
    }


def _roles(principal: ServicePrincipal) -> list[dict[str, Any]]:
    return [
        {
            "id": role.id,
            "displayName": role.display_name,
            "description": role.description,
            "value": role.value,
            "allowedMemberTypes": list(role.allowed_member_types),
            "isEnabled": role.is_enabled,
            "origin": role.origin,
        }
        for role in principal.app_roles
    ]


def _text(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError(f"Property '{key}' must be text.")
    return value.strip() or None


def _first(key: str, value: Any) -> str | None:
    if value in (None, []):
        return None
    if not isinstance(value, list) or len(value) != 1:
        raise InvalidValueError(f"Property '{key}' takes a list of at most one text.")
    return _text(key, value[0])


def _texts(key: str, value: Any) -> list[str] | None:
    if not isinstance(value, list | None) or not all(isinstance(item, str) for item in value or ()):
        raise InvalidValueError(f"Property '{key}' takes a list of texts.")
    return value or None


def _put(attributes: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        attributes.pop(name, None)
    else:
        attributes[name] = value


def _put_all(attributes: dict[str, Any], values: Any) -> None:
    if not isinstance(values, Mapping):
        raise InvalidValueError("Property 'onPremisesExtensionAttributes' must be an object.")
    for name, value in values.items():
        if name not in NO_EXTENSIONS:
            raise InvalidValueError(f"Property 'onPremisesExtensionAttributes.{name}' does not exist.")
        _put(attributes, name, _text(name, value))
