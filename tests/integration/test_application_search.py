"""Filters and orders in SQL find on both databases what they mean in memory."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joiner.application.search.filters import compile_filter
from joiner.application.search.orders import CREATION, Order, compile_after, compile_order
from joiner.scim.conditions import bind_filter
from joiner.scim.core import COMMON, GROUPS, USERS
from joiner.scim.errors import InvalidFilterError
from joiner.scim.evaluation import Facts, matches
from joiner.scim.grammar import parse_filter
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.sorting import Sort, SortKey, parse_sort, sort_value
from joiner.scim.tree import Comparison, Filter, Path
from tests.search_databases import Database, Kept, fill, fill_with_many, opened_postgresql, opened_sqlite
from tests.searching import FILTERS, INDEXED_PATHS, MOMENTS, THINGS, TYPES, populations, sort_paths
from tests.services import PostgreSQL

RANDOM = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

FACTS = Facts("i1", "User", MOMENTS[0], MOMENTS[1], 'W/"1"')


def several_filters(resource_type: ResourceType) -> st.SearchStrategy[tuple[ResourceType, list[Filter]]]:
    return st.tuples(st.just(resource_type), st.lists(FILTERS[resource_type.name], min_size=1, max_size=5))


def sorted_by(types: list[ResourceType]) -> st.SearchStrategy[tuple[list[ResourceType], str]]:
    return st.tuples(st.just(types), st.sampled_from(sort_paths(types[0])))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        with opened_sqlite() as sqlite:
            yield sqlite
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with opened_postgresql(server.url()) as postgresql:
        yield postgresql


def found_by_sql(database: Database, types: Sequence[ResourceType], tree: Filter) -> list[int]:
    condition = compile_filter(types, tree, database.dialect, indexed_paths=INDEXED_PATHS)
    kind = "r.type = ?2" if len(types) == 1 else "r.type <> ?2"
    value = types[0].name if len(types) == 1 else ""
    sql = f"SELECT r.number FROM resource r WHERE r.connection_id = ?1 AND {kind} AND {condition.sql} ORDER BY r.number"
    return [row[0] for row in database.run(sql, "c", value, *condition.values)]


def found_in_memory(population: Sequence[Kept], types: Sequence[ResourceType], tree: Filter) -> list[int]:
    meanings = {each: bind_filter(tree, each, unknown_is_unassigned=len(types) > 1) for each in types}
    return [
        each.number
        for each in population
        if each.resource_type in meanings and matches(meanings[each.resource_type], each.search, each.facts)
    ]


@pytest.mark.req("REQ-S-130", "REQ-S-134", "REQ-S-137", "REQ-S-139", "REQ-S-143", "REQ-S-146", "REQ-S-160")
@RANDOM
@given(asked=st.sampled_from(TYPES).flatmap(several_filters), population=populations())
def test_a_database_finds_by_any_filter_what_it_means(
    database: Database, asked: tuple[ResourceType, list[Filter]], population: list[Kept]
) -> None:
    fill(database, population)
    resource_type, trees = asked
    for tree in trees:
        assert found_by_sql(database, [resource_type], tree) == found_in_memory(population, [resource_type], tree)


@pytest.mark.req("REQ-S-116", "REQ-S-117")
@RANDOM
@given(tree=st.one_of(FILTERS["User"], FILTERS["Group"]), population=populations())
def test_a_query_over_several_types_finds_in_each_what_the_filter_means_there(
    database: Database, tree: Filter, population: list[Kept]
) -> None:
    fill(database, population)
    types = [USERS, GROUPS]
    assert found_by_sql(database, types, tree) == found_in_memory(population, types, tree)


@pytest.mark.req("REQ-S-170", "REQ-S-171", "REQ-S-172", "REQ-S-184")
@RANDOM
@given(
    asked=st.sampled_from([[USERS], [GROUPS], [THINGS], [USERS, GROUPS], [THINGS, USERS]]).flatmap(sorted_by),
    population=populations(),
    order=st.sampled_from(["ascending", "descending"]),
)
def test_a_database_sorts_and_pages_as_the_order_means(
    database: Database, asked: tuple[list[ResourceType], str], population: list[Kept], order: str
) -> None:
    fill(database, population)
    types, path = asked
    sort = parse_sort(types, path, order)
    expected = sorted_in_memory(population, types, sort)
    compiled = compile_order(types, sort, database.dialect)
    assert walked(database, types, compiled, count=100) == expected
    assert walked(database, types, compiled, count=1) == expected


@RANDOM
@given(population=populations())
def test_without_an_order_resources_come_as_they_were_created(database: Database, population: list[Kept]) -> None:
    fill(database, population)
    types = list(TYPES)
    assert compile_order(types, None, database.dialect) == CREATION
    assert walked(database, types, CREATION, count=2) == [each.number for each in population]


@pytest.mark.req("REQ-S-130", "REQ-S-170")
def test_texts_are_in_the_order_of_code_points_whatever_the_database_is_used_to(database: Database) -> None:
    texts = ["a", "B", "_", "Z", "é", "z", "a b", "ab", "\U0001d518", "\uffff"]
    kept = [
        Kept(number, USERS, {"externalId": text, "title": text}, replace(FACTS, id=text))
        for number, text in enumerate(texts, start=1)
    ]
    fill(database, kept)
    in_order = [texts.index(text) + 1 for text in sorted(texts)]
    for path in ("externalId", "title", "id"):
        order = compile_order([USERS], parse_sort([USERS], path, None), database.dialect)
        assert walked(database, [USERS], order, count=3) == in_order
    for path in ("externalId", "id"):
        for operator in ("gt", "le"):
            tree = Comparison(Path(None, path), operator, "a")
            assert found_by_sql(database, [USERS], tree) == found_in_memory(kept, [USERS], tree)


INDEXED: list[tuple[ResourceType, str, str]] = [
    (USERS, 'id eq "User1"', r"\(?id = "),
    (USERS, 'userName eq "n1"', "by_name"),
    (USERS, 'userName sw "n29"', "by_name"),
    (USERS, 'displayName eq "d1"', "by_display_name"),
    (USERS, 'displayName sw "d29"', "by_display_name"),
    (USERS, 'externalId eq "e1"', "by_external_id"),
    (USERS, 'manager eq "m1" and title co "b"', "by_manager"),
    (USERS, 'emails eq "v1"', "indexed_value"),
    (USERS, 'emails[type eq "work"].value eq "v1"', "indexed_value"),
    (USERS, 'emails[type eq "work" and value eq "v1"] and active eq true', "indexed_value"),
    (USERS, 'groups eq "Group1"', "membership"),
    (GROUPS, 'displayName eq "d1"', "by_display_name"),
    (GROUPS, 'members eq "User1"', "membership_by_member"),
]


@pytest.mark.req("REQ-S-057", "REQ-S-154")
def test_what_is_said_to_be_indexed_is_not_answered_by_reading_everything(database: Database) -> None:
    fill_with_many(database)
    for resource_type, filter_, index in INDEXED:
        condition = compile_filter([resource_type], parse_filter(filter_), database.dialect)
        assert condition.is_indexed
        sql = f"SELECT r.number FROM resource r WHERE r.connection_id = ?1 AND r.type = ?2 AND {condition.sql}"
        values = ("c", resource_type.name, *condition.values)
        plan = plan_of(database, sql, values)
        assert re.search(index.replace(" = ", "[ =]+"), plan), (filter_, plan)
        # Reading all of a type: by no index, or by one without anything behind the type.
        assert not re.search(r"Seq Scan on resource r|SCAN r\b|type=\?\)", plan), (filter_, plan)
        assert "Index Cond: ((connection_id = 'c'::text) AND (type = 'User'::text))" not in plan, (filter_, plan)


def plan_of(database: Database, sql: str, values: tuple[Any, ...]) -> str:
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    return "\n".join(str(row[-1]) for row in database.run(f"{explain} {sql}", *values))


HOSTILE = [
    "x' OR 1=1; DROP TABLE resource; --",
    "' OR '1'='1",
    "%",
    "a\\' OR TRUE --",
    "?1",
    "$1",
    "\"}') OR TRUE --",
    "{x,y}",
]


@pytest.mark.req("REQ-S-158")
@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("path", ["userName", "title", "emails.value", "externalId", "groups", "name.familyName"])
def test_a_value_cannot_alter_the_query(database: Database, path: str, value: str) -> None:
    harmless = Kept(1, USERS, {"userName": "a", "title": "b", "emails": [{"value": "c"}]}, FACTS)
    hostile = Kept(2, USERS, search_of(value), replace(FACTS, id="i2"), [("emails.value", value.lower())])
    fill(database, [harmless, hostile])
    for operator in ("eq", "co", "sw", "ew"):
        tree = parse_filter(f"{path} {operator} {orjson.dumps(value).decode()}")
        expected = [] if path == "groups" else [2]
        assert found_by_sql(database, [USERS], tree) == expected


@pytest.mark.req("REQ-S-158")
def test_the_names_of_schemas_cannot_alter_the_query(database: Database) -> None:
    urn = "urn:x'?1,$1{}:2.0:O"
    attribute = Attribute("a'?2 OR TRUE")
    kind = ResourceType("T'?1", "/T", "", Schema("urn:t", "T", "", ()), (Schema(urn, "O", "", (attribute,)),), COMMON)
    kept = [Kept(1, kind, {urn: {attribute.name: "x"}}, replace(FACTS, type=kind.name)), Kept(2, kind, {}, FACTS)]
    fill(database, kept[:1])
    for tree, found in (
        (Comparison(Path(urn, attribute.name), "eq", "X"), [1]),
        (Comparison(Path(urn, attribute.name), "eq", "y"), []),
        (Comparison(Path(urn, attribute.name), "pr"), [1]),
    ):
        assert found_by_sql(database, [kind], tree) == found
    sort = Sort({kind.name: SortKey((urn, attribute.name), "string")})
    order = compile_order([kind, USERS], sort, database.dialect)
    assert database.run(
        f"SELECT r.number, {order.expression} FROM resource r WHERE r.connection_id = ?1 {order.sql}", "c"
    ) == [(1, "x")]
    quote = ResourceType("T", "/T", "", Schema("urn:t", "T", "", (Attribute('a"b'),)), (), COMMON)
    if database.dialect == "sqlite":
        with pytest.raises(InvalidFilterError):
            compile_filter([quote], Comparison(Path(None, 'a"b'), "pr"), "sqlite")


def search_of(value: str) -> dict[str, Any]:
    folded = value.lower()
    return {
        "userName": folded,
        "title": folded,
        "externalId": value,
        "name": {"familyName": folded},
        "emails": [{"value": folded}],
    }


def sorted_in_memory(population: Sequence[Kept], types: Sequence[ResourceType], sort: Sort) -> list[int]:
    with_value: list[tuple[Any, int]] = []
    without: list[tuple[Any, int]] = []
    for each in population:
        if each.resource_type in types:
            key = sort.keys.get(each.facts.type)
            value = None if key is None else sort_value(key, each.search, each.facts)
            (without if value is None else with_value).append((value, each.number))
    with_value.sort(key=lambda pair: pair[0], reverse=sort.descending)
    pairs = [*without, *with_value] if sort.descending else [*with_value, *without]
    return [number for _, number in pairs]


def walked(database: Database, types: Sequence[ResourceType], order: Order, count: int) -> list[int]:
    """The numbers of all pages of `count`, one after the other."""
    names = ", ".join(f"'{each.name}'" for each in types)
    found: list[int] = []
    place: tuple[Any, int] | None = None
    while True:
        after = "TRUE"
        values: tuple[Any, ...] = ()
        if place is not None:
            behind = compile_after(order, place, 2)
            after, values = behind.sql, behind.values
        rows = database.run(
            f"SELECT r.number, {order.expression} FROM resource r WHERE r.connection_id = ?1 AND r.type IN ({names})"
            f" AND {after} {order.sql} LIMIT {count}",
            "c",
            *values,
        )
        found += [row[0] for row in rows]
        if len(rows) < count:
            return found
        place = rows[-1][1], rows[-1][0]
