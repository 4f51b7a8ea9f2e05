"""The mappings of one user, as a cycle evaluates them, beside a function written by hand for the same mappings."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from joiner.expressions.patterns import compile_pattern
from joiner.provisioning.job.templates import template_by_id
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import AttributeFlow
from joiner.provisioning.mapping.schema import parse_schema

ROUNDS: Final = 15
USERS: Final = 4000
"""Evaluated in one round."""
MAPPINGS: Final = 60
"""Of the schema that is compiled."""
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SCOPE: Final = {
    "groups": [
        {
            "name": "staff",
            "clauses": [
                {"sourceOperandName": "accountEnabled", "operatorName": "IS TRUE"},
                {
                    "sourceOperandName": "department",
                    "operatorName": "NOT EQUALS",
                    "targetOperand": {"values": ["Guests"]},
                },
            ],
        }
    ]
}
ADA: Final[Mapping[str, Any]] = {
    "objectId": "06b07648-ecfe-589f-9d2f-6325724a46ee",
    "userPrincipalName": "ada.lovelace@contoso.example",
    "accountEnabled": True,
    "IsSoftDeleted": False,
    "displayName": "Ada Lovelace",
    "jobTitle": "Engineer",
    "mail": "ada.lovelace@contoso.example",
    "givenName": "Ada",
    "surname": "Lovelace",
    "physicalDeliveryOfficeName": "B-2.14",
    "city": "Oslo",
    "country": "Norway",
    "state": "Oslo",
    "postalCode": "0150",
    "streetAddress": "Karl Johans gate 1",
    "telephoneNumber": "+47 22 00 00 00",
    "mobile": "+47 900 00 000",
    "facsimileTelephoneNumber": "+47 22 00 00 01",
    "employeeId": "10042",
    "companyName": "Contoso",
    "department": "Research",
    "manager": "7d1f7f0e-0000-4000-8000-000000000001",
}
COPIED: Final[Mapping[str, str]] = {
    "userName": "userPrincipalName",
    "externalId": "objectId",
    "displayName": "displayName",
    "title": "jobTitle",
    'emails[type eq "work"].value': "mail",
    "name.givenName": "givenName",
    "name.familyName": "surname",
    'addresses[type eq "work"].formatted': "physicalDeliveryOfficeName",
    'addresses[type eq "work"].locality': "city",
    'addresses[type eq "work"].region': "country",
    'addresses[type eq "work"].country': "state",
    'addresses[type eq "work"].postalCode': "postalCode",
    'addresses[type eq "work"].streetAddress': "streetAddress",
    'phoneNumbers[type eq "work"].value': "telephoneNumber",
    'phoneNumbers[type eq "mobile"].value': "mobile",
    'phoneNumbers[type eq "fax"].value': "facsimileTelephoneNumber",
    f"{ENTERPRISE}:employeeNumber": "employeeId",
    f"{ENTERPRISE}:organization": "companyName",
    f"{ENTERPRISE}:department": "department",
    f"{ENTERPRISE}:manager": "manager",
}
"""Target → attribute, of the direct mappings of the default template."""
SAMPLES: Final = (
    "[attribute{0}]",
    'Join(" ", [givenName], [surname], "{0}")',
    'Switch([country], "other", "NO", "Norway", "SE", "Sweden", "{0}", "none")',
    'Replace([mobile], , "[()\\\\s-]+{0}", , "", , )',
    "ToLower(NormalizeDiacritics(StripSpaces(Append(Left([givenName], 1), [surname{0}]))))",
    'IIF(IsPresent([hired]), FormatDateTime([hired], , "yyyy-MM-dd", "d MMM yyyy"), "{0}")',
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of the rounds."""

    user_us: float
    """Microseconds of processor time to evaluate all mappings and the scoping filter of a user."""
    by_hand_us: float
    """The same by hand."""
    ratio: float
    """Median of the rounds' ratios."""
    compile_ms: float
    """Milliseconds of processor time to compile a schema of `MAPPINGS` mappings, its patterns included."""


