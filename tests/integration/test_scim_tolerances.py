"""What clients send beside the RFCs, each as docs/tolerance.md says for the lenient and for the strict profile."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from tests.endpoints import Endpoint, running_endpoint
from tests.repository import ROOT
from tests.scim_client import CORE, ENTERPRISE, GROUP, PATCH, Client

NUMBERS = count()
MANAGER = f"{ENTERPRISE}:manager"
WORK = {"type": "work", "value": "kim@fjord.example"}
HOME = {"type": "home", "value": "kim@home.example"}
NOT_FOUND = "404"
INVALID_FILTER = "400 invalidFilter"
INVALID_PATH = "400 invalidPath"
INVALID_SYNTAX = "400 invalidSyntax"
INVALID_VALUE = "400 invalidValue"
MUTABILITY = "400 mutability"
NO_TARGET = "400 noTarget"

Ask = Callable[[Endpoint, Client], Any]
"""Asks something, and tells the attribute afterwards or the refusal."""


def refusal(answer: Any) -> str:
    return " ".join(each for each in (str(answer.status_code), answer.json().get("scimType")) if each)


def shown(resource: Mapping[str, Any], name: str) -> Any:
    """The value of an attribute; of an extension it is named with its URN and a colon."""
    urn, _, rest = name.rpartition(":")
    held = (resource.get(urn, {}) if urn else resource).get(rest)
    return {key: value for key, value in held.items() if key != "$ref"} if isinstance(held, dict) else held


def new_user(endpoint: Endpoint, client: Client) -> dict[str, Any]:
    body = {
        "schemas": [CORE, ENTERPRISE],
        "userName": f"kim-{next(NUMBERS)}",
        "title": "Buyer",
        "emails": [WORK, HOME],
        ENTERPRISE: {"manager": {"value": "u-1"}},
    }
    return endpoint.made(client, "/Users", body)


def patching(name: str, *operations: Mapping[str, Any], **members: Any) -> Ask:
    """PATCH of a user."""

    def ask(endpoint: Endpoint, client: Client) -> Any:
        path = f"/Users/{new_user(endpoint, client)['id']}"
        body = {"schemas": [PATCH], **({"Operations": operations} if "operations" not in members else {}), **members}
        answer = endpoint.send(client, "PATCH", path, body)
        return shown(endpoint.found(client, path), name) if answer.status_code == 200 else refusal(answer)

    return ask


def replacing(name: str, value: Any, path: str | None = None) -> Ask:
    return patching(name, {"op": "replace", "path": path or name, "value": value})


def posting(name: str, *schemas: str, **members: Any) -> Ask:
    """POST of a user."""

    def ask(endpoint: Endpoint, client: Client) -> Any:
        body = {"schemas": schemas or [CORE], "userName": f"ann-{next(NUMBERS)}", **members}
        answer = endpoint.send(client, "POST", "/Users", {key: value for key, value in body.items() if value != ()})
        return shown(answer.json(), name) if answer.status_code == 201 else refusal(answer)

    return ask


def putting(name: str, **members: Any) -> Ask:
    """PUT of a user, as it was read but for these members."""

    def ask(endpoint: Endpoint, client: Client) -> Any:
        user = new_user(endpoint, client)
        answer = endpoint.send(client, "PUT", f"/Users/{user['id']}", {**user, **members})
        return shown(answer.json(), name) if answer.status_code == 200 else refusal(answer)

    return ask


def membership(operation: Mapping[str, Any]) -> Ask:
    """PATCH of a group of a and b: its members afterwards."""

    def ask(endpoint: Endpoint, client: Client) -> Any:
        members = [{"value": "a"}, {"value": "b"}]
        group = endpoint.made(
            client, "/Groups", {"schemas": [GROUP], "displayName": f"Team {next(NUMBERS)}", "members": members}
        )
        path = f"/Groups/{group['id']}"
        answer = endpoint.send(client, "PATCH", path, {"schemas": [PATCH], "Operations": [operation]})
        if answer.status_code != 204:
            return refusal(answer)
        return " ".join(sorted(each["value"] for each in endpoint.found(client, path).get("members", [])))

    return ask


def finding(condition: str) -> Ask:
    """Whether a filter finds the user who has been made for it. NAME in it is the user's name."""

    def ask(endpoint: Endpoint, client: Client) -> Any:
        user = new_user(endpoint, client)
        params = {"filter": condition.replace("NAME", user["userName"])}
        answer = endpoint.send(client, "GET", "/Users", params=params)
        if answer.status_code != 200:
            return refusal(answer)
        return user["id"] in [each["id"] for each in answer.json()["Resources"]]

    return ask


def getting(path: str) -> Ask:
    def ask(endpoint: Endpoint, client: Client) -> Any:
        new_user(endpoint, client)
        answer = endpoint.send(client, "GET", f"{client.http.base_url}{path.removeprefix('/')}")
        return "200" if answer.status_code == 200 else refusal(answer)

    return ask


