"""What filters mean: which resources they match, and which cannot be asked at all."""

from typing import Any

import pytest

from joiner.scim.conditions import ALWAYS, NEVER, bind_filter
from joiner.scim.core import ENTERPRISE_URN, GROUP_URN, GROUPS, USER_URN, USERS
from joiner.scim.errors import InvalidFilterError
from joiner.scim.evaluation import Facts, matches
from joiner.scim.grammar import parse_filter
from joiner.scim.resources import normalise_resource
from joiner.scim.schemas import ResourceType
from joiner.scim.search import search_document
from tests.searching import THINGS

MARTA = {
    "userName": "Marta.Lopez@Fjord.example",
    "externalId": "MLopez",
    "name": {"familyName": "López", "givenName": "Marta"},
    "displayName": 'Marta "M" López',
    "title": "Boss\\Chief",
    "profileUrl": "https://Fjord.example/Marta",
    "active": True,
    "emails": [
        {"value": "Marta@Work.example", "type": "work", "primary": True},
        {"value": "m@home.example", "type": "home"},
    ],
    "x509Certificates": [{"value": "AAAA"}],
    ENTERPRISE_URN: {"department": "Sales", "employeeNumber": "42", "manager": {"value": "Boss-1"}},
}
FACTS = Facts(
    "Id-1",
    "User",
    "2024-05-06T07:08:09.000000Z",
    "2024-05-07T00:00:00.500000Z",
    'W/"3"',
    groups=["g-1", "g-2"],
)
TEAM = Facts("g-1", "Group", FACTS.created, FACTS.last_modified, 'W/"1"', members=["Id-1", "u-2"])
BOX = {
    "size": 5,
    "weight": 1.5,
    "built": "2024-05-06T09:08:09.1234567+02:00",
    "tags": ["Red", "blue"],
    "sizes": [1, 2],
    "active": False,
}


def answer(resource_type: ResourceType, body: dict[str, Any], facts: Facts, filter_: str, *, strict: bool) -> bool:
    search = search_document(resource_type, normalise_resource(resource_type, body))
    tree = parse_filter(filter_, strict=strict, urns=resource_type.urns)
    return matches(bind_filter(tree, resource_type, strict=strict), search, facts)


EQUALITY = [
    ('userName eq "MARTA.lopez@fjord.EXAMPLE"', True),
    ('userName eq "ｍarta.lopez@fjord.example"', True),
    ('userName eq "marta"', False),
    ('id eq "Id-1"', True),
    ('id eq "id-1"', False),
    ('externalId eq "MLopez"', True),
    ('externalId eq "mlopez"', False),
    ('displayName eq "marta \\"m\\" lo\\u0301pez"', True),
    ('title eq "boss\\\\chief"', True),
    ('profileUrl eq "https://fjord.example/marta"', False),
    ('profileUrl co "Fjord"', True),
    ('title ne "x"', True),
    ('title ne "BOSS\\\\chief"', False),
    ('nickName ne "x"', True),
    ('nickName eq "x"', False),
    ("active eq true", True),
    ("active ne true", False),
    ('x509Certificates.value eq "AAAA"', True),
    ('x509Certificates.value eq "aaaa"', False),
]
TEXT = [
    ('userName sw "MARTA."', True),
    ('userName ew ".example"', True),
    ('userName co "lopez@"', True),
    ('userName co "%"', False),
    ('userName sw ""', True),
    ('nickName sw ""', False),
    ('userName gt "marta"', True),
    ('userName lt "marta"', False),
    ('name.familyName ge "LÓPEZ" and name.familyName le "lópez"', True),
    ('employeeNumber lt "5"', True),
]
NAMES = [
    (f'{USER_URN}:userName sw "marta"', True),
    (f'{USER_URN.upper()}:USERNAME SW "marta"', True),
    (f'{USER_URN}:id eq "Id-1"', True),
    (f'{ENTERPRISE_URN}:department eq "SALES"', True),
    (f'{ENTERPRISE_URN.lower()}:Department eq "SALES"', True),
    ('name.familyName eq "lópez"', True),
    ('NAME.FAMILYNAME eq "lópez"', True),
    (f'{ENTERPRISE_URN}:manager.value eq "Boss-1"', True),
    (f'{ENTERPRISE_URN}:manager eq "Boss-1"', True),
    (f"{ENTERPRISE_URN} pr", True),
    (f"not ({ENTERPRISE_URN} pr)", False),
    (f"{USER_URN} pr", True),
]
SEVERAL = [
    ('emails co "@home"', True),
    ('emails eq "MARTA@work.example"', True),
    ('emails.type eq "home" and emails.value sw "marta"', True),
    ('emails[type eq "home" and value sw "marta"]', False),
    ('emails[type eq "WORK" and value co "@W"]', True),
    ('emails[type eq "work" or (type eq "other" and value ew "x")]', True),
    ('emails[not (type eq "work")]', True),
    ('emails[type eq "work"].value eq "marta@work.example"', True),
    ('emails[type eq "home"].value eq "marta@work.example"', False),
    ('emails[type eq "home"].value ne "marta@work.example"', True),
    ('emails[type eq "home"].display pr', False),
    ('emails.value ne "m@home.example"', False),
    ('emails.value ne "x"', True),
    ('phoneNumbers.value ne "x"', True),
    ("emails[primary eq true]", True),
    ("emails.primary eq false", False),
    ('groups eq "g-2"', True),
    ('groups.value eq "g-3"', False),
    ('groups[value eq "g-1" or value eq "x"]', True),
    ('groups ne "g-2"', False),
    ('name[familyName eq "lópez" and givenName eq "marta"]', True),
    ("addresses[not (type pr)]", False),
]
PRESENCE = [
    ("title pr", True),
    ("nickName pr", False),
    ("name pr", True),
    ("name.middleName pr", False),
    ("emails pr", True),
    ("phoneNumbers pr", False),
    ("groups pr", True),
    ("meta pr", True),
    ("title eq null", False),
    ("nickName eq null", True),
    ("nickName ne null", False),
    ("name ne null", True),
    ("emails.display eq null", True),
    ("emails.type eq null", False),
]
SERVER = [
    ('meta.resourceType eq "User"', True),
    ('meta.resourceType eq "Group"', False),
    ('meta.resourceType ne "Group"', True),
    ('meta.created eq "2024-05-06T09:08:09+02:00"', True),
    ('meta.created gt "2024-05-06T09:08:08.9999999+02:00"', True),
    ('meta.lastModified lt "2024-05-07T00:00:00.5000000Z"', False),
    ('meta.lastModified le "2024-05-07T00:00:00.5000009Z"', True),
    ('meta.version eq "W/\\"3\\""', True),
    ('meta[resourceType eq "User" and created gt "2020-01-01T00:00:00Z"]', True),
    (f'schemas eq "{USER_URN}"', True),
    (f'schemas eq "{USER_URN.upper()}"', True),
    (f'schemas eq "{ENTERPRISE_URN}"', True),
    (f'schemas eq "{GROUP_URN}"', False),
    (f'schemas ne "{GROUP_URN}"', True),
    ('schemas co "enterprise"', True),
    ("schemas pr", True),
    (
        'active eq true and (meta.lastModified ge "0001-01-03T00:00:00.0000000Z" and'
        ' meta.lastModified le "2024-06-01T00:00:00.0000000Z")',
        True,
    ),
]


