"""The columns of import files, and the attributes that they fill. Order, case, spaces and hyphens of headings are free.

Users: what the Entra portal's "Download users" writes, and Graph's names for the same. Groups: one line per membership.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

NAME: Final = "userPrincipalName"
IN_BRACKETS: Final = re.compile(r"\[(\w+)\]")
FILLING: Final = re.compile(r"[\s_-]+")

USER_ATTRIBUTES: Final = (
    "ageGroup",
    "alternateEmailAddress",
    "authenticationPhoneNumber",
    "city",
    "companyName",
    "consentProvidedForMinor",
    "country",
    "createdDateTime",
    "creationType",
    "department",
    "dirSyncEnabled",
    "displayName",
    "employeeId",
    "employeeType",
    "facsimileTelephoneNumber",
    "givenName",
    "identityIssuer",
    "invitationState",
    "jobTitle",
    "legalAgeGroupClassification",
    "mail",
    "mailNickname",
    "mobile",
    "physicalDeliveryOfficeName",
    "postalCode",
    "preferredLanguage",
    "state",
    "streetAddress",
    "surname",
    "telephoneNumber",
    "usageLocation",
    "userType",
    *(f"extensionAttribute{number}" for number in range(1, 16)),
)
ALIASES: Final = {
    "accountenabled": "accountEnabled",
    "businessphones": "telephoneNumber",
    "directorysynced": "dirSyncEnabled",
    "faxnumber": "facsimileTelephoneNumber",
    "id": "id",
    "manager": "manager",
    "mobilephone": "mobile",
    "objectid": "id",
    "officelocation": "physicalDeliveryOfficeName",
    "onpremisessyncenabled": "dirSyncEnabled",
    "upn": NAME,
}
USER_COLUMNS: Final = {**{name.lower(): name for name in (NAME, *USER_ATTRIBUTES)}, **ALIASES}
"""Folded heading → attribute. A heading that is not here is kept as an attribute of its own name."""

GROUP_OF_MEMBERSHIP: Final = {
    "group": "groupName",
    "groupdescription": "description",
    "groupdisplayname": "groupName",
    "groupid": "groupId",
    "groupname": "groupName",
    "groupobjectid": "groupId",
    "membershiprule": "membershipRule",
    "membershipruleprocessingstate": "membershipRuleProcessingState",
    "securityenabled": "securityEnabled",
}
MEMBER: Final = {
    "member": "memberName",
    "membergroup": "memberGroup",
    "memberid": "memberId",
    "membername": "memberName",
    "memberobjectid": "memberId",
    "memberobjectidorupn": "memberName",
    "memberuserprincipalname": "memberName",
    "upn": "memberName",
    "userid": "memberId",
    "userprincipalname": "memberName",
}
ALONE: Final = {
    "description": "description",
    "displayname": "groupName",
    "id": "groupId",
    "mail": "mail",
    "mailnickname": "mailNickname",
    "name": "groupName",
    "objectid": "groupId",
}
"""Headings without the word "group": of the group in a list of groups, ..."""
OF_MEMBER: Final = {"displayname": "memberDisplayName", "id": "memberId", "objectid": "memberId"}
"""... of the member in a list of members, as in "Download group members"."""

TRUE: Final = frozenset({"true", "yes", "1"})
FALSE: Final = frozenset({"false", "no", "0"})

Naming = Callable[[Sequence[str]], list[str]]
"""The headings of a file → its columns."""


def user_columns(headings: Sequence[str]) -> list[str]:
    """The attributes that the headings mean; unknown ones keep their spelling."""
    return _named(headings, USER_COLUMNS)


def group_columns(headings: Sequence[str]) -> list[str]:
    """`groupId`, `groupName`, `description`, …, `memberId`, `memberName`, `memberGroup`, `memberDisplayName`."""
    folded = [fold(heading) for heading in headings]
    names_group = any(GROUP_OF_MEMBERSHIP.get(heading) in ("groupName", "groupId") for heading in folded)
    names_members = any(heading in MEMBER for heading in folded)
    return _named(headings, {**GROUP_OF_MEMBERSHIP, **MEMBER, **(OF_MEMBER if names_group or names_members else ALONE)})


def fold(heading: str) -> str:
    """What headings are compared by: `Employee ID` is `employeeId`, and so is `Number [employeeId] Required`."""
    bracketed = IN_BRACKETS.search(heading)
    return FILLING.sub("", bracketed[1] if bracketed else heading).lower()


def _named(headings: Sequence[str], names: Mapping[str, str]) -> list[str]:
    return [names.get(fold(heading), heading.strip()) for heading in headings]