def sending_as(media_type: str) -> Ask:
    def ask(endpoint: Endpoint, client: Client) -> Any:
        body = f'{{"schemas":["{CORE}"],"userName":"as-{next(NUMBERS)}"}}'
        headers = {"Content-Type": media_type} if media_type else {}
        answer = endpoint.runner.run(client.http.post("/Users", content=body, headers=headers))
        return str(answer.status_code)

    return ask


def first_page(query: str) -> Ask:
    def ask(endpoint: Endpoint, client: Client) -> Any:
        return endpoint.found(client, f"/Users?{query}")["startIndex"]

    return ask


def shown_emails(endpoint: Endpoint, client: Client) -> Any:
    user = new_user(endpoint, client)
    return endpoint.found(client, f"/Users/{user['id']}", params={"attributes": 'emails[type eq "work"]'}).get("emails")


def shared_external_id(endpoint: Endpoint, client: Client) -> Any:
    ask = posting("externalId", externalId="x-1")
    return [ask(endpoint, client) for _ in range(2)]


def matched_version(endpoint: Endpoint, client: Client) -> Any:
    user = new_user(endpoint, client)
    body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "Chief"}]}
    answer = endpoint.send(client, "PATCH", f"/Users/{user['id']}", body, headers={"If-Match": "*"})
    return shown(answer.json(), "title")


CHIEF = {"op": "replace", "path": "title", "value": "Chief"}
MADE = {"type": "mobile", "value": "1"}
MOBILE = 'phoneNumbers[type eq "mobile"].value'
ROLE = '{"id": "1", "value": "clerk"}'
SAME = object()
"""The strict profile does the same."""

