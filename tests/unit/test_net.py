"""Which addresses may be called."""

from collections.abc import Iterable

import pytest

from joiner.errors import ForbiddenTargetError, InvalidValueError
from joiner.net.urls import check_target_url

HOSTS = {
    "app.example": ["93.184.215.14"],
    "inside.example": ["10.1.2.3"],
    "both.example": ["93.184.215.14", "10.1.2.3"],
    "localhost": ["127.0.0.1", "::1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "compatible.example": ["::10.0.0.1"],
    "translated.example": ["::ffff:0:10.0.0.1"],
    "nat64.example": ["64:ff9b::10.0.0.1"],
    "local-nat64.example": ["64:ff9b:1::8.8.8.8"],
    "site-local.example": ["fec0::1"],
    "loopback6.example": ["::127.0.0.1"],
    "none.example": [],
}


def resolver(host: str) -> Iterable[str]:
    if not HOSTS.get(host):
        raise OSError("unknown")
    return HOSTS[host]


def check(url: str, *, allow_loopback: bool = False, allow_private: bool = False) -> list[str]:
    """The hosts whose addresses were looked up and found to be allowed."""
    hosts: list[str] = []

    def noting(host: str) -> Iterable[str]:
        hosts.append(host)
        return resolver(host)

    check_target_url(url, allow_loopback=allow_loopback, allow_private=allow_private, resolver=noting)
    return hosts


@pytest.mark.parametrize(
    "url",
    [
        "ftp://app.example/",
        "app.example/scim",
        "https://",
        "https://user:secret@app.example/",
        "https://app.example:0/",
    ],
)
def test_what_is_no_target_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidValueError):
        check(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://inside.example/scim", "private"),
        ("https://both.example/scim", "private"),
        ("https://mapped.example/scim", "private"),
        ("https://compatible.example/scim", "private"),
        ("https://translated.example/scim", "private"),
        ("https://nat64.example/scim", "private"),
        ("https://local-nat64.example/scim", "private"),
        ("https://site-local.example/scim", "private"),
        ("https://loopback6.example/scim", "this machine"),
        ("http://localhost/scim", "this machine"),
        ("https://metadata.example/", "never called"),
        ("https://none.example/", "cannot be found"),
        ("http://app.example/scim", "not encrypted"),
    ],
)
def test_addresses_that_only_we_can_reach_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ForbiddenTargetError, match=reason):
        check(url)


def test_the_administrator_can_allow_loopback_alone() -> None:
    assert check("http://localhost:8080/scim", allow_loopback=True) == ["localhost"]
    with pytest.raises(ForbiddenTargetError):
        check("https://inside.example/scim", allow_loopback=True)


def test_the_administrator_can_allow_private_addresses_but_never_link_local_ones() -> None:
    assert check("http://inside.example/scim", allow_private=True) == ["inside.example"]
    assert check("http://localhost/scim", allow_private=True) == ["localhost"]
    with pytest.raises(ForbiddenTargetError, match="never called"):
        check("https://metadata.example/", allow_private=True)


def test_a_public_address_over_https_is_allowed() -> None:
    assert check("https://app.example/scim") == ["app.example"]
