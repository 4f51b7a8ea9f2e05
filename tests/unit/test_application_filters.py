"""Filters as SQL: what becomes of values, marks and prefixes, and what counts as indexed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.application.search.filters import compile_filter
from joiner.application.search.orders import compile_after, compile_order
from joiner.scim.core import GROUPS, USERS
from joiner.scim.errors import InvalidFilterError
from joiner.scim.grammar import parse_filter, parse_path
from joiner.scim.schemas import ResourceType
from joiner.scim.sorting import parse_sort
from joiner.scim.tree import Comparison
from joiner.storage.session import Dialect

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=4)


@pytest.mark.req("REQ-S-159", "REQ-S-134")
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("resource_type", "filter_", "sql", "values"),
    [
        (USERS, 'userName eq "MARTA"', "r.name_key = ?3", ("marta",)),
        (USERS, 'USERNAME eq "MARTA"', "r.name_key = ?3", ("marta",)),
        (USERS, 'externalId eq "MLopez"', "r.external_id = ?3", ("MLopez",)),
        (USERS, 'id eq "Id"', "r.id = ?3", ("Id",)),
        (USERS, 'displayName eq "Straße"', "r.display_key = ?3", ("strasse",)),
        (GROUPS, 'displayName eq "Team"', "r.display_key = ?3", ("team",)),
        (USERS, "active eq true", "r.active = ?3", (1,)),
    ],
)
def test_an_equality_is_the_shortest_sql_there_is(
    dialect: Dialect, resource_type: ResourceType, filter_: str, sql: str, values: tuple[Any, ...]
) -> None:
    condition = compile_filter([resource_type], parse_filter(filter_), dialect)
    assert condition.sql.replace("::text", "") == sql
    assert condition.values == values
    assert condition.is_indexed is (filter_ != "active eq true")


@pytest.mark.req("REQ-S-158")
@given(TEXTS, st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt"]), st.sampled_from(["sqlite", "postgresql"]))
def test_a_value_is_never_part_of_the_sql(value: str, operator: str, dialect: Dialect) -> None:
    marked = f"Q{value}Q"
    for path in ("userName", "title", "emails.value", "groups", "id"):
        known = parse_path(path)
        sql = {compile_filter([USERS], Comparison(known, operator, each), dialect).sql for each in (marked, "x")}
        assert len(sql) == 1


def test_marks_are_numbered_from_where_the_caller_says() -> None:
    for filter_ in ('userName eq "a"', 'title eq "a"', 'emails[type eq "work"].value eq "b" and userName sw "c"'):
        third = compile_filter([USERS], parse_filter(filter_), "sqlite")
        ninth = compile_filter([USERS], parse_filter(filter_), "sqlite", first_mark=9)
        assert ninth.values == third.values
        for number in range(len(third.values)):
            assert f"?{9 + number}" in ninth.sql
            assert f"?{3 + number}" in third.sql


@pytest.mark.parametrize(
    ("prefix", "following"),
    [
        ("a", "b"),
        ("ab", "ac"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("z", "{"),
    ],
)
def test_what_begins_with_a_text_is_a_range_up_to_the_next_text(prefix: str, following: str | None) -> None:
    condition = compile_filter([USERS], parse_filter(f'userName sw "{prefix}"'), "sqlite")
    assert condition.values == ((prefix, following) if following else (prefix,))
    assert condition.is_indexed


@pytest.mark.parametrize(
    ("filter_", "is_indexed"),
    [
        ('userName eq "a" and title co "b"', True),
        ('title co "b" and (active eq true and id eq "a")', True),
        ('userName eq "a" or id eq "b"', False),
        ('userName eq "a" or title eq "b"', False),
        ('userName eq "a" or emails eq "b"', False),
        ('not (userName eq "a")', False),
        ('userName ne "a"', False),
        ('userName co "a"', False),
        ('userName gt "a"', False),
        ('externalId sw "a"', False),
        ('emails.value co "a"', False),
        ('emails.type eq "a"', False),
        ('emails[type eq "work" or value eq "a"]', False),
        ('emails[not (value eq "a")]', False),
        ('emails[value eq "a"].type ne "b"', False),
        ("groups pr", False),
        ('groups[value eq "a"]', True),
        ('schemas eq "urn:x"', True),
    ],
)
def test_only_what_an_index_answers_counts_as_indexed(filter_: str, is_indexed: bool) -> None:
    assert compile_filter([USERS], parse_filter(filter_), "sqlite").is_indexed is is_indexed


@pytest.mark.req("REQ-S-116", "REQ-S-117")
def test_a_query_over_several_types_leaves_out_those_that_cannot_match() -> None:
    tree = parse_filter('meta.resourceType eq "Group" and displayName eq "a"')
    condition = compile_filter([USERS, GROUPS], tree, "sqlite")
    assert condition.sql == "(r.type = ?3 AND r.display_key = ?4)"
    assert condition.values == ("Group", "a")
    assert condition.is_indexed
    assert compile_filter([USERS, GROUPS], parse_filter("nothing pr"), "sqlite").sql == "FALSE"
    with pytest.raises(InvalidFilterError):
        compile_filter([USERS], parse_filter("nothing pr"), "sqlite")


@pytest.mark.req("REQ-S-151", "REQ-S-147")
def test_a_strict_query_takes_no_literal_of_another_type() -> None:
    tree = parse_filter('active eq "True"')
    assert compile_filter([USERS], tree, "sqlite").values == (1,)
    with pytest.raises(InvalidFilterError):
        compile_filter([USERS], tree, "sqlite", strict=True)


@pytest.mark.req("REQ-S-171", "REQ-S-184")
@pytest.mark.parametrize(
    ("sort_order", "place", "sql", "values"),
    [
        (
            "ascending",
            ("a", 5),
            "(r.name_key > ?7 OR (r.name_key = ?7 AND r.number > ?8) OR r.name_key IS NULL)",
            ("a", 5),
        ),
        ("ascending", (None, 5), "(r.name_key IS NULL AND r.number > ?7)", (5,)),
        ("descending", ("a", 5), "(r.name_key < ?7 OR (r.name_key = ?7 AND r.number > ?8))", ("a", 5)),
        ("descending", (None, 5), "((r.name_key IS NULL AND r.number > ?7) OR r.name_key IS NOT NULL)", (5,)),
    ],
)
def test_the_next_page_begins_behind_a_value_and_a_number(
    sort_order: str, place: tuple[Any, int], sql: str, values: tuple[Any, ...]
) -> None:
    order = compile_order([USERS], parse_sort([USERS], "userName", sort_order), "sqlite")
    condition = compile_after(order, place, 7)
    assert (condition.sql, condition.values) == (sql, values)
