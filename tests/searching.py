"""Resources and filters at random."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st

from joiner.scim.attributes import is_identifier
from joiner.scim.core import COMMON, GROUPS, USERS
from joiner.scim.evaluation import Facts
from joiner.scim.resources import normalise_resource
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.search import search_document
from joiner.scim.tree import And, Comparison, Filter, Not, Or, Path, ValuePath
from tests.search_databases import Kept

STRANGE_URN = "urn:example:it's?3:2.0:Thing"
THINGS = ResourceType(
    "Thing",
    "/Things",
    "Something that an administrator has made up",
    Schema(
        "urn:example:2.0:Thing",
        "Thing",
        "",
        (
            Attribute("displayName"),
            Attribute("label", case_exact=True),
            Attribute("size", "integer"),
            Attribute("weight", "decimal"),
            Attribute("built", "dateTime"),
            Attribute("active", "boolean"),
            Attribute("image", "binary", case_exact=True),
            Attribute("page", "reference", case_exact=True),
            Attribute("tags", multi_valued=True),
            Attribute("sizes", "integer", multi_valued=True),
            Attribute("flags", "boolean", multi_valued=True),
            Attribute("dates", "dateTime", multi_valued=True),
            Attribute(
                "members",
                "complex",
                multi_valued=True,
                sub_attributes=(Attribute("value"), Attribute("many", multi_valued=True), Attribute("n", "decimal")),
            ),
        ),
    ),
    (Schema(STRANGE_URN, "Strange", "", (Attribute("it's", "string"), Attribute("list", multi_valued=True))),),
    COMMON,
)
TYPES = (USERS, GROUPS, THINGS)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
WORDS = [
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "ß",
    "SS",
    "é",
    "e\u0301",
    "K",
    "k",
    "ＡＢ",
    "%",
    "_",
    "a'",
    'a"',
    "\\",
    "a]",
    "ab c",
]
WORDS += ["\ud7ff", "\ue000", "\uffff", "\U0001d518", "\U0010ffff", "a\U0010ffff", "True", "5", "1e5", " "]
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(CHARACTERS, min_size=1, max_size=3))
NUMBERS = st.sampled_from([0, 1, -1, 5, 1.5, -2.25, 0.1, 1e300, 1e5, 2**53 + 1, float(2**53), 2**63 - 1])
DATES = [
    "2024-05-06T07:08:09Z",
    "2024-05-06T09:08:09+02:00",
    "2024-05-06T07:08:09.0000001Z",
    "2024-05-06T07:08:09.5Z",
    "2024-05-06",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "2023-12-31T23:59:59.1234567-01:00",
]
MOMENTS = ["2024-05-06T07:08:09.000000Z", "2024-05-06T07:08:09.500000Z", "2023-01-01T00:00:00.000000Z"]
IDS = ["u1", "u2", "G1", "g1", "t1", "a"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "reference": TEXTS,
    "boolean": st.booleans(),
    "integer": NUMBERS.filter(lambda value: isinstance(value, int)),
    "decimal": NUMBERS,
    "dateTime": st.sampled_from(DATES),
    "binary": st.sampled_from(["YQ==", "yq", "AAAA"]),
}
OPERATORS = {
    "string": ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"],
    "reference": ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"],
    "boolean": ["eq", "ne"],
    "integer": ["eq", "ne", "gt", "ge", "lt", "le"],
    "decimal": ["eq", "ne", "gt", "ge", "lt", "le"],
    "dateTime": ["eq", "ne", "gt", "ge", "lt", "le"],
    "binary": ["eq", "ne"],
}
INDEXED_PATHS = {
    "User": frozenset({"emails.value"}),
    "Thing": frozenset({"tags", "label", "members.many", f"{STRANGE_URN}:list"}),
}


# Random resources


def _value(attribute: Attribute, parent: Attribute | None = None) -> st.SearchStrategy[Any]:
    if attribute.kind == "complex":
        subs = {sub.name: _value(sub, attribute) for sub in attribute.sub_attributes}
        one: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=subs)
    elif parent is not None and is_identifier(parent, attribute):
        one = st.sampled_from(IDS)
    else:
        one = VALUES[attribute.kind]
    return st.lists(one, max_size=3) if attribute.multi_valued else one


def _few(attributes: Sequence[Attribute]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the attributes: small resources, so that examples stay cheap."""
    chosen = st.lists(st.sampled_from(attributes), max_size=5, unique=True)
    return chosen.flatmap(lambda found: st.fixed_dictionaries({each.name: _value(each) for each in found}))


BODIES = {
    each.name: st.builds(
        lambda core, extension, name, outside, each=each: {
            **core,
            **{schema.id: extension for schema in each.extensions[:1]},
            **({"userName": name} if each is USERS else {}),
            **({"externalId": outside} if outside else {}),
        },
        _few(each.schema.attributes),
        _few(each.extensions[0].attributes) if each.extensions else st.just({}),
        TEXTS,
        st.one_of(st.none(), TEXTS),
    )
    for each in TYPES
}


