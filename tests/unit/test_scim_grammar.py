"""Filters and paths of SCIM: what parses prints back to itself, what does not is refused in SCIM's terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import USERS
from joiner.scim.errors import InvalidFilterError, InvalidPathError
from joiner.scim.grammar import DEEPEST, LONGEST, MOST_TERMS, parse_filter, parse_path
from joiner.scim.targets import described_element, element_filter
from joiner.scim.tree import And, Comparison, Filter, Not, Or, Path, ValuePath

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
NAMES = st.from_regex(r"[A-Za-z$][A-Za-z0-9$_-]{0,6}", fullmatch=True).filter(
    lambda name: name.lower() not in ("and", "or", "not", "urn")
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = TEXTS | st.booleans() | st.none() | NUMBERS | st.sampled_from(["null", "1e5", "-0", "a]b", "a'b", "'", '\\"'])
OPERATORS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])


@st.composite
def filters(draw: st.DrawFn, most_terms: int = 6, brackets: int = 1) -> Filter:
    """Terms joined and negated in any way, less deep than is allowed."""
    found = [draw(terms(brackets)) for _ in range(draw(st.integers(1, most_terms)))]
    while True:
        at = draw(st.integers(0, len(found) - 1))
        if draw(st.integers(0, 3)) == 0:
            found[at] = Not(found[at])
        if len(found) == 1:
            return found[0]
        left, right = found.pop(at), found.pop(draw(st.integers(0, len(found) - 1)))
        found.append(And(left, right) if draw(st.booleans()) else Or(left, right))


@st.composite
def terms(draw: st.DrawFn, brackets: int) -> Filter:
    inner = draw(filters(3, 0)) if brackets and draw(st.booleans()) else None
    urn = draw(st.sampled_from([None, ENTERPRISE, "urn:example:2.0:Thing"]))
    path = Path(urn, draw(NAMES), inner, draw(st.none() | NAMES))
    if inner is not None and path.sub_attribute is None:
        return ValuePath(path)
    return draw(st.builds(Comparison, st.just(path), OPERATORS, VALUES) | st.just(Comparison(path, "pr")))


@given(filters())
def test_a_printed_filter_parses_to_an_equal_one(tree: Filter) -> None:
    assert repr(parse_filter(str(tree))) == repr(tree)
    assert repr(parse_filter(str(tree), strict=True)) == repr(tree)


@given(NAMES, filters(3, 0), st.none() | NAMES)
def test_a_printed_path_parses_to_an_equal_one(name: str, tree: Filter, sub: str | None) -> None:
    path = Path(ENTERPRISE, name, tree, sub)
    assert repr(parse_path(str(path), strict=True)) == repr(path)


def test_a_chain_as_long_as_is_allowed_prints_back() -> None:
    for word in ("and", "or"):
        text = f" {word} ".join(f"a{number} pr" for number in range(MOST_TERMS))
        assert str(parse_filter(text)) == text


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


@pytest.mark.req("REQ-S-255")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a[b eq", InvalidPathError),
        ("a[b eq 1", InvalidPathError),
        ("a[b pr) ]", InvalidPathError),
        ("a[b pr]c", InvalidPathError),
        ("a[b pr].", InvalidPathError),
        ("a.b[c pr]", InvalidPathError),
        (f"{ENTERPRISE}[c pr]", InvalidPathError),
        ("urn:example:", InvalidPathError),
        ("a[]", InvalidFilterError),
        ("a[b xx 1]", InvalidFilterError),
        ("a[b[c pr] pr]", InvalidFilterError),
    ],
)
def test_a_damaged_path_and_a_bad_filter_in_it_are_told_apart(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_path(text)


def term(name: str, value: object, operator: str = "eq") -> Comparison:
    return Comparison(Path(None, name), operator, value)  # type: ignore[arg-type] # any literal


@pytest.mark.req("REQ-S-131")
@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A PR AND b Pr", And(Comparison(Path(None, "A"), "pr"), Comparison(Path(None, "b"), "pr"))),
        ("a pr OR nOt(b pr)", Or(Comparison(Path(None, "a"), "pr"), Not(Comparison(Path(None, "b"), "pr")))),
        ('a EQ "x"', term("a", "x")),
        ("a Gt TRUE", term("a", True, "gt")),
        ("a ne Null", term("a", None, "ne")),
    ],
)
def test_keywords_are_understood_in_any_case(text: str, tree: Filter) -> None:
    assert repr(parse_filter(text)) == repr(tree)


@pytest.mark.req("REQ-S-132")
def test_and_and_or_join_from_the_left() -> None:
    a, b, c = (Comparison(Path(None, name), "pr") for name in "abc")
    assert parse_filter("a pr and b pr and c pr") == And(And(a, b), c)
    assert parse_filter("a pr or b pr or c pr") == Or(Or(a, b), c)
    assert parse_filter("a pr or not (b pr) and c pr") == Or(a, And(Not(b), c))


@pytest.mark.req("REQ-S-150")
@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"O\u0027Malley"', "O'Malley"),
        (r'"say \"x\" \\ \/ \n\t"', 'say "x" \\ / \n\t'),
        ('"é 日本 😀"', "é 日本 😀"),
        (r'"\ud83d\ude00"', "😀"),
        ('"a)b]c[ and not"', "a)b]c[ and not"),
        ('""', ""),
        ("-12", -12),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_literals_are_those_of_json(literal: str, value: object) -> None:
    for strict in (False, True):
        assert repr(parse_filter(f"a eq {literal}", strict=strict)) == repr(term("a", value))
        assert repr(parse_path(f"a[b eq {literal}]", strict=strict).filter) == repr(term("b", value))


@pytest.mark.req("REQ-S-151")
@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("O", "O"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("'x y'", "x y"),
        ("'a\"b'", 'a"b'),
        ("O'Malley", "O'Malley"),
        ("1e5", "1e5"),
        ("007", "007"),
        ("and", "and"),
        ("a[0]", "a[0]"),
    ],
)
def test_literals_without_double_quotes_are_text_unless_it_is_strict(literal: str, value: str) -> None:
    assert repr(parse_filter(f"(a eq {literal}) and b pr")) == repr(
        And(term("a", value), Comparison(Path(None, "b"), "pr"))
    )
    if literal != "1e5":
        with pytest.raises(InvalidFilterError):
            parse_filter(f"a eq {literal}", strict=True)


@pytest.mark.req("REQ-S-151", "REQ-S-254")
def test_text_in_the_brackets_of_a_path_may_hold_a_bracket_in_any_quotes() -> None:
    path = Path(None, "emails", term("type", "a]b"), "value")
    assert parse_path("emails[type eq 'a]b'].value") == parse_path('emails[type eq "a]b"].value') == path
    assert parse_path("emails[type eq work].value") == Path(None, "emails", term("type", "work"), "value")
    with pytest.raises(InvalidFilterError):
        parse_path("emails[type eq 'a]b'].value", strict=True)


@pytest.mark.req("REQ-S-133", "REQ-S-142", "REQ-S-148", "REQ-S-156")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "too early"),
        ("   ", "too early"),
        ("a", "operator"),
        ("a eq", "no value"),
        ("a eq )", "not a value"),
        ("a xx 1", "'xx'"),
        ("a == 1", "'=='"),
        ("a pr and", "too early"),
        ("a pr or or b pr", "'or'"),
        ("a pr b pr", "'b pr'"),
        ('a eq "x" "y"', '"y"'),
        ("(a pr", "not closed"),
        ("a pr)", "')'"),
        ("()", "')'"),
        ("not a pr", "bracket"),
        ('not eq "x"', "bracket"),
        ("not", "bracket"),
        ("and pr", "'and'"),
        ("a[b[c pr] pr]", "square brackets"),
        ("a[b pr", "not closed"),
        ("a[b pr)", "not closed"),
        ("a[]", "attribute"),
        ("a.b[c pr]", "a.b"),
        ("a[b pr]x", "'x'"),
        ("a[b pr].c", "operator"),
        ("a.b.c pr", "a.b.c"),
        ("1a pr", "'1a pr'"),
        ('a eq "x', "value"),
        ('a eq "\\x"', "JSON"),
        ('a eq "\n"', "JSON"),
        ("a eq 1e999", "too large"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        parse_filter(text)
    assert named in str(caught.value)


@pytest.mark.req("REQ-S-157", "REQ-S-342")
@pytest.mark.parametrize("text", ['a eq "\x00"', 'a eq "\\u0000"', 'a eq "\\ud800"', 'a eq "\ud800"', "a eq '\ud800'"])
def test_what_no_text_contains_is_refused_in_a_form_that_can_be_answered(text: str) -> None:
    for parse in (lambda: parse_filter(text), lambda: parse_path(f"x[{text}]")):
        with pytest.raises((InvalidFilterError, InvalidPathError)) as caught:
            parse()
        assert str(caught.value).encode()


@pytest.mark.req("REQ-S-157")
def test_length_depth_and_number_of_terms_are_limited() -> None:
    def nested(levels: int) -> str:
        return "(" * levels + "a pr" + ")" * levels

    longest = 'a eq "' + "x" * (LONGEST - 7) + '"'
    assert parse_filter(longest)
    assert parse_filter(nested(DEEPEST))
    assert parse_filter(f"{'(' * 4}a[{'(' * 5}b pr{')' * 5}]{')' * 4}")
    assert parse_filter(" or ".join(["a pr"] * MOST_TERMS))
    for text in (
        longest + " ",
        nested(DEEPEST + 1),
        "not(" * (DEEPEST + 1) + "a pr" + ")" * (DEEPEST + 1),
        f"{'(' * 5}a[{'(' * 5}b pr{')' * 5}]{')' * 5}",
        " or ".join(["a pr"] * (MOST_TERMS + 1)),
        "a[" + " or ".join(["b pr"] * (MOST_TERMS + 1)) + "]",
    ):
        with pytest.raises(InvalidFilterError):
            parse_filter(text)
    with pytest.raises(InvalidPathError):
        parse_path("a" * (LONGEST + 1))
    with pytest.raises(InvalidFilterError):
        parse_path(f"a[{nested(DEEPEST)}]")


@pytest.mark.req("REQ-S-135")
def test_a_urn_of_a_custom_schema_is_found_when_it_is_given() -> None:
    urn = "urn:example:hr/people:2.0:Team"
    assert parse_filter(f"{urn.upper()}.lead pr", urns=[urn]) == Comparison(Path(urn, "lead"), "pr")
    assert parse_filter(f"{urn}:lead.name pr") == Comparison(Path(urn, "lead", None, "name"), "pr")
    assert parse_filter(f"{urn} pr", urns=[urn]) == Comparison(Path(urn, ""), "pr")


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
    assert element_filter(EMAILS, parse_filter(filter_, inside_brackets=True))(WORK) is holds


@pytest.mark.req("REQ-S-145")
@pytest.mark.parametrize(
    "filter_", ["primary gt true", "nothing eq 1", 'primary eq "perhaps"', "value gt null", "primary co true"]
)
def test_what_a_filter_cannot_ask_of_an_element_is_refused(filter_: str) -> None:
    with pytest.raises(InvalidFilterError):
        element_filter(EMAILS, parse_filter(filter_, inside_brackets=True))


def test_an_element_is_made_from_eq_terms_only() -> None:
    made = described_element(EMAILS, parse_filter('type eq "work" and primary eq "True"'))
    assert made == {"type": "work", "primary": True}
    assert described_element(EMAILS, parse_filter('type eq "work" or type eq "home"')) is None
    assert CERTIFICATES.by_name["value"].kind == "binary"