@pytest.mark.req("REQ-S-130", "REQ-S-134", "REQ-S-135", "REQ-S-136", "REQ-S-137", "REQ-S-138", "REQ-S-139", "REQ-S-140")
@pytest.mark.req("REQ-S-141", "REQ-S-143", "REQ-S-144", "REQ-S-146", "REQ-S-150", "REQ-S-152", "REQ-S-153", "REQ-S-159")
@pytest.mark.req("REQ-S-160", "REQ-S-131", "REQ-S-340")
@pytest.mark.parametrize(("filter_", "found"), [*TEXT, *NAMES, *SEVERAL, *PRESENCE, *SERVER, *EQUALITY])
def test_a_user_is_found_by_what_a_filter_means(filter_: str, found: bool) -> None:
    # What only one extension has needs its URN when it is strict.
    strict = "employeeNumber lt" not in filter_
    assert answer(USERS, MARTA, FACTS, filter_, strict=strict) is found
    assert answer(USERS, MARTA, FACTS, filter_, strict=False) is found


@pytest.mark.req("REQ-S-138", "REQ-S-154")
@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ('id eq "g-1" and members eq "Id-1"', True),
        ('members eq "Id-1" and id eq "g-1"', True),
        ('members eq "id-1"', False),
        ('members.value eq "u-2"', True),
        ('members[value eq "u-2"]', True),
        ('members ne "u-2"', False),
        ("members pr", True),
        ('displayName eq "TEAM"', True),
    ],
)
def test_a_group_is_found_by_its_members(filter_: str, found: bool) -> None:
    assert answer(GROUPS, {"displayName": "Team"}, TEAM, filter_, strict=True) is found


@pytest.mark.req("REQ-S-130", "REQ-S-146", "REQ-S-033")
@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("size gt 4 and size le 5", True),
        ("size eq 5.0", True),
        ("size lt 1e1", True),
        ("weight ge 1.5", True),
        ("weight ne 1.5", False),
        ("size eq 18446744073709551615", False),
        ('built eq "2024-05-06T07:08:09.123456Z"', True),
        ('tags eq "RED"', True),
        ('tags ne "red"', False),
        ('tags ew "ue" and tags sw "r"', True),
        ("sizes ge 2", True),
        ("sizes gt 2", False),
        ("active eq false", True),
        ("dates pr", False),
    ],
)
def test_a_resource_of_a_custom_type_is_found_by_every_type_of_attribute(filter_: str, found: bool) -> None:
    assert answer(THINGS, BOX, FACTS, filter_, strict=True) is found


