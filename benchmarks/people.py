"""Invented people, the same at every run."""

from pathlib import Path
from typing import Any

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DEPARTMENTS = ("Sales", "Service desk", "Supply", "Finance", "Research", "People", "Legal", "Field service")
COUNTRIES = ("Norway", "Czechia", "Portugal", "Canada", "Japan")
GIVEN = ("Marta", "Jiří", "Ana", "Noah", "Yui", "Ingrid", "Tomáš", "Inês", "Liam", "Haruto")
FAMILY = ("Dahl", "Novák", "Sousa", "Tremblay", "Satō", "Lund", "Dvořák", "Ferreira", "Roy", "Itō")


def person(number: int) -> dict[str, str]:
    """The columns of the Entra portal's "Download users" file."""
    given, family = GIVEN[number % 10], FAMILY[number // 10 % 10]
    name = f"person{number:06d}@fjord.example"
    return {
        "userPrincipalName": name,
        "displayName": f"{given} {family} {number}",
        "surname": family,
        "givenName": given,
        "mail": name,
        "jobTitle": f"Specialist {number % 40}",
        "department": DEPARTMENTS[number % len(DEPARTMENTS)],
        "accountEnabled": "true",
        "streetAddress": f"{number % 200} Quay Road",
        "city": f"City {number % 60}",
        "state": f"Region {number % 20}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "physicalDeliveryOfficeName": f"Room {number % 300}",
        "postalCode": f"{10000 + number % 9000}",
        "telephoneNumber": f"+47 55 {number:06d}",
        "mobile": f"+47 99 {number:06d}",
        "companyName": "Fjord Logistics",
        "employeeId": f"E-{number:06d}",
        "manager": f"person{number // 20:06d}@fjord.example" if number else "",
    }


def write_csv(folder: Path, users: int) -> tuple[Path, Path]:
    """A users file and a groups file: one group for each department."""
    people = [person(number) for number in range(users)]
    rows = [",".join(people[0]), *(",".join(each.values()) for each in people)]
    members = ["groupDisplayName,userPrincipalName"]
    members += [f"{each['department']},{each['userPrincipalName']}" for each in people]
    paths = folder / "users.csv", folder / "groups.csv"
    for path, lines in zip(paths, (rows, members), strict=True):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def scim_user(number: int) -> dict[str, Any]:
    """The user as the Entra service posts it: 22 values of attributes, about 950 bytes."""
    each = person(number)
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "externalId": f"00000000-0000-4000-8000-{number:012d}",
        "userName": each["userPrincipalName"],
        "active": True,
        "displayName": each["displayName"],
        "title": each["jobTitle"],
        "preferredLanguage": "nb-NO",
        "emails": [{"primary": True, "type": "work", "value": each["mail"]}],
        "name": {
            "formatted": f"{each['givenName']} {each['surname']}",
            "familyName": each["surname"],
            "givenName": each["givenName"],
        },
        "addresses": [
            {
                "type": "work",
                "formatted": each["physicalDeliveryOfficeName"],
                "locality": each["city"],
                "region": each["state"],
                "country": each["country"],
                "postalCode": each["postalCode"],
                "streetAddress": each["streetAddress"],
            }
        ],
        "phoneNumbers": [
            {"type": "work", "value": each["telephoneNumber"]},
            {"type": "mobile", "value": each["mobile"]},
            {"type": "fax", "value": each["telephoneNumber"]},
        ],
        ENTERPRISE: {
            "employeeNumber": each["employeeId"],
            "organization": each["companyName"],
            "department": each["department"],
        },
    }
