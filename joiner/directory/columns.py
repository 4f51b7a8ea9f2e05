"""The columns of import files, and the attributes that they fill.

Users: the files that the Entra portal's "Download users" makes, and Graph's property names. Groups: one line per
membership, with the columns of "Download group members" beside the group's own. Case and order are free.
"""

from typing import Final

NAME: Final = "userPrincipalName"

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
    "displayName",
    "employeeId",
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
    "user principal name": NAME,
    "upn": NAME,
}
USER_COLUMNS: Final = {**{name.lower(): name for name in (NAME, *USER_ATTRIBUTES)}, **ALIASES}
"""Lower-cased heading → attribute. A heading that is not here is kept as an attribute of its own name."""

GROUP_COLUMNS: Final = {
    "group": "groupName",
    "groupname": "groupName",
    "groupdisplayname": "groupName",
    "groupid": "groupId",
    "groupobjectid": "groupId",
    "groupdescription": "description",
    "securityenabled": "securityEnabled",
    "id": "memberId",
    "member": "memberName",
    "memberid": "memberId",
    "memberobjectid": "memberId",
    "memberuserprincipalname": "memberName",
    "membergroup": "memberName",
    "membername": "memberName",
    "userprincipalname": "memberName",
}
"""Lower-cased heading → meaning. A line without a member makes the group alone."""

TRUE: Final = frozenset({"true", "yes", "1"})
FALSE: Final = frozenset({"false", "no", "0"})
