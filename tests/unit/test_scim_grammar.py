"""Filters and paths of SCIM: what parses prints back to itself, what does not is refused in SCIM's terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import USERS
from joiner.scim.elements import element_of, matches
from joiner.scim.errors import InvalidFilterError, InvalidPathError
from joiner.scim.grammar import parse_filter, parse_path
from joiner.scim.tree import And, Comparison, Filter, Not, Or, Path, ValuePath

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,6}", fullmatch=True).filter(
    lambda name: name.lower() not in ("and", "or", "not", "urn")
)
VALUES = st.one_of(st.text(max_size=8), st.booleans(), st.none(), st.integers(-(10**6), 10**6))
OPERATORS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])
INNER = st.builds(Comparison, st.builds(Path, st.none(), NAMES), OPERATORS, VALUES)
PATHS = st.one_of(
    st.builds(Path, st.sampled_from([None, ENTERPRISE]), NAMES, st.none(), st.one_of(st.none(), NAMES)),
    st.builds(Path, st.none(), NAMES, INNER, NAMES),
)
TERMS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Comparison, PATHS, OPERATORS, VALUES),
    st.builds(lambda path: Comparison(path, "pr"), PATHS),
    st.builds(ValuePath, st.builds(Path, st.none(), NAMES, INNER)),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    TERMS,
    lambda inner: st.one_of(st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Not, inner)),
    max_leaves=5,
)


@given(FILTERS)
def test_a_printed_filter_parses_to_an_equal_one(tree: Filter) -> None:
    assert parse_filter(str(tree)) == tree


@given(st.text(alphabet="aeq[]()\"' .:$\\1notrud", max_size=40))
def test_no_text_makes_the_parser_fail_in_any_other_way(text: str) -> None:
    for parse in (parse_filter, parse_path):
        try:
            parse(text)
        except (InvalidFilterError, InvalidPathError):
            continue


@pytest.mark.req("REQ-S-132", "REQ-S-133")
def test_and_binds_tighter_than_or_and_brackets_tighter_than_both() -> None:
    a, b, c = (Comparison(Path(None, name), "pr") for name in "abc")
    assert parse_filter("a pr or b pr and c pr") == Or(a, And(b, c))
    assert parse_filter("(a pr or b pr) and c pr") == And(Or(a, b), c)
    assert parse_filter("not(a pr) and NOT (b pr)") == And(Not(a), Not(b))


@pytest.mark.req("REQ-S-253", "REQ-S-254", "REQ-S-140", "REQ-S-141")
@pytest.mark.parametrize(
    "text",
    [
        "members",
        "name.familyName",
        'emails[type eq "work"]',
        'emails[type eq "a.b]c" and value co "@"].value',
        f"{ENTERPRISE}:manager.value",
        f"{ENTERPRISE}:department",
        ENTERPRISE,
        "urn:custom:ext:2.0:User:field.sub",
        "$ref",
    ],
)
def test_every_form_of_a_path_prints_back(text: str) -> None:
    assert str(parse_path(text)) == text


def test_a_urn_is_found_whatever_its_case_and_mark() -> None:
    assert parse_path(f"{ENTERPRISE.upper()}:manager") == Path(ENTERPRISE, "manager")
    assert parse_path(f"{ENTERPRISE}.manager") == Path(ENTERPRISE, "manager")


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", "a[b", "a]b", "a b", "1a", 'a[b eq "c"]d', "a.b.c", "é"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises((InvalidPathError, InvalidFilterError)):
        parse_path(text)


EMAILS = USERS.core["emails"]
CERTIFICATES = USERS.core["x509certificates"]
WORK = {"type": "work", "value": "Ada@X.example", "primary": True}


@pytest.mark.req("REQ-S-130", "REQ-S-137", "REQ-S-143", "REQ-S-144", "REQ-S-147")
@pytest.mark.parametrize(
    ("filter_", "holds"),
    [
        ('type eq "WORK"', True),
        ('type ne "home"', True),
        ('value co "@x"', True),
        ('value sw "ada"', True),
        ('value ew "bob"', False),
        ("primary eq true", True),
        ('primary eq "True"', True),
        ("display pr", False),
        ("display eq null", True),
        ("display ne null", False),
        ('value gt "a" and value lt "b"', True),
        ('display co "x" or not (type eq "home")', True),
    ],
)
def test_elements_meet_filters(filter_: str, holds: bool) -> None:
    assert matches(parse_filter(filter_, inside_brackets=True), EMAILS, WORK) is holds


@pytest.mark.req("REQ-S-145")
@pytest.mark.parametrize(
    "filter_", ["primary gt true", "nothing eq 1", 'primary eq "perhaps"', "value gt null", "primary co true"]
)
def test_what_a_filter_cannot_ask_of_an_element_is_refused(filter_: str) -> None:
    with pytest.raises(InvalidFilterError):
        matches(parse_filter(filter_, inside_brackets=True), EMAILS, WORK)


def test_an_element_is_made_from_eq_terms_only() -> None:
    made = element_of(parse_filter('type eq "work" and primary eq "True"'), EMAILS)
    assert made == {"type": "work", "primary": True}
    assert element_of(parse_filter('type eq "work" or type eq "home"'), EMAILS) is None
    assert CERTIFICATES.by_name["value"].kind == "binary"
