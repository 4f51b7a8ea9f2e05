"""The pure parts of the SCIM client."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from joiner.clock import system_clock
from joiner.errors import InvalidValueError
from joiner.provisioning.client.batches import batches
from joiner.provisioning.client.connection import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Nothing,
    connection_of,
)
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.merge import merged
from joiner.provisioning.client.profile import TargetProfile, changed_profile, parse_profile, profile_document
from joiner.provisioning.client.recorder import Masking
from joiner.provisioning.client.scan import Scan
from joiner.provisioning.client.tenant_url import TenantUrl, parse_tenant_url
from joiner.provisioning.decisions.wire import Dialect
from joiner.provisioning.job.credentials import merge_credentials

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CUSTOM = "urn:ietf:params:scim:schemas:extension:Fjord.Line:2.0:User"
ADDRESS = "https://app.example/scim"


# Tenant URL


@pytest.mark.req("REQ-C-009", "REQ-C-010", "REQ-C-011")
@pytest.mark.parametrize(
    ("text", "query", "dialect"),
    [
        (ADDRESS, "", None),
        (f" {ADDRESS}/ ", "", None),
        (f"{ADDRESS}/?aadOptscim062020", "", Dialect.ENTRA_COMPLIANT),
        (f"{ADDRESS}?AADOPTSCIM062020=true", "", Dialect.ENTRA_COMPLIANT),
        (f"{ADDRESS}?AzureAdScimPatch2017", "", Dialect.ENTRA),
        (
            f"{ADDRESS}?tenant=7&aadOptscim062020&region=eu%20north",
            "tenant=7&region=eu%20north",
            Dialect.ENTRA_COMPLIANT,
        ),
        (f"{ADDRESS}/?tenant=7?aadOptscim062020", "tenant=7?aadOptscim062020", None),
        (f"{ADDRESS}?tenant=Bjørn Dahl&x=%20", "tenant=Bj%C3%B8rn%20Dahl&x=%20", None),
        (f"{ADDRESS}#part", "", None),
    ],
)
def test_flags_of_a_tenant_url_choose_the_dialect_and_are_not_sent(
    text: str, query: str, dialect: Dialect | None
) -> None:
    assert parse_tenant_url(text) == TenantUrl(ADDRESS, query, dialect)


# Credentials


@pytest.mark.req("REQ-C-032")
@pytest.mark.parametrize(
    ("values", "credentials"),
    [
        ({"SecretToken": "t"}, BearerToken("t")),
        ({"SecretToken": "t", "AuthenticationType": "Bearer Token"}, BearerToken("t")),
        ({"SecretToken": "t", "AuthenticationType": "None"}, Nothing()),
        ({"AuthenticationType": "none"}, Nothing()),
        ({"UserName": "ann", "Password": "p:w"}, BasicCredentials("ann", "p:w")),
        (
            {"Oauth2TokenExchangeUri": "https://id.example/token", "Oauth2ClientId": "c", "Oauth2ClientSecret": "s"},
            ClientCredentials("https://id.example/token", "c", "", "s", False, None, None, "https://id.example/token"),
        ),
        (
            {
                "AuthenticationType": "OAuth2ClientCredentialsGrant",
                "Oauth2TokenExchangeUri": "https://id.example/token",
                "ClientIdentifier": "c",
                "ClientSecret": "s",
                "joiner.SecretPlacement": "body",
                "joiner.Oauth2Scope": "scim.write",
            },
            ClientCredentials(
                "https://id.example/token", "c", "scim.write", "s", True, None, None, "https://id.example/token"
            ),
        ),
        (
            {
                "Oauth2TokenExchangeUri": "https://id.example/token",
                "Oauth2ClientId": "c",
                "joiner.AssertionKey": "PEM",
                "joiner.AssertionAudience": "https://id.example",
            },
            ClientCredentials("https://id.example/token", "c", "", None, False, "PEM", None, "https://id.example"),
        ),
    ],
)
def test_the_credentials_tell_how_to_authenticate(values: dict[str, str], credentials: Any) -> None:
    assert connection_of({"BaseAddress": ADDRESS, **values}).credentials == credentials


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no Secret Token"),
        ({"AuthenticationType": "bearer"}, "no Secret Token"),
        ({"AuthenticationType": "kerberos"}, "it can be bearer, oauth2ClientCredentials"),
        ({"SecretToken": "with\nbreak"}, "line break"),
        ({"SecretToken": "with\0nul"}, "line break"),
        ({"UserName": "a:b", "Password": "x"}, "colon"),
        ({"AuthenticationType": "basic", "UserName": "a"}, "needs a Password"),
        ({"AuthenticationType": "oauth2ClientCredentials"}, "Oauth2ClientSecret"),
        ({"Oauth2ClientSecret": "s", "AuthenticationType": "oauth2_client_credentials"}, "Oauth2TokenExchangeUri"),
        ({"AuthenticationType": "mutualTls"}, "joiner.ClientCertificate"),
        ({"SecretToken": "t", "joiner.ClientCertificate": "PEM"}, "belong together"),
    ],
)
def test_credentials_that_are_not_complete_are_refused_by_name(values: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        connection_of({"BaseAddress": ADDRESS, **values})


def test_no_text_of_a_connection_shows_a_secret() -> None:
    connection = connection_of(
        {"BaseAddress": ADDRESS, "SecretToken": "s3cret", "joiner.ClientCertificate": "C", "joiner.ClientKey": "K3Y"}
    )
    assert "s3cret" not in repr(connection)
    assert "K3Y" not in f"{connection}"


@pytest.mark.req("REQ-P-007")
@pytest.mark.parametrize(
    "stored",
    [
        {"SecretToken": "t"},
        {"UserName": "ann", "Password": "p"},
        {"Oauth2TokenExchangeUri": "https://id.example/t", "Oauth2ClientId": "c", "Oauth2ClientSecret": "s"},
        {"Oauth2TokenExchangeUri": "https://id.example/t", "Oauth2ClientId": "c", "joiner.AssertionKey": "k"},
    ],
)
def test_secrets_are_not_sent_to_an_address_for_which_they_were_not_entered(stored: dict[str, str]) -> None:
    held = {"BaseAddress": ADDRESS, **stored}
    for moved in [("BaseAddress", "https://other.example/scim"), ("Oauth2TokenExchangeUri", "https://other.example/t")]:
        if moved[0] not in held:
            continue
        with pytest.raises(InvalidValueError, match="entered again"):
            merge_credentials(held, [moved])
        with pytest.raises(InvalidValueError, match="entered again"):
            merge_credentials(held, [moved, *((key, "*") for key in stored)])
        removed = merge_credentials(held, [(moved[0], "")])
        assert not {"SecretToken", "Password", "Oauth2ClientSecret", "joiner.AssertionKey"} & removed.keys()


def test_a_flag_in_the_tenant_url_needs_no_secret_again() -> None:
    held = {"BaseAddress": ADDRESS, "SecretToken": "t"}
    flagged = f"{ADDRESS}/?aadOptscim062020"
    assert merge_credentials(held, [("BaseAddress", flagged)]) == {"BaseAddress": flagged, "SecretToken": "t"}


# Profile


def test_a_profile_keeps_only_what_differs_from_the_defaults() -> None:
    stored = changed_profile({}, {"updates": "put", "pageSize": 100, "filterable": ["userName"]})
    assert stored == {"updates": "put", "filterable": ["userName"]}
    assert changed_profile(stored, {"updates": None}) == {"filterable": ["userName"]}
    shown = profile_document(parse_profile(stored))
    assert (shown["updates"], shown["pageSize"], shown["requestsPerSecond"]) == ("put", 100, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product": "x"}, "there is no 'product'"),
        ({"updates": "post"}, "updates"),
        ({"membersAddedPerPatch": 0}, "membersAddedPerPatch"),
        ({"requestsPerSecond": -1}, "requestsPerSecond"),
        ({"filters": "yes"}, "filters"),
    ],
)
def test_a_profile_that_is_not_possible_is_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        changed_profile({}, changes)


@pytest.mark.req("REQ-C-035")
@pytest.mark.parametrize(
    ("profile", "dialect", "rate"),
    [
        (TargetProfile(), Dialect.RFC, None),
        (TargetProfile(), Dialect.ENTRA, 25),
        (TargetProfile(), Dialect.ENTRA_COMPLIANT, 25),
        (TargetProfile(requests_per_second=100), Dialect.ENTRA, 100),
        (TargetProfile(requests_per_second=5), Dialect.RFC, 5),
    ],
)
def test_the_limit_of_requests_is_entras_in_its_dialects_unless_it_is_set(
    profile: TargetProfile, dialect: Dialect, rate: float | None
) -> None:
    assert profile.limits(dialect).requests_per_second == rate


def test_the_flag_of_the_tenant_url_counts_more_than_the_profile_and_abilities_more_than_both() -> None:
    assert TargetProfile().dialect_for(None) is Dialect.RFC
    assert TargetProfile(dialect="entra").dialect_for(None) is Dialect.ENTRA
    assert TargetProfile(dialect="entra").dialect_for(Dialect.ENTRA_COMPLIANT) is Dialect.ENTRA_COMPLIANT
    assert TargetProfile(pathless_patch=False).dialect_for(Dialect.ENTRA_COMPLIANT) is Dialect.RFC
    assert TargetProfile(updates="put").dialect_for(Dialect.ENTRA) is Dialect.RFC


@pytest.mark.req("REQ-C-015")
@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (TargetProfile(), [[*"abcde", *"xy"]]),
        (
            TargetProfile(members_added_per_patch=2, members_removed_per_patch=2),
            [["a", "b"], ["c", "d"], ["e", "x"], ["y"]],
        ),
        (TargetProfile(mixed_member_changes=False), [[*"abcde"], [*"xy"]]),
        (
            TargetProfile(members_added_per_patch=4, members_removed_per_patch=1, mixed_member_changes=False),
            [[*"abcd"], ["e"], ["x"], ["y"]],
        ),
    ],
)
def test_members_go_into_as_many_requests_as_the_target_needs(
    profile: TargetProfile, expected: list[list[str]]
) -> None:
    assert list(batches("abcde", "xy", profile)) == expected
    assert list(batches("", "", profile)) == []


# PUT instead of PATCH


def put(resource: dict[str, Any], *operations: dict[str, Any], endpoint: str = "/Users") -> dict[str, Any]:
    return merged(endpoint, {"id": "7", **resource}, {"Operations": list(operations)})


def test_a_put_says_what_the_patch_says_and_keeps_what_we_know_nothing_of() -> None:
    held = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann",
        "shoeSize": 38,
        "emails": [{"type": "work", "value": "a@x.example"}, {"type": "home", "value": "h@x.example"}],
        "groups": [{"value": "g"}],
        "meta": {"version": 'W/"1"'},
        CUSTOM: {"badge": "A1", "locker": 9},
    }
    assert put(
        held,
        {"op": "replace", "path": "displayName", "value": "Ann"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "b@x.example"},
        {"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": "m1"}},
        {"op": "replace", "path": f"{CUSTOM}:badge", "value": "B2"},
        {"op": "add", "path": f"{CUSTOM}:isExternal", "value": True},
    ) == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", CUSTOM, ENTERPRISE],
        "id": "7",
        "userName": "ann",
        "shoeSize": 38,
        "emails": [{"type": "work", "value": "b@x.example"}, {"type": "home", "value": "h@x.example"}],
        "displayName": "Ann",
        CUSTOM: {"badge": "B2", "locker": 9, "isExternal": True},
        ENTERPRISE: {"manager": {"value": "m1"}},
    }


def test_a_put_changes_members_by_what_the_patch_adds_and_removes() -> None:
    body = put(
        {"displayName": "Team", "members": [{"value": "u1"}, {"value": "u2"}]},
        {"op": "add", "path": "members", "value": [{"value": "u3"}]},
        {"op": "remove", "path": 'members[value eq "u1"]'},
        endpoint="/Groups",
    )
    assert [member["value"] for member in body["members"]] == ["u2", "u3"]


def test_a_change_that_does_not_fit_what_was_read_is_an_error_of_the_object() -> None:
    with pytest.raises(TargetError, match="nothingKnown") as caught:
        put({"userName": "ann"}, {"op": "replace", "path": "nothingKnown", "value": 1})
    assert caught.value.code == "SchemaAttributeNotFound"


@pytest.mark.parametrize("held", [{"emails": "a@x.example"}, {"emails": ["a"]}, {"emails": 7}, {"name": 7}])
def test_what_was_read_with_another_type_is_an_error_of_the_object(held: dict[str, Any]) -> None:
    changes = ('emails[type eq "work"].value', "name.givenName")
    with pytest.raises(TargetError, match="another type"):
        put({"userName": "ann", **held}, *({"op": "replace", "path": path, "value": "b"} for path in changes))


# Recordings


@pytest.mark.req("REQ-C-033")
def test_recordings_show_no_secrets_and_no_redacted_values() -> None:
    masking = Masking(["nationalId"], ["t0ken"])
    body = {
        "userName": "ann",
        "password": "hunter2",
        CUSTOM: {"nationalId": "123"},
        "note": "sent with t0ken",
        "Operations": [
            {"op": "replace", "path": "password", "value": "hunter2"},
            {"op": "replace", "path": f"{CUSTOM}:nationalId", "value": {"deep": "123"}},
            {"op": "replace", "value": {"nationalId": "123", "title": "x"}},
        ],
    }
    shown = masking.shown(body)
    text = orjson.dumps(shown).decode()
    assert "hunter2" not in text
    assert "123" not in text
    assert "t0ken" not in text
    assert (shown["userName"], shown["Operations"][2]["value"]["title"]) == ("ann", "x")
    assert masking.path("/Users?filter=nationalId%20eq%20%22123%22") == "/Users?filter=nationalId eq *"
    assert masking.path("/Users?filter=userName%20eq%20%22ann%22") == '/Users?filter=userName eq "ann"'
    assert masking.text("<html>t0ken</html>") == "<html>*</html>"


# Targets without filters


@pytest.mark.parametrize(
    "change", [lambda scan: scan.forget("/Users"), lambda scan: scan.add("/Users", {"userName": "new"}, "2")]
)
async def test_a_list_that_was_read_while_something_changed_is_read_again(change: Callable[[Scan], None]) -> None:
    scan = Scan(system_clock)
    reads = 0

    async def read() -> list[dict[str, Any]]:
        nonlocal reads
        reads += 1
        if reads == 1:
            change(scan)
        return [{"id": "1", "userName": "ada"}]

    for _ in range(3):
        found = await scan.of("/Users", read)
        assert [each["id"] for each in found.equal("userName", "ADA", case_exact=False)] == ["1"]
    assert reads == 2