@st.composite
def populations(draw: st.DrawFn) -> list[Kept]:
    """Up to six resources of the three types with ids of their own, groups with members that may not be there."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True))
    kinds = [draw(st.sampled_from(TYPES)) for _ in ids]
    members = {
        id_: draw(st.lists(st.sampled_from(IDS), max_size=3, unique=True)) if kind is GROUPS else []
        for id_, kind in zip(ids, kinds, strict=True)
    }
    found = []
    for number, (id_, kind) in enumerate(zip(ids, kinds, strict=True), start=1):
        search = search_document(kind, normalise_resource(kind, draw(BODIES[kind.name])))
        facts = Facts(
            id_,
            kind.name,
            draw(st.sampled_from(MOMENTS)),
            draw(st.sampled_from(MOMENTS)),
            f'W/"{draw(st.integers(1, 12))}"',
            [group for group, named in members.items() if id_ in named] if kind is USERS else [],
            members[id_],
        )
        found.append(Kept(number, kind, search, facts, indexed_values(kind, search)))
    return found


def indexed_values(kind: ResourceType, search: dict[str, Any]) -> list[tuple[str, str]]:
    """What a store writes to `indexed_value`."""
    found = [("emails.value", each["value"]) for each in search.get("emails", ()) if "value" in each]
    if kind is THINGS:
        found = [("tags", each) for each in search.get("tags", ())]
        found += [("label", search["label"])] if "label" in search else []
        found += [("members.many", many) for each in search.get("members", ()) for many in each.get("many", ())]
        found += [(f"{STRANGE_URN}:list", each) for each in search.get(STRANGE_URN, {}).get("list", ())]
    return sorted(set(found))


# Random filters


def _comparisons(path: Path, attribute: Attribute, parent: Attribute | None = None) -> st.SearchStrategy[Filter]:
    kind = attribute.kind
    literal = st.sampled_from(IDS) if parent is not None and is_identifier(parent, attribute) else VALUES[kind]
    if attribute.name in ("id", "resourceType", "version", "created", "lastModified"):
        literal = st.one_of(literal, st.sampled_from([*IDS, "User", "Thing", 'W/"3"'] if kind == "string" else MOMENTS))
    return st.one_of(
        st.builds(Comparison, st.just(path), st.sampled_from(OPERATORS[kind]), literal),
        st.sampled_from([Comparison(path, "pr"), Comparison(path, "eq", None), Comparison(path, "ne", None)]),
    )


def _inside(attribute: Attribute, unusable: frozenset[str]) -> st.SearchStrategy[Filter]:
    subs = [sub for sub in attribute.sub_attributes if sub.name not in unusable]
    terms = st.one_of([_comparisons(Path(None, sub.name), sub, attribute) for sub in subs])
    return _combined(terms, 3)


@st.composite
def _combined(draw: st.DrawFn, terms: st.SearchStrategy[Filter], leaves: int) -> Filter:
    """Up to so many terms, joined and negated in any way."""
    found: list[Filter] = draw(st.lists(terms, min_size=1, max_size=leaves))
    while True:
        at = draw(st.integers(0, len(found) - 1))
        if draw(st.integers(0, 3)) == 0:
            found[at] = Not(found[at])
        if len(found) == 1:
            return found[0]
        left, right = found.pop(at), found.pop(draw(st.integers(0, len(found) - 1)))
        found.append(And(left, right) if draw(st.booleans()) else Or(left, right))


DERIVED = {
    "meta": frozenset({"location"}),
    "groups": frozenset({"$ref", "type", "display"}),
    "members": frozenset({"$ref", "type", "display"}),
    "manager": frozenset({"$ref", "displayName"}),
}


def _attribute_filters(urn: str | None, attribute: Attribute) -> st.SearchStrategy[Filter]:
    path = Path(urn, attribute.name)
    if attribute.kind != "complex":
        return _comparisons(path, attribute)
    unusable = DERIVED.get(attribute.name, frozenset())
    inner = _inside(attribute, unusable)
    found: list[st.SearchStrategy[Filter]] = [
        st.just(Comparison(path, "pr")),
        st.builds(lambda tree: ValuePath(Path(urn, attribute.name, tree)), inner),
    ]
    for sub in attribute.sub_attributes:
        if sub.name not in unusable:
            found.append(_comparisons(Path(urn, attribute.name, None, sub.name), sub, attribute))
            found.append(inner.flatmap(partial(_chosen_comparisons, urn, attribute, sub)))
    if "value" in attribute.by_name:
        found.append(_comparisons(path, attribute.by_name["value"], attribute))
    return st.one_of(found)


def _chosen_comparisons(
    urn: str | None, attribute: Attribute, sub: Attribute, tree: Filter
) -> st.SearchStrategy[Filter]:
    return _comparisons(Path(urn, attribute.name, tree, sub.name), sub, attribute)


def _terms(resource_type: ResourceType) -> st.SearchStrategy[Filter]:
    found = [
        _attribute_filters(None, attribute)
        for attribute in resource_type.core.values()
        if attribute.name not in ("password", "schemas")
    ]
    for schema in resource_type.extensions:
        found.append(st.just(Comparison(Path(schema.id, ""), "pr")))
        found += [_attribute_filters(schema.id, attribute) for attribute in schema.attributes]
    urns = st.sampled_from([*resource_type.urns, resource_type.schema.id.upper(), "2.0:User", "urn:"])
    found.append(st.builds(Comparison, st.just(Path(None, "schemas")), st.sampled_from(OPERATORS["string"]), urns))
    return st.one_of(found)


FILTERS = {each.name: _combined(_terms(each), 4) for each in TYPES}


def sort_paths(resource_type: ResourceType) -> list[str]:
    """Every path that resources of the type can be sorted by."""
    found = []
    holders = [(None, resource_type.core.values()), *((s.id, s.attributes) for s in resource_type.extensions)]
    for urn, attributes in holders:
        for attribute in attributes:
            if attribute.name in ("schemas", "password") or (
                attribute.name in ("groups", "members") and resource_type is not THINGS
            ):
                continue
            name = f"{urn}:{attribute.name}" if urn else attribute.name
            unusable = DERIVED.get(attribute.name, frozenset())
            subs = [sub for sub in attribute.sub_attributes if sub.name not in unusable and not sub.multi_valued]
            found += [name] if attribute.kind != "complex" else [f"{name}.{sub.name}" for sub in subs]
    return [path for path in found if "'" not in path]
