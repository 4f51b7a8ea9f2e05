"""Hostile bodies: whatever is sent as a PATCH, POST or PUT, the answer is a resource or a refusal in SCIM's terms."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from joiner.application.endpoints.requests import parse_json
from joiner.application.search.columns import columns_of
from joiner.scim.core import GROUPS, USERS
from joiner.scim.errors import ScimError
from joiner.scim.members import net_changes, split_members
from joiner.scim.messages import parse_patch
from joiner.scim.patches import apply_patch, secrets_in
from joiner.scim.resources import check_primary, normalise_resource, read_incoming, replaced
from joiner.scim.schemas import ResourceType
from tests.fuzzing import ENTERPRISE, FRAGMENTS, LONG, VALID_FILTERS, VALID_PATHS, check_sendable, mutated
from tests.scim_client import CORE, ENTRA_USER, GROUP, PATCH

USER: dict[str, Any] = {
    **{name: value for name, value in ENTRA_USER.items() if name not in ("schemas", "meta", "roles")},
    "emails": [
        {"type": "work", "value": "m@fjord.example", "primary": True},
        {"type": "home", "value": "h@fjord.example", "display": "H"},
    ],
    "x509Certificates": [{"value": "MIIBCg=="}],
    ENTERPRISE: {"department": "Supply", "manager": {"value": "boss"}},
}
TEAM: dict[str, Any] = {"displayName": "Team", "externalId": "t"}
STORED = {USERS: USER, GROUPS: TEAM}

PATHS = st.one_of(
    st.sampled_from(
        (
            *VALID_PATHS,
            *("title", "userName", "active", "emails", "emails.value", "name", "password", "groups", "id", "schemas"),
            *(
                'emails[type eq "work"]',
                'emails[type eq "none"].value',
                "emails[primary eq true].primary",
                "meta.version",
            ),
            *('members[value eq "a"]', 'members[type eq "User"]', "members.display", f"{GROUP}:members", CORE, GROUP),
            *(
                f"{ENTERPRISE}:manager",
                f"{ENTERPRISE}:manager.$ref",
                "department",
                "x509Certificates.value",
                "addresses",
            ),
        )
    ),
    mutated(VALID_PATHS),
    mutated([f"emails[{text}]" for text in VALID_FILTERS]),
    st.text(max_size=20),
)
NAMES = st.one_of(
    PATHS,
    st.sampled_from(["value", "Value", "type", "primary", "display", "$ref", "givenName", "locality", "members", "op"]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(FRAGMENTS),
    st.sampled_from(["work", "True", "maybe", "u-1", "MIIB", "2024-05-06T07:08:09Z", "x" * 3000, "\u202e", "a\x00b"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
OPERATIONS = st.one_of(
    st.builds(
        lambda op, path, more: {"op": op, **({} if path is None else {"path": path}), **more},
        st.sampled_from(["add", "Add", "replace", "REPLACE", "remove", "Remove"]),
        st.one_of(st.none(), PATHS),
        st.one_of(st.just({}), st.builds(lambda value: {"value": value}, VALUES)),
    ),
    st.dictionaries(st.sampled_from(["op", "OP", "path", "value", "Value"]), VALUES, max_size=4),
    VALUES,
)
PATCHES = st.one_of(
    st.builds(lambda listed: {"schemas": [PATCH], "Operations": listed}, st.lists(OPERATIONS, max_size=5)),
    st.dictionaries(st.sampled_from(["schemas", "Operations", "operations"]), VALUES, max_size=3),
    VALUES,
)
BODIES = st.dictionaries(st.one_of(NAMES, st.sampled_from(sorted(USER))), VALUES, max_size=8)
VALID_BODIES = [
    orjson.dumps(each).decode()
    for each in (
        ENTRA_USER,
        {"schemas": [PATCH], "Operations": [{"op": "Add", "path": "members", "value": [{"value": "a"}]}]},
        {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"name.givenName": "x", "active": "False"}}]},
        {"schemas": [PATCH], "Operations": [{"op": "remove", "path": 'emails[type eq "work"].value'}]},
    )
]


def received(body: Any) -> Any:
    """The body as it comes out of JSON; examples that cannot be JSON are skipped."""
    try:
        return orjson.loads(orjson.dumps(body))
    except TypeError:
        reject()


def check_storable(resource_type: ResourceType, resource: dict[str, Any]) -> None:
    """What has come out is a resource that can be kept, and that means the same when it is read again."""
    assert "members" not in resource
    assert normalise_resource(resource_type, resource) == resource
    assert orjson.loads(orjson.dumps(resource)) == resource
    check_primary(resource)
    columns_of(resource_type, resource)


def patch_everything(body: Any) -> None:
    """Raises what is not expected."""
    for resource_type, stored in STORED.items():
        for strict in (False, True):
            before = copy.deepcopy(stored)
            try:
                operations = parse_patch(body, strict=strict)
                secrets_in(resource_type, operations)
                if resource_type is GROUPS:
                    operations, changes = split_members(GROUPS, operations, strict=strict)
                    for change in net_changes(changes):
                        assert all(type(member) is str and member for member in change.members)
                patched = apply_patch(resource_type, stored, operations, strict=strict).resource
                check_storable(resource_type, patched)
            except ScimError as error:
                check_sendable(error)
            assert stored == before, "the resource that was given is not changed"


@pytest.mark.req("REQ-S-226", "REQ-S-255", "REQ-S-256", "REQ-S-343")
@LONG
@given(PATCHES)
def test_no_body_makes_a_patch_fail_in_any_other_way(body: Any) -> None:
    patch_everything(received(body))


@pytest.mark.req("REQ-S-044", "REQ-S-343")
@LONG
@given(st.one_of(mutated(VALID_BODIES), st.text(max_size=40)))
def test_no_text_makes_a_body_fail_in_any_other_way(text: str) -> None:
    try:
        body = parse_json(text.encode("utf-8", "surrogatepass"))
    except ScimError as error:
        check_sendable(error)
        return
    patch_everything(body)
    create_and_replace(body)


def create_and_replace(body: Any) -> None:
    """Raises what is not expected."""
    for resource_type, stored in STORED.items():
        for strict in (False, True):
            try:
                incoming = read_incoming(resource_type, body, strict=strict, creating=True)
                resource = dict(incoming.resource)
                resource.pop("members", None)
                check_storable(resource_type, resource)
                check_storable(resource_type, replaced(resource_type, stored, resource, incoming.asserted))
            except ScimError as error:
                check_sendable(error)


@pytest.mark.req("REQ-S-087", "REQ-S-343")
@LONG
@given(BODIES)
def test_no_body_makes_a_post_or_put_fail_in_any_other_way(body: Any) -> None:
    body = received(body)
    create_and_replace(body)
    create_and_replace({**USER, **body})
    create_and_replace({**TEAM, **body})
