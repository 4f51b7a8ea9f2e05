"""What a cycle has written, it finds again: a second look has nothing to write, in every dialect."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from joiner.provisioning.decisions.decision import Modification
from joiner.provisioning.decisions.differences import differences
from joiner.provisioning.decisions.wire import Dialect, operations_of, resource_of
from joiner.scim.core import USERS
from joiner.scim.resources import read_incoming
from tests.mappings import ALVAO, FLOW_NULL, add_mappings, document, mapping, open_gates, users_of
from tests.patching import patch

SOURCES = (
    "displayName", "jobTitle", "mail", "givenName", "surname", "physicalDeliveryOfficeName", "city", "country", "state",
    "postalCode", "streetAddress", "telephoneNumber", "mobile", "employeeId", "companyName", "department",
)  # fmt: skip


def clearing() -> dict[str, Any]:
    """The template, with null values flowing wherever they may."""
    schema = document()
    users = ALVAO["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    harmless = [
        {**each, **FLOW_NULL}
        for each in users
        if each["source"]["name"] in SOURCES and each["targetAttributeName"] not in ("displayName", "externalId")
    ]
    add_mappings(schema, mapping("displayName", "[displayName]"), mapping("active", "Not([IsSoftDeleted])"), *harmless)
    open_gates(schema, *SOURCES)
    return schema


PLAN = users_of(ALVAO)
CLEARING = users_of(clearing())
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(str.strip)
PEOPLE = st.fixed_dictionaries(
    {"userPrincipalName": st.just("a@x"), "objectId": st.just("a1"), "IsSoftDeleted": st.booleans()},
    optional=dict.fromkeys(SOURCES, TEXTS),
)


def created(attributes: Mapping[str, Any]) -> dict[str, Any]:
    body = resource_of(PLAN, PLAN.compute(attributes, creating=True).values)
    return read_incoming(USERS, body, strict=True, creating=True).resource


@given(PEOPLE, PEOPLE)
def test_an_update_leaves_nothing_to_update(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for plan in (PLAN, CLEARING):
        values = plan.compute(after, creating=False).values
        for dialect in Dialect:
            resource = created(before)
            found = differences(values, resource)
            if not found:
                continue
            modifications = [
                Modification(d.flow.path, d.verb, d.value, d.flow.path.has_element(resource)) for d in found
            ]
            operations = operations_of(dialect, modifications)
            resource = patch(USERS, resource, *operations, strict=dialect is Dialect.RFC).resource
            assert differences(values, resource) == []


@given(PEOPLE)
def test_a_create_leaves_nothing_to_update(attributes: Mapping[str, Any]) -> None:
    for plan in (PLAN, CLEARING):
        assert differences(plan.compute(attributes, creating=False).values, created(attributes)) == []
