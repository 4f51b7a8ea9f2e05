"""The schemas of the RFC (7643 §3.1, §4): User, Group, Enterprise User, with what everybody uses beyond them."""

from typing import Any, Final

from joiner.scim.schemas import Attribute, ResourceType, Schema

USER_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_URN: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def _text(name: str, description: str = "", **characteristics: Any) -> Attribute:
    return Attribute(name, description=description, **characteristics)


def _complex(name: str, description: str, *subs: Attribute, **characteristics: Any) -> Attribute:
    return Attribute(name, "complex", description=description, sub_attributes=subs, **characteristics)


def _values(name: str, description: str, *types: str, value: Attribute | None = None) -> Attribute:
    """A multi-valued attribute with the usual parts (RFC 7643 §2.4)."""
    return _complex(
        name,
        description,
        value or _text("value", "The value itself."),
        _text("display", "How the value is shown."),
        _text("type", "What the value is for.", canonical_values=types),
        Attribute("primary", "boolean", description="Whether this is the preferred value; at most one is."),
        multi_valued=True,
    )


IGNORED: Final = frozenset({"schemas", "id", "meta"})
"""What only the server writes, in every resource."""

COMMON: Final = (
    Attribute("schemas", "reference", True, True, True, returned="always", description="URNs of the schemas in use."),
    _text(
        "id",
        "Identifier given by the server.",
        case_exact=True,
        mutability="readOnly",
        returned="always",
        uniqueness="server",
    ),
    _text("externalId", "Identifier given by the client.", case_exact=True),
    _complex(
        "meta",
        "What the server knows about the resource.",
        _text("resourceType", "Name of the resource type.", case_exact=True, mutability="readOnly"),
        Attribute("created", "dateTime", mutability="readOnly", description="When it was created."),
        Attribute("lastModified", "dateTime", mutability="readOnly", description="When it was changed last."),
        Attribute("location", "reference", case_exact=True, mutability="readOnly", description="Its URL."),
        _text("version", "Its version, equal to the ETag.", case_exact=True, mutability="readOnly"),
        mutability="readOnly",
    ),
)
"""Part of every resource, of no schema document (RFC 7643 §3.1)."""

USER: Final = Schema(
    USER_URN,
    "User",
    "User account",
    (
        _text("userName", "Unique name, used to sign in.", required=True, uniqueness="server"),
        _complex(
            "name",
            "The parts of the name.",
            _text("formatted", "The full name."),
            _text("familyName", "Family or last name."),
            _text("givenName", "Given or first name."),
            _text("middleName", "Middle names."),
            _text("honorificPrefix", "Title in front of the name."),
            _text("honorificSuffix", "What follows the name."),
        ),
        _text("displayName", "The name that is shown."),
        _text("nickName", "How the user is called casually."),
        Attribute(
            "profileUrl",
            "reference",
            case_exact=True,
            reference_types=("external",),
            description="Page about the user.",
        ),
        _text("title", "Position, such as Vice President."),
        _text("userType", "Relation to the organization."),
        _text("preferredLanguage", "Preferred language, as in Accept-Language."),
        _text("locale", "Conventions for numbers and dates, as a language tag."),
        _text("timezone", "Time zone by its IANA name."),
        Attribute("active", "boolean", description="Whether the account can be used."),
        _text("password", "Clear-text password, to set it.", mutability="writeOnly", returned="never"),
        _values("emails", "E-mail addresses.", "work", "home", "other"),
        _values("phoneNumbers", "Telephone numbers.", "work", "home", "mobile", "fax", "pager", "other"),
        _values("ims", "Instant messaging addresses.", "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"),
        _values(
            "photos",
            "URLs of photos.",
            "photo",
            "thumbnail",
            value=Attribute(
                "value", "reference", case_exact=True, reference_types=("external",), description="URL of a photo."
            ),
        ),
        _complex(
            "addresses",
            "Postal addresses.",
            _text("formatted", "The address as it is written."),
            _text("streetAddress", "Street and number."),
            _text("locality", "City."),
            _text("region", "State or region."),
            _text("postalCode", "Postal code."),
            _text("country", "Country, ISO 3166-1 alpha-2."),
            _text("type", "What the address is for.", canonical_values=("work", "home", "other")),
            Attribute("primary", "boolean", description="Whether this is the preferred address; at most one is."),
            multi_valued=True,
        ),
        _complex(
            "groups",
            "Groups that the user belongs to.",
            _text("value", "Id of the group.", mutability="readOnly"),
            Attribute(
                "$ref",
                "reference",
                case_exact=True,
                mutability="readOnly",
                reference_types=("Group",),
                description="URL of the group.",
            ),
            _text("display", "Name of the group.", mutability="readOnly"),
            _text(
                "type",
                "Whether the membership is direct.",
                mutability="readOnly",
                canonical_values=("direct", "indirect"),
            ),
            multi_valued=True,
            mutability="readOnly",
        ),
        _values("entitlements", "Things the user has a right to."),
        _values("roles", "Roles of the user."),
        _values(
            "x509Certificates",
            "Certificates of the user.",
            value=Attribute("value", "binary", case_exact=True, description="One certificate, DER, base64."),
        ),
    ),
)

GROUP: Final = Schema(
    GROUP_URN,
    "Group",
    "Group",
    (
        _text("displayName", "Name of the group.", required=True),
        _complex(
            "members",
            "Members of the group.",
            _text("value", "Id of the member.", mutability="immutable"),
            Attribute(
                "$ref",
                "reference",
                case_exact=True,
                mutability="immutable",
                reference_types=("User", "Group"),
                description="URL of the member.",
            ),
            _text("type", "Kind of the member.", mutability="immutable", canonical_values=("User", "Group")),
            _text("display", "How the member is shown.", mutability="immutable"),
            multi_valued=True,
        ),
    ),
)

ENTERPRISE: Final = Schema(
    ENTERPRISE_URN,
    "EnterpriseUser",
    "What organizations know about their users",
    (
        _text("employeeNumber", "Number of the employee."),
        _text("costCenter", "Cost centre."),
        _text("organization", "Organization."),
        _text("division", "Division."),
        _text("department", "Department."),
        _complex(
            "manager",
            "The user's manager.",
            _text("value", "Id of the manager's user."),
            Attribute(
                "$ref",
                "reference",
                case_exact=True,
                reference_types=("User",),
                description="URL of the manager's user.",
            ),
            _text("displayName", "Name of the manager.", mutability="readOnly"),
        ),
    ),
)

USERS: Final = ResourceType("User", "/Users", "User account", USER, (ENTERPRISE,), COMMON)
GROUPS: Final = ResourceType("Group", "/Groups", "Group", GROUP, (), COMMON)
RESOURCE_TYPES: Final = {"User": USERS, "Group": GROUPS}
