"""Members live in rows: whatever is asked of them has the same result as on a list in the group itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.endpoints import Endpoint, running_endpoint
from tests.scim_client import CORE, GROUP, PATCH, Client
from tests.services import PostgreSQL

RANDOM = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NUMBERS = count()

# The same operation for the endpoint and for a list. Ids are letters there, and letters in braces in what is sent.

Members = dict[str, str | None]
"""Letter → how the client wants the member shown, None for by its name."""
Change = Callable[[Members], Members]

TYPES: Mapping[str, str] = {"A": "User", "B": "User", "C": "User", "G": "Group"}
"""Who is there; X and Y are not."""
IDS_OF_NOBODY: Mapping[str, str] = {"X": "not-here", "Y": "Elsewhere"}


@dataclass(frozen=True)
class Asked:
    """One operation, and what it does. None: it is refused."""

    operation: Mapping[str, Any]
    change: Change | None


LETTERS = st.sampled_from("ABCGXY")
SHOWN = st.sampled_from([None, "Shown", "Anders"])
Element = Mapping[str, str]


def elements(shown: st.SearchStrategy[str | None]) -> st.SearchStrategy[Element]:
    return st.builds(
        lambda letter, wanted: {"value": f"{{{letter}}}", **({"display": wanted} if wanted else {})}, LETTERS, shown
    )


PATHS = st.sampled_from(["members", "Members", "MEMBERS", f"{GROUP}:members", f"{GROUP.upper()}:Members"])
VERBS = st.sampled_from([str, str.capitalize, str.upper])


def listed(named: Sequence[Element]) -> Members:
    """Of several for one member the first counts."""
    return {each["value"].strip("{}"): each.get("display") for each in reversed(named)}


def chosen(letters: Iterable[str]) -> str:
    """The path of these members."""
    terms = [f'value eq "{{{letter}}}"' for letter in letters]
    return f"members[{' or '.join(terms)}]"


def adding(named: Sequence[Element]) -> Change:
    return lambda held: {**listed(named), **held}


def removing(named: Sequence[Element]) -> Change:
    return lambda held: {letter: shown for letter, shown in held.items() if letter not in listed(named)}


def replacing(named: Sequence[Element]) -> Change:
    return lambda held: {letter: held.get(letter, shown) for letter, shown in listed(named).items()}


def clearing(_held: Members) -> Members:
    return {}


REMOVE_BY_VALUE = st.builds(
    lambda letters: Asked({"op": "remove", "path": chosen(letters)}, removing([{"value": each} for each in letters])),
    st.lists(LETTERS, min_size=1, max_size=3),
)
EDIT = st.builds(
    lambda letter, verb, sub: Asked(
        {"op": verb, "path": f"{chosen([letter])}.{sub}", **({} if verb == "remove" else {"value": "x"})}, None
    ),
    LETTERS,
    st.sampled_from(["add", "replace", "remove"]),
    st.sampled_from(["value", "display", "type"]),
)
FILTERS: Mapping[str, str] = {
    'type eq "User"': "ABC",
    'type eq "GROUP"': "G",
    "type pr": "ABCG",
    "not (type pr)": "XY",
    'type ne "User"': "GXY",
    'value sw "not-"': "X",
    'value co "-" and type eq "User"': "ABC",
    'value eq "not-here" or type eq "Group"': "XG",
    "value pr": "ABCGXY",
    'value eq "nobody"': "",
    'value eq "not-here" and value eq "Elsewhere"': "",
}
"""Filter → whom it chooses."""
REMOVE_BY_FILTER = st.sampled_from(sorted(FILTERS)).map(
    lambda text: Asked({"op": "remove", "path": f"members[{text}]"}, removing([{"value": e} for e in FILTERS[text]]))
)

REMOVE_ALL = st.builds(lambda verb, path: Asked({"op": verb("remove"), "path": path}, clearing), VERBS, PATHS)
ADD_BARE = st.builds(
    lambda letter: Asked(
        {"op": "add", "path": "members", "value": [f"{{{letter}}}", None, ""]}, adding([{"value": letter}])
    ),
    LETTERS,
)
ADD_BY_FILTER = st.builds(
    lambda letter, has_value: Asked(
        {"op": "add", "path": chosen([letter]), "value": {"value": f"{{{letter}}}"} if has_value else {}},
        adding([{"value": letter}]),
    ),
    LETTERS,
    st.booleans(),
)
WITHOUT_PATH_BY_FILTER = st.builds(
    lambda letter: Asked({"op": "add", "value": {chosen([letter]): {}}}, adding([{"value": letter}])), LETTERS
)


def operations(shown: st.SearchStrategy[str | None], *, strict: bool) -> st.SearchStrategy[Asked]:
    element = elements(shown)
    lists = st.lists(element, max_size=4)
    return st.one_of(
        st.builds(
            lambda verb, path, named: Asked({"op": verb("add"), "path": path, "value": named}, adding(named)),
            VERBS,
            PATHS,
            lists,
        ),
        st.builds(
            lambda verb, path, named: Asked({"op": verb("replace"), "path": path, "value": named}, replacing(named)),
            VERBS,
            PATHS,
            lists,
        ),
        st.builds(
            lambda path, named: Asked({"op": "add", "path": path, "value": named}, adding([named])), PATHS, element
        ),
        st.builds(lambda path, named: Asked({"op": "add", "value": {path: named}}, adding(named)), PATHS, lists),
        st.builds(lambda path, named: Asked({"op": "replace", "value": {path: named}}, replacing(named)), PATHS, lists),
        st.builds(
            lambda first, second: Asked({"op": "add", "value": {"members": first, "Members": second}}, adding(first)),
            lists,
            lists,
        ),
        # By the RFC the value of a remove means nothing; Entra lists those that are to go (T8).
        st.builds(
            lambda path, named: Asked(
                {"op": "remove", "path": path, "value": named}, clearing if strict else removing(named)
            ),
            PATHS,
            lists,
        ),
        *(ADD_BY_FILTER, WITHOUT_PATH_BY_FILTER, REMOVE_ALL, REMOVE_BY_VALUE, REMOVE_BY_FILTER, EDIT),
        *(() if strict else (ADD_BARE,)),
    )


def several(operations: st.SearchStrategy[Asked]) -> st.SearchStrategy[list[list[Asked]]]:
    """Requests with their operations."""
    return st.lists(st.lists(operations, min_size=1, max_size=5), min_size=1, max_size=4)


# Trying it


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    if request.param == "sqlite":
        with running_endpoint(tmp_path_factory.mktemp("rows") / "application.db") as opened:
            yield opened
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url, running_endpoint(url) as opened:
        yield opened


Ids = Mapping[str, str]
"""Letter → id."""


@pytest.fixture(scope="module")
def ids(endpoint: Endpoint) -> Mapping[str, Ids]:
    """Connection → whom the letters stand for."""
    return {name: people_of(endpoint, getattr(endpoint, name)) for name in ("lenient", "strict")}


def people_of(endpoint: Endpoint, client: Client) -> Ids:
    found = dict(IDS_OF_NOBODY)
    for letter, type_ in TYPES.items():
        body = (
            {"schemas": [CORE], "userName": letter} if type_ == "User" else {"schemas": [GROUP], "displayName": letter}
        )
        found[letter] = endpoint.made(client, f"/{type_}s", body)["id"]
    return found


def with_ids(value: Any, ids: Ids) -> Any:
    """The value with ids in place of letters in braces."""
    if isinstance(value, str):
        for letter, id_ in ids.items():
            value = value.replace(f"{{{letter}}}", id_)
        return value
    if isinstance(value, list):
        return [with_ids(each, ids) for each in value]
    if isinstance(value, Mapping):
        return {with_ids(name, ids): with_ids(each, ids) for name, each in value.items()}
    return value


def shown(members: Members) -> dict[str, dict[str, str]]:
    """How the members are answered, but for their ids."""
    found: dict[str, dict[str, str]] = {}
    for letter, wanted in members.items():
        found[letter] = {"type": TYPES[letter]} if letter in TYPES else {}
        name = wanted or (letter if letter in TYPES else None)
        if name:
            found[letter]["display"] = name
    return found


def answered(group: Mapping[str, Any], ids: Ids) -> dict[str, dict[str, str]]:
    """The same of an answer."""
    letters = {id_: letter for letter, id_ in ids.items()}
    listed = group.get("members", [])
    found = {letters[each["value"]]: dict(each) for each in listed}
    assert len(found) == len(listed), "each member is there once"
    for letter, member in found.items():
        id_ = member.pop("value")
        reference = f"https://app.example/scim/{TYPES[letter]}s/{id_}" if letter in TYPES else None
        assert member.pop("$ref", None) == reference
    return found


def check(endpoint: Endpoint, client: Client, ids: Ids, requests: list[list[Asked]]) -> None:
    created = endpoint.made(client, "/Groups", {"schemas": [GROUP], "displayName": f"Team {next(NUMBERS)}"})
    path, held, version = f"/Groups/{created['id']}", Members(), 1
    for request in requests:
        body = {"schemas": [PATCH], "Operations": [with_ids(asked.operation, ids) for asked in request]}
        answer = endpoint.send(client, "PATCH", path, body)
        after = held
        for asked in request:
            if asked.change is None:
                assert (answer.status_code, answer.json()["scimType"]) == (400, "mutability")
                after = held
                break
            after = asked.change(after)
        else:
            assert answer.status_code == 204, answer.text
        version += shown(after) != shown(held)
        held = after
        group = endpoint.found(client, path)
        assert answered(group, ids) == shown(held)
        assert group["meta"]["version"] == answer.headers.get("etag", group["meta"]["version"]) == f'W/"{version}"'
        assert group["displayName"] == created["displayName"]


@pytest.mark.req(
    "REQ-S-229", "REQ-S-230", "REQ-S-231", "REQ-S-236", "REQ-S-238", "REQ-S-239", "REQ-S-240", "REQ-S-241", "REQ-S-262",
    "REQ-S-263", "REQ-S-264", "REQ-S-268", "REQ-S-225", "REQ-S-226", "REQ-S-228",
)  # fmt: skip
@RANDOM
@given(requests=several(operations(st.none(), strict=False)))
def test_operations_on_members_do_to_rows_what_they_would_do_to_a_list(
    endpoint: Endpoint, ids: Mapping[str, Ids], requests: list[list[Asked]]
) -> None:
    check(endpoint, endpoint.lenient, ids["lenient"], requests)


@pytest.mark.req("REQ-S-240", "REQ-S-236", "REQ-S-264", "REQ-S-228")
@RANDOM
@given(requests=several(operations(st.none(), strict=True)))
def test_the_same_for_the_strict_profile(
    endpoint: Endpoint, ids: Mapping[str, Ids], requests: list[list[Asked]]
) -> None:
    check(endpoint, endpoint.strict, ids["strict"], requests)


@pytest.mark.req("REQ-S-022", "REQ-S-030")
@RANDOM
@given(requests=st.lists(st.lists(operations(SHOWN, strict=False), min_size=1, max_size=1), min_size=1, max_size=8))
def test_members_are_shown_as_the_one_who_added_them_wants(
    endpoint: Endpoint, ids: Mapping[str, Ids], requests: list[list[Asked]]
) -> None:
    check(endpoint, endpoint.lenient, ids["lenient"], requests)


@pytest.mark.req("REQ-S-209", "REQ-S-208", "REQ-S-030")
@RANDOM
@given(bodies=st.lists(st.one_of(st.none(), st.lists(elements(SHOWN), max_size=4)), min_size=1, max_size=5))
def test_a_put_leaves_exactly_the_members_that_it_names(
    endpoint: Endpoint, ids: Mapping[str, Ids], bodies: list[list[Element] | None]
) -> None:
    client, people, name = endpoint.lenient, ids["lenient"], f"Team {next(NUMBERS)}"
    path, held, version = f"/Groups/{endpoint.made(client, '/Groups', {'displayName': name})['id']}", Members(), 1
    for named in bodies:
        body = {"displayName": name, **({} if named is None else {"members": with_ids(named, people)})}
        answer = endpoint.send(client, "PUT", path, body)
        assert answer.status_code == 200, answer.text
        after = replacing(named or [])(held)
        version += after != held
        held = after
        assert answered(answer.json(), people) == shown(held)
        assert answer.json() == endpoint.found(client, path)
        assert answer.headers["etag"] == f'W/"{version}"'