CASES: list[tuple[str, Ask, Any, Any]] = [
    ("T1", patching("title", {**CHIEF, "op": "Replace"}), "Chief", SAME),
    ("T2", patching("title", operations=[CHIEF]), "Chief", SAME),
    ("T2", patching("title", {"OP": "replace", "Path": "TITLE", "VALUE": "Chief"}), "Chief", SAME),
    ("T2", patching("manager", {"op": "add", "path": f"{MANAGER}.Value", "value": "u-2"}), None, SAME),
    ("T2", posting("title", Title="x", title="Chief"), "Chief", SAME),
    ("T2", first_page("STARTINDEX=2"), 2, SAME),
    ("T3", posting("active", active="False"), False, INVALID_VALUE),
    ("T3", posting("active", active="nearly"), INVALID_VALUE, SAME),
    ("T3", replacing("active", "False"), False, INVALID_VALUE),
    ("T3", finding('userName eq "NAME" and active eq "True"'), True, INVALID_FILTER),
    ("T4", posting("title", title=7), "7", INVALID_VALUE),
    ("T5", patching("name", {"op": "add", "value": {"name.givenName": "K"}}), {"givenName": "K"}, SAME),
    ("T5", patching(f"{ENTERPRISE}:division", {"op": "add", "value": {f"{ENTERPRISE}:division": "D"}}), "D", SAME),
    ("T6", patching("phoneNumbers", {"op": "add", "path": MOBILE, "value": "1"}), [MADE], SAME),
    ("T7", patching("phoneNumbers", {"op": "replace", "path": MOBILE, "value": "1"}), [MADE], NO_TARGET),
    ("T7", patching("emails", {"op": "replace", "path": 'emails[type eq "x"]', "value": WORK}), NO_TARGET, SAME),
    ("T8", membership({"op": "remove", "path": "members", "value": [{"value": "a"}]}), "b", ""),
    ("T8", membership({"op": "remove", "path": "members", "value": []}), "a b", ""),
    ("T8", membership({"op": "remove", "path": "members"}), "", SAME),
    ("T9", replacing(MANAGER, "u-2"), {"value": "u-2"}, INVALID_VALUE),
    ("T9", replacing(MANAGER, [{"value": "u-2"}]), {"value": "u-2"}, INVALID_VALUE),
    ("T10", membership({"op": "add", "path": "members", "value": "c"}), "a b c", INVALID_VALUE),
    ("T10", membership({"op": "add", "path": "members", "value": {"value": "c"}}), "a b c", SAME),
    ("T10", membership({"op": "replace", "path": "members", "value": {"value": "c"}}), "c", INVALID_VALUE),
    ("T10", posting("emails", emails=WORK), [WORK], INVALID_VALUE),
    ("T10", posting("emails", emails="a@x"), [{"value": "a@x"}], INVALID_VALUE),
    ("T11", replacing(MANAGER, ""), None, INVALID_VALUE),
    ("T11", replacing(MANAGER, {"value": ""}), None, SAME),
    ("T11", replacing(MANAGER, None), None, SAME),
    ("T12", replacing("title", ""), None, SAME),
    ("T12", putting("title", title=""), None, SAME),
    ("T12", replacing("userName", ""), INVALID_VALUE, SAME),
    ("T13", posting("title", title="Chief", unknown=1, nickName=None), "Chief", SAME),
    ("T13", posting("title", "urn:example:none", title="Chief"), "Chief", INVALID_SYNTAX),
    ("T13", posting("title", CORE, "urn:example:none", title="Chief"), "Chief", INVALID_SYNTAX),
    ("T13", posting("title", schemas=(), title="Chief"), "Chief", INVALID_SYNTAX),
    ("T13", posting(f"{ENTERPRISE}:division", **{ENTERPRISE: {"division": "D"}}), "D", INVALID_SYNTAX),
    ("T13", replacing("unknown", "x"), INVALID_PATH, SAME),
    ("T14", posting(f"{ENTERPRISE}:department", department="D"), "D", None),
    ("T14", replacing(f"{ENTERPRISE}:department", "D", "department"), "D", INVALID_PATH),
    ("T14", finding('userName eq "NAME" and manager.value eq "u-1"'), True, INVALID_FILTER),
    ("T15", replacing(MANAGER, {"value": "u-2"}, f"{ENTERPRISE}.manager"), {"value": "u-2"}, INVALID_PATH),
    ("T15", finding(f'{CORE}.userName eq "NAME"'), True, INVALID_FILTER),
    ("T16", putting("title", id="x", groups=[{"value": "g"}], title="Chief"), "Chief", SAME),
    ("T16", patching("title", {"op": "add", "value": {"id": "x", "title": "Chief"}}), "Chief", MUTABILITY),
    ("T16", patching("title", {"op": "add", "value": {"schemas": [CORE], "title": "Chief"}}), "Chief", SAME),
    ("T17", patching("title"), "Buyer", INVALID_SYNTAX),
    ("T18", replacing(MANAGER, {"value": "nobody"}), {"value": "nobody"}, SAME),
    ("T18", membership({"op": "add", "path": "members", "value": [{"value": "nobody"}]}), "a b nobody", SAME),
    (
        "T19",
        posting("roles", roles=[{"value": "r", "displayName": "R"}]),
        [{"value": "r", "display": "R"}],
        [{"value": "r"}],
    ),
    ("T20", finding("userName eq 'NAME'"), True, INVALID_FILTER),
    ("T20", finding("userName sw kim and userName eq NAME"), True, INVALID_FILTER),
    ("T21", shown_emails, [WORK, HOME], SAME),
    ("T22", getting("/users"), "200", NOT_FOUND),
    ("T22", getting("//Users"), "200", NOT_FOUND),
    ("T22", getting("/Users/"), "200", NOT_FOUND),
    ("T23", getting('/Users?filter=emails[type+eq+"work"]'), "200", SAME),
    ("T24", sending_as("application/json"), "201", SAME),
    ("T24", sending_as("application/scim+json; charset=utf-8"), "201", SAME),
    ("T24", sending_as(""), "201", SAME),
    ("T24", sending_as("text/json"), "201", "415"),
    ("T25", posting("emails", emails=[WORK, {**WORK, "value": "other"}]), [WORK, {**WORK, "value": "other"}], SAME),
    ("T25", posting("locale", locale="any where"), "any where", SAME),
    ("T26", shared_external_id, ["x-1", "x-1"], SAME),
    ("T27", patching("title", {**CHIEF, "name": "x"}, id="u-1"), "Chief", SAME),
    ("T28", matched_version, "Chief", SAME),
    ("T29", patching("roles", {"op": "Add", "path": "roles", "value": [{"value": ROLE}]}), [{"value": ROLE}], SAME),
    ("T30", first_page("startIndex=0"), 1, SAME),
    ("T30", first_page("startIndex=-3"), 1, SAME),
]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running_endpoint(tmp_path_factory.mktemp("tolerances") / "application.db") as opened:
        yield opened


@pytest.mark.req(
    "REQ-S-049", "REQ-S-050", "REQ-S-090", "REQ-S-091", "REQ-S-092", "REQ-S-093", "REQ-S-096", "REQ-S-147",
    "REQ-S-151", "REQ-S-192", "REQ-S-222", "REQ-S-239", "REQ-S-241", "REQ-S-246", "REQ-S-258", "REQ-S-261",
)  # fmt: skip
@pytest.mark.parametrize(("number", "ask", "lenient", "strict"), CASES)
def test_each_profile_does_what_the_page_says(
    endpoint: Endpoint, number: str, ask: Ask, lenient: Any, strict: Any
) -> None:
    assert ask(endpoint, endpoint.lenient) == lenient
    assert ask(endpoint, endpoint.strict) == (lenient if strict is SAME else strict)


def test_every_tolerance_of_the_page_is_tried() -> None:
    rows = re.findall(
        r"^\| (T\d+) \|(?:[^|]*\|){2}([^|]*)\|", (ROOT / "docs" / "tolerance.md").read_text(), re.MULTILINE
    )
    tried = {number for number, *_ in CASES}
    assert {number for number, _ in rows} == tried
    # The page says "the same", and not more, of those where no request is answered in another way.
    same = {number for number in tried if all(strict is SAME for name, _, _, strict in CASES if name == number)}
    assert {
        number for number, strict in rows if strict.strip() == "the same" or strict.strip().startswith("the same:")
    } == same