@pytest.mark.req("REQ-S-147", "REQ-S-151", "REQ-S-138")
@pytest.mark.parametrize(
    ("resource_type", "filter_", "found"),
    [
        (USERS, 'active eq "True"', True),
        (USERS, "active eq 'FALSE'", False),
        (USERS, 'emails[primary eq "True"]', True),
        (USERS, "userName sw Marta", True),
        (USERS, 'department eq "sales"', True),
        (USERS, 'manager eq "Boss-1"', True),
        (USERS, 'manager.value eq "Boss-1"', True),
        (USERS, "employeeNumber eq 42", True),
        (USERS, "meta.created gt 2020-01-01T00:00:00Z", True),
        (THINGS, 'size eq "5"', True),
        (THINGS, "weight eq 15e-1", True),
    ],
)
def test_what_clients_write_in_another_way_is_understood_unless_it_is_strict(
    resource_type: ResourceType, filter_: str, found: bool
) -> None:
    body = MARTA if resource_type is USERS else BOX
    assert answer(resource_type, body, FACTS, filter_, strict=False) is found
    if filter_ != "weight eq 15e-1":
        with pytest.raises(InvalidFilterError):
            answer(resource_type, body, FACTS, filter_, strict=True)


@pytest.mark.req("REQ-S-145", "REQ-S-149", "REQ-S-155", "REQ-S-142", "REQ-S-148")
@pytest.mark.parametrize(
    ("filter_", "named"),
    [
        ('nothing eq "a"', "nothing"),
        ('name.nothing eq "a"', "nothing"),
        ('userName.value eq "a"', "userName"),
        ("emails[nothing pr]", "nothing"),
        ("emails[type eq 1].nothing pr", "nothing"),
        (f'{ENTERPRISE_URN}:userName eq "a"', "userName"),
        (f'{GROUP_URN}:displayName eq "a"', "displayName"),
        ("urn:example:2.0:Other pr", "urn:example:2.0:Other"),
        (f'{ENTERPRISE_URN} eq "a"', "schema"),
        ('password eq "x"', "password"),
        ("password pr", "password"),
        ('name eq "a"', "familyName"),
        ("addresses co 'a'", "streetAddress"),
        ('userName[value eq "a"]', "userName"),
        ("active gt true", "gt"),
        ("active co true", "co"),
        ('active eq "yes"', "active"),
        ("active eq 1", "active"),
        ("emails[primary lt true]", "lt"),
        ('x509Certificates.value ge "AAAA"', "ge"),
        ('x509Certificates.value co "AAAA"', "co"),
        ('x509Certificates.value eq "é"', "base64"),
        ('meta.created co "2024-01-01T00:00:00Z"', "co"),
        ('meta.created eq "yesterday"', "created"),
        ("meta.created gt 20240101", "created"),
        ('meta.location eq "x"', "meta.location"),
        ('groups.display eq "x"', "groups.display"),
        ('manager.displayName eq "x"', "manager.displayName"),
        ("title gt null", "gt"),
        ("title co null", "co"),
        ("meta eq 5", "meta"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(filter_: str, named: str) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        bind_filter(parse_filter(filter_), USERS)
    assert named in str(caught.value)


@pytest.mark.req("REQ-S-145", "REQ-S-149")
def test_what_cannot_be_asked_is_refused_even_where_it_could_not_matter() -> None:
    for filter_ in ('userName eq "a" or nothing pr', 'id eq "a" and active gt true', "not (nothing pr)"):
        with pytest.raises(InvalidFilterError):
            bind_filter(parse_filter(filter_), USERS)


@pytest.mark.req("REQ-S-116", "REQ-S-117")
@pytest.mark.parametrize(
    ("filter_", "meaning"),
    [
        ('userName eq "a"', NEVER),
        ("userName pr", NEVER),
        ('userName ne "a"', ALWAYS),
        ("userName eq null", ALWAYS),
        ("userName ne null", NEVER),
        ("not (userName pr)", ALWAYS),
        ('emails[type eq "work"]', NEVER),
        ('emails[type eq "work"].value ne "a"', ALWAYS),
        ('meta.resourceType eq "User"', NEVER),
        ('meta.resourceType eq "Group"', ALWAYS),
        ('meta.resourceType eq "Group" and (userName eq "a" or not (name.familyName co "x"))', ALWAYS),
        (f"{ENTERPRISE_URN} pr", NEVER),
    ],
)
def test_an_attribute_of_another_type_counts_as_unassigned(filter_: str, meaning: object) -> None:
    assert bind_filter(parse_filter(filter_), GROUPS, unknown_is_unassigned=True) == meaning