def measure_expressions() -> Figures:
    evaluate = _plan_evaluation()
    ours = {flow.target: value for flow, value in evaluate(ADA)}
    assert ours == dict(_by_hand(ADA)), "the two do not compute the same"
    rounds = [(_per_user(evaluate), _per_user(_by_hand)) for _ in range(ROUNDS)]
    return Figures(
        statistics.median(ours for ours, _ in rounds),
        statistics.median(by_hand for _, by_hand in rounds),
        statistics.median(ours / by_hand for ours, by_hand in rounds),
        statistics.median(_compile_once() for _ in range(5)),
    )


def _per_user(evaluate: Callable[[Mapping[str, Any]], object]) -> float:
    attributes = dict(ADA)
    began = time.process_time()
    for _ in range(USERS):
        evaluate(attributes)
    return (time.process_time() - began) / USERS * 1e6


def _plan_evaluation() -> Callable[[Mapping[str, Any]], list[tuple[AttributeFlow, Any]]]:
    schema = template_by_id("alvaoScim").schema
    (rule,) = schema["synchronizationRules"]
    first, *others = rule["objectMappings"]
    document = {**schema, "synchronizationRules": [{**rule, "objectMappings": [{**first, "scope": SCOPE}, *others]}]}
    plan = compile_plan(parse_schema(document)).users
    assert plan is not None

    def evaluate(attributes: Mapping[str, Any]) -> list[tuple[AttributeFlow, Any]]:
        if not plan.scope.passes(attributes):
            return []
        computed = plan.compute(attributes, creating=False)
        references = [(flow, flow.evaluate(attributes)) for flow in plan.references]
        return [*computed.values, *references]

    return evaluate


def _by_hand(attributes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    department = attributes.get("department")
    if attributes.get("accountEnabled") is not True or not department or department == "Guests":
        return []
    found: list[tuple[str, Any]] = []
    for target, name in COPIED.items():
        value = attributes.get(name)
        if value is not None:
            found.append((target, value if isinstance(value, str) else str(value)))
    name = attributes["userPrincipalName"]
    if "#EXT#" in name:
        found[0] = ("userName", name.partition("#EXT#")[0].replace("_", "@"))
    found.append(("active", not attributes.get("IsSoftDeleted")))
    parts = [part for part in (attributes.get("givenName"), attributes.get("surname")) if part]
    found.append(("name.formatted", " ".join(parts)))
    return found


def _compile_once() -> float:
    compile_pattern.cache_clear()
    mappings = [
        {
            "targetAttributeName": "userName",
            "matchingPriority": 1,
            "source": {"type": "Attribute", "name": "userPrincipalName", "expression": "[userPrincipalName]"},
        }
    ]
    for number in range(MAPPINGS - 1):
        text = SAMPLES[number % len(SAMPLES)].replace("{0}", str(number))
        source = {"type": "Function" if "(" in text else "Attribute", "name": "x", "expression": text}
        mappings.append({"targetAttributeName": f"target{number}", "source": source})
    document = {
        "synchronizationRules": [
            {
                "id": "rule",
                "sourceDirectoryName": "source",
                "targetDirectoryName": "target",
                "objectMappings": [
                    {"sourceObjectName": "User", "targetObjectName": "User", "attributeMappings": mappings}
                ],
            }
        ]
    }
    began = time.process_time()
    compile_plan(parse_schema(document))
    return (time.process_time() - began) * 1e3


def show(figures: Figures) -> None:
    table = Table("what", "CPU", title=f"the default template, {ROUNDS} rounds of {USERS:,} users")
    table.columns[1].justify = "right"
    table.add_row("one user: scoping filter, all mappings", f"{figures.user_us:.2f} µs")
    table.add_row("the same written by hand", f"{figures.by_hand_us:.2f} µs")
    table.add_row("ratio", f"{figures.ratio:.2f}")
    table.add_row(f"compiling {MAPPINGS} mappings", f"{figures.compile_ms:.1f} ms")
    Console().print(table)


def document_of(figures: Figures) -> dict[str, float]:
    return asdict(figures)
