"""Schemas and resource types as documents: reading what we write, and refusing what is wrong by its place."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import ENTERPRISE, RESOURCE_TYPES, USERS
from joiner.scim.discovery import attribute_document, resource_type_document, schema_document
from joiner.scim.documents import resource_type_from_document, schema_from_document
from joiner.scim.errors import InvalidAttributeError, ScimError
from joiner.scim.registry import BUILT_IN
from joiner.scim.schemas import Attribute, Schema
from tests.scim_attributes import attributes, several

THING = "urn:example:schemas:1.0:Thing"
EXTRA = "urn:example:schemas:extension:1.0:Extra"
BASE = "https://app.example/scim"


@pytest.mark.req("REQ-S-033", "REQ-S-324")
@given(several(attributes(inside=False)))
def test_a_schema_that_is_written_and_read_again_is_the_same(found: tuple[Attribute, ...]) -> None:
    document = schema_document(Schema(THING, "Thing", "A thing", found), BASE)
    assert schema_document(schema_from_document(document), BASE) == document


@pytest.mark.req("REQ-S-033", "REQ-S-323")
def test_the_built_in_types_can_be_read_from_their_own_documents() -> None:
    schemas = {schema.id.lower(): schema for schema in BUILT_IN.schemas}
    for resource_type in RESOURCE_TYPES.values():
        document = resource_type_document(resource_type, BASE)
        assert resource_type_document(resource_type_from_document(document, schemas), BASE) == document


def _schema(**changes: Any) -> dict[str, Any]:
    return {"id": THING, "name": "Thing", "attributes": [{"name": "size", "type": "integer"}], **changes}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "schema: must be an object"),
        (_schema(id="not a urn"), "id:"),
        (_schema(id='urn:example:"quoted'), "id:"),
        (_schema(attributes=[]), "attributes:"),
        (_schema(attributes=[{"name": "two words"}]), "attributes[0].name:"),
        (_schema(attributes=[{"name": "a"}, {"name": "A"}]), "attributes[1].name:"),
        (_schema(attributes=[{"name": "meta"}]), "attributes[0].name:"),
        (_schema(attributes=[{"name": "a", "type": "number"}]), "attributes[0].type:"),
        (_schema(attributes=[{"name": "a", "required": "yes"}]), "attributes[0].required:"),
        (_schema(attributes=[{"name": "a", "type": "complex"}]), "attributes[0].subAttributes:"),
        (
            _schema(attributes=[{"name": "a", "type": "complex", "subAttributes": [{"name": "b", "type": "complex"}]}]),
            "attributes[0].subAttributes[0].type:",
        ),
    ],
)
def test_what_is_wrong_with_a_schema_is_named_by_its_place(document: Any, place: str) -> None:
    with pytest.raises(InvalidAttributeError) as error:
        schema_from_document(document)
    assert str(error.value).startswith(place)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "attributes", "type", "subAttributes", "endpoint"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_document_does_anything_but_be_read_or_refused(document: Any) -> None:
    with contextlib.suppress(ScimError):
        written = schema_document(schema_from_document(document), BASE)
        assert schema_document(schema_from_document(written), BASE) == written
    with pytest.raises(ScimError, match=":"):
        resource_type_from_document(document, {})


def _type(**changes: Any) -> dict[str, Any]:
    return {"name": "Thing", "endpoint": "/Things", "schema": THING, "schemaExtensions": [], **changes}


@pytest.mark.req("REQ-S-033", "REQ-S-034")
def test_a_user_can_get_further_extensions_and_a_connection_further_types() -> None:
    thing, extra = schema_from_document(_schema()), schema_from_document(_schema(id=EXTRA))
    known = {**{schema.id.lower(): schema for schema in BUILT_IN.schemas}, THING.lower(): thing, EXTRA.lower(): extra}
    user = resource_type_document(USERS, BASE)
    user["schemaExtensions"] = [*user["schemaExtensions"], {"schema": EXTRA, "required": True}]
    types = [resource_type_from_document(document, known) for document in (user, _type())]
    registry = BUILT_IN.extended([thing, extra], types)
    assert registry.by_endpoint["/things"].schema is thing
    assert registry.by_name["User"].required_extensions == {EXTRA}
    assert [schema.id for schema in registry.by_name["User"].extensions] == [ENTERPRISE.id, EXTRA]
    assert {schema.id for schema in registry.schemas} >= {THING, EXTRA}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (_type(endpoint="/Bulk"), "taken"),
        (_type(endpoint="/users"), "taken"),
        (_type(name="User"), "keeps its endpoint"),
        (_type(name="user"), "same name"),
    ],
)
def test_a_type_cannot_stand_in_the_way_of_another(document: dict[str, Any], message: str) -> None:
    thing = schema_from_document(_schema())
    added = resource_type_from_document(document, {THING.lower(): thing})
    with pytest.raises(InvalidAttributeError, match=message):
        BUILT_IN.extended([thing], [added])


def test_a_built_in_schema_cannot_be_replaced() -> None:
    with pytest.raises(InvalidAttributeError, match="cannot be replaced"):
        BUILT_IN.extended([schema_from_document(_schema(id=ENTERPRISE.id))], [])


def test_no_member_of_an_attribute_is_null() -> None:
    assert all(value is not None for value in attribute_document(Attribute("a")).values())
