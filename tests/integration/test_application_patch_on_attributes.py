"""Operations on the attributes of users do what RFC 7644 §3.5.2 says, as a plain model of it does it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.endpoints import Endpoint, running_endpoint
from tests.scim_client import CORE, ENTERPRISE, PATCH, Client
from tests.services import PostgreSQL

RANDOM = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NUMBERS = count()

Element = Mapping[str, Any]
State = Mapping[str, Any]
"""The attributes of a user that have a value."""
Change = Callable[[State], State]
Choice = tuple[str, Callable[[Element], bool], Element | None]
"""A filter, what it chooses, and the element that it describes, None if it describes none."""


class NoTargetError(Exception):
    """What was to be changed is not there."""


@dataclass(frozen=True)
class Asked:
    """One operation, and what it does."""

    operation: Mapping[str, Any]
    change: Change


def with_value(state: State, name: str, value: Any) -> State:
    rest = {key: held for key, held in state.items() if key != name}
    return rest if value in (None, {}, []) else {**rest, name: value}


# Attributes with one value, and the parts of those that have parts

TEXTS = st.sampled_from(["a", "b", "C", "é", "O'Malley"])
SETTING = st.sampled_from(["add", "Add", "replace", "REPLACE"])
SIMPLE = st.sampled_from(["title", "nickName", "displayName", "userType"])
SPELLINGS = st.sampled_from([str, str.upper, f"{CORE}:{{}}".format])
PARTS = st.sampled_from(["givenName", "familyName", "middleName"])
EXTRA = st.sampled_from(["department", "costCenter", "division"])


def setting(name: str, value: Any) -> Change:
    return lambda state: with_value(state, name, value)


def merging(name: str, parts: Mapping[str, Any]) -> Change:
    """Parts that are not named stay."""
    return lambda state: with_value(state, name, {**state.get(name, {}), **parts})


def without_part(name: str, part: str) -> Change:
    return lambda state: with_value(state, name, {key: v for key, v in state.get(name, {}).items() if key != part})


def in_order(*changes: Change) -> Change:
    def change(state: State) -> State:
        for each in changes:
            state = each(state)
        return state

    return change


NAMES = st.dictionaries(PARTS, TEXTS, min_size=1)
SINGULAR = st.one_of(
    st.builds(
        lambda verb, name, spelt, text: Asked({"op": verb, "path": spelt(name), "value": text}, setting(name, text)),
        SETTING,
        SIMPLE,
        SPELLINGS,
        TEXTS,
    ),
    st.builds(lambda name: Asked({"op": "replace", "path": name, "value": None}, setting(name, None)), SIMPLE),
    st.builds(lambda name: Asked({"op": "Remove", "path": name}, setting(name, None)), SIMPLE),
    st.builds(
        lambda verb, parts: Asked({"op": verb, "path": "name", "value": parts}, merging("name", parts)), SETTING, NAMES
    ),
    st.builds(
        lambda verb, parts: Asked({"op": verb, "value": {"Name": parts}}, merging("name", parts)), SETTING, NAMES
    ),
    st.builds(
        lambda verb, part, text: Asked(
            {"op": verb, "path": f"name.{part}", "value": text}, merging("name", {part: text})
        ),
        SETTING,
        PARTS,
        TEXTS,
    ),
    st.builds(
        lambda verb, part, text, title: Asked(
            {"op": verb, "value": {f"name.{part}": text, "title": title}},
            in_order(merging("name", {part: text}), setting("title", title)),
        ),
        SETTING,
        PARTS,
        TEXTS,
        TEXTS,
    ),
    st.builds(lambda part: Asked({"op": "remove", "path": f"name.{part}"}, without_part("name", part)), PARTS),
    st.just(Asked({"op": "remove", "path": "name"}, setting("name", None))),
    st.builds(
        lambda verb, name, text: Asked(
            {"op": verb, "path": f"{ENTERPRISE}:{name}", "value": text}, merging(ENTERPRISE, {name: text})
        ),
        SETTING,
        EXTRA,
        TEXTS,
    ),
    st.builds(
        lambda verb, values: Asked({"op": verb, "value": {ENTERPRISE: values}}, merging(ENTERPRISE, values)),
        SETTING,
        st.dictionaries(EXTRA, TEXTS, min_size=1),
    ),
    st.builds(
        lambda verb, name, text: Asked(
            {"op": verb, "value": {f"{ENTERPRISE}:{name}": text}}, merging(ENTERPRISE, {name: text})
        ),
        SETTING,
        EXTRA,
        TEXTS,
    ),
    st.builds(
        lambda name: Asked({"op": "remove", "path": f"{ENTERPRISE}:{name}"}, without_part(ENTERPRISE, name)), EXTRA
    ),
    st.builds(
        lambda flag: Asked({"op": "replace", "path": "active", "value": flag}, setting("active", flag)), st.booleans()
    ),
)


# Attributes with several values

SIGNIFICANT = {"emails": "value", "phoneNumbers": "value", "roles": "value", "addresses": "locality"}
SEVERAL = st.sampled_from(sorted(SIGNIFICANT))
TYPES = st.sampled_from(["work", "home", "Other"])
ELEMENTS = st.builds(
    lambda value, type_, note: {"value": value, **({"type": type_} if type_ else {}), **note},
    st.sampled_from(["v1", "v2", "v3"]),
    st.one_of(st.none(), TYPES),
    st.sampled_from([{}, {}, {"primary": True}, {"primary": False}]),
)
LISTS = st.lists(ELEMENTS, min_size=1, max_size=3).filter(
    lambda elements: sum(each.get("primary", False) for each in elements) <= 1
)


def for_attribute(name: str, element: Element) -> Element:
    """The element with its significant part called as it is there."""
    return {SIGNIFICANT[name] if key == "value" else key: value for key, value in element.items()}


def one_primary(elements: Sequence[Element], newest: Element | None) -> list[Element]:
    """What becomes primary takes it from the others."""
    return [
        {**each, "primary": False} if newest is not None and each is not newest and each.get("primary") else each
        for each in elements
    ]


def is_same(one: Element, other: Element) -> bool:
    """No attribute has a value of one type twice (RFC 7643 §2.4)."""
    if "value" not in one:
        return one == other
    return (one["value"], one.get("type")) == (other.get("value"), other.get("type"))


def appending(name: str, elements: Sequence[Element]) -> Change:
    """What is there already takes what is new about it."""

    def change(state: State) -> State:
        held: list[Element] = list(state.get(name, ()))
        newest = None
        for each in [each for each in elements if each not in held]:
            place = next((place for place, known in enumerate(held) if is_same(known, each)), len(held))
            held[place:] = [{**(held[place] if place < len(held) else {}), **each}, *held[place + 1 :]]
            newest = place if each.get("primary") else newest
        return with_value(state, name, one_primary(held, None if newest is None else held[newest]))

    return change


def listing(name: str, elements: Sequence[Element]) -> Change:
    def change(state: State) -> State:
        kept: list[Element] = []
        for each in elements:
            if each not in kept:
                kept.append(each)
        return with_value(state, name, kept)

    return change


def altering(name: str, choice: Choice, alter: Callable[[Element], Element], made: Element | None) -> Change:
    """Changes the chosen elements; adds `made` if there are none. Of several that become primary, the one stays it that
    was it before, else the last."""

    def change(state: State) -> State:
        held = state.get(name, [])
        if not any(choice[1](each) for each in held):
            if made is None or not choice[1](made):
                raise NoTargetError
            return appending(name, [made])(state)
        after = [alter(each) if choice[1](each) else each for each in held]
        chosen = [(old, new) for old, new in zip(held, after, strict=True) if choice[1](old) and new.get("primary")]
        stays = [new for old, new in chosen if old.get("primary")]
        newest = None if len(stays) == len(chosen) else [*stays, chosen[-1][1]][0]
        return with_value(state, name, one_primary(after, newest))

    return change


def removing(name: str, choice: Choice) -> Change:
    return lambda state: with_value(state, name, [each for each in state.get(name, ()) if not choice[1](each)])


def removing_part(name: str, choice: Choice, part: str) -> Change:
    """An element that says nothing any more goes."""

    def change(state: State) -> State:
        after = []
        for each in state.get(name, ()):
            rest = {key: value for key, value in each.items() if key != part} if choice[1](each) else each
            if set(rest) - {"type", "primary"}:
                after.append(rest)
        return with_value(state, name, after)

    return change


def choices(name: str) -> st.SearchStrategy[Choice]:
    part = SIGNIFICANT[name]
    return st.one_of(
        st.builds(
            lambda type_, spelt: (
                f'type eq "{spelt(type_)}"',
                lambda each: each.get("type", "").lower() == type_.lower(),
                {"type": spelt(type_)},
            ),
            TYPES,
            st.sampled_from([str, str.upper]),
        ),
        st.builds(
            lambda type_, value: (
                f'type eq "{type_}" and {part} eq "{value}"',
                lambda each: each.get("type") == type_ and each.get(part) == value,
                {"type": type_, part: value},
            ),
            TYPES,
            st.sampled_from(["v1", "v2"]),
        ),
        st.just(("primary eq true", lambda each: each.get("primary") is True, {"primary": True})),
        st.just((f'{part} ew "1"', lambda each: each.get(part, "").endswith("1"), None)),
        st.just((f'type pr or {part} eq "v2"', lambda each: "type" in each or each.get(part) == "v2", None)),
        st.just(('not (type eq "work")', lambda each: each.get("type") != "work", None)),
    )


def on_several(name: str, *, strict: bool) -> st.SearchStrategy[Asked]:
    part = SIGNIFICANT[name]
    lists = LISTS.map(lambda elements: [for_attribute(name, each) for each in elements])
    element = ELEMENTS.map(lambda each: for_attribute(name, each))
    choice = choices(name)
    values = st.sampled_from(["v1", "v9"])

    def set_part(verb: str, chosen: Choice, value: str) -> Asked:
        may_make = chosen[2] is not None and not (strict and verb.lower() == "replace")
        made = {**(chosen[2] or {}), part: value} if may_make else None
        operation = {"op": verb, "path": f"{name}[{chosen[0]}].{part}", "value": value}
        return Asked(operation, altering(name, chosen, lambda each: {**each, part: value}, made))

    def replace_chosen(chosen: Choice, new: Element) -> Asked:
        operation = {"op": "replace", "path": f"{name}[{chosen[0]}]", "value": new}
        return Asked(operation, altering(name, chosen, lambda _: {**(chosen[2] or {}), **new}, None))

    def add_to_chosen(chosen: Choice, new: Element) -> Asked:
        made = None if chosen[2] is None else {**chosen[2], **new}
        operation = {"op": "add", "path": f"{name}[{chosen[0]}]", "value": new}
        return Asked(operation, altering(name, chosen, lambda each: {**each, **new}, made))

    return st.one_of(
        lists.map(lambda new: Asked({"op": "add", "path": name, "value": new}, appending(name, new))),
        lists.map(lambda new: Asked({"op": "add", "value": {name.lower(): new}}, appending(name, new))),
        element.map(lambda new: Asked({"op": "add", "path": name, "value": new}, appending(name, [new]))),
        lists.map(lambda new: Asked({"op": "replace", "path": f"{CORE}:{name}", "value": new}, listing(name, new))),
        lists.map(lambda new: Asked({"op": "replace", "value": {name: new}}, listing(name, new))),
        st.sampled_from([None, []]).map(
            lambda empty: Asked({"op": "replace", "path": name, "value": empty}, listing(name, []))
        ),
        st.just(Asked({"op": "remove", "path": name}, listing(name, []))),
        choice.map(lambda chosen: Asked({"op": "remove", "path": f"{name}[{chosen[0]}]"}, removing(name, chosen))),
        st.builds(
            lambda chosen, gone: Asked(
                {"op": "remove", "path": f"{name}[{chosen[0]}].{gone}"}, removing_part(name, chosen, gone)
            ),
            choice,
            st.sampled_from([part, "type", "primary"]),
        ),
        st.builds(set_part, SETTING, choice, values),
        st.builds(replace_chosen, choice, element),
        st.builds(add_to_chosen, choice, element),
    )


@dataclass(frozen=True)
class Example:
    """What a user has in the beginning, and what is asked then."""

    attribute: str
    elements: Sequence[Element]
    requests: Sequence[Sequence[Asked]]


def examples(*, strict: bool) -> st.SearchStrategy[Example]:
    """Each is about one attribute with several values, so that what is asked meets what is there."""

    def about(name: str) -> st.SearchStrategy[Example]:
        several = on_several(name, strict=strict)
        return st.builds(
            Example,
            st.just(name),
            LISTS.map(lambda elements: [for_attribute(name, each) for each in elements]),
            st.lists(
                st.lists(st.one_of(several, several, several, SINGULAR), min_size=1, max_size=4), min_size=1, max_size=4
            ),
        )

    return SEVERAL.flatmap(about)


# Trying it


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    if request.param == "sqlite":
        with running_endpoint(tmp_path_factory.mktemp("attributes") / "application.db") as opened:
            yield opened
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url, running_endpoint(url) as opened:
        yield opened


def attributes_of(user: Mapping[str, Any]) -> State:
    return {name: value for name, value in user.items() if name not in ("schemas", "id", "meta", "userName")}


def check(endpoint: Endpoint, client: Client, example: Example) -> None:
    body = {"schemas": [CORE], "userName": f"user {next(NUMBERS)}", example.attribute: example.elements}
    user = endpoint.made(client, "/Users", body)
    path, version = f"/Users/{user['id']}", 1
    state = listing(example.attribute, example.elements)({"active": True})
    assert attributes_of(user) == state
    for request in example.requests:
        operations = [each.operation for each in request]
        answer = endpoint.send(client, "PATCH", path, {"schemas": [PATCH], "Operations": operations})
        try:
            after = in_order(*(each.change for each in request))(state)
        except NoTargetError:
            assert (answer.status_code, answer.json().get("scimType")) == (400, "noTarget"), answer.text
        else:
            assert answer.status_code == 200, answer.text
            version += after != state
            state = after
            assert attributes_of(answer.json()) == state
        found = endpoint.found(client, path)
        assert attributes_of(found) == state
        assert found["meta"]["version"] == f'W/"{version}"'
        assert found["schemas"] == [CORE, *([ENTERPRISE] if ENTERPRISE in state else [])]


@pytest.mark.req(
    "REQ-S-223", "REQ-S-225", "REQ-S-226", "REQ-S-228", "REQ-S-229", "REQ-S-230", "REQ-S-233", "REQ-S-234", "REQ-S-236",
    "REQ-S-242", "REQ-S-243", "REQ-S-244", "REQ-S-245", "REQ-S-246", "REQ-S-247", "REQ-S-248", "REQ-S-251", "REQ-S-252",
)  # fmt: skip
@RANDOM
@given(example=examples(strict=False))
def test_operations_do_what_the_rfc_says(endpoint: Endpoint, example: Example) -> None:
    check(endpoint, endpoint.lenient, example)


@pytest.mark.req("REQ-S-230", "REQ-S-243", "REQ-S-245", "REQ-S-246")
@RANDOM
@given(example=examples(strict=True))
def test_operations_do_what_the_rfc_says_in_the_strict_profile(endpoint: Endpoint, example: Example) -> None:
    check(endpoint, endpoint.strict, example)
