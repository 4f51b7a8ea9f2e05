"""Which addresses may be called from here. Every outgoing URL passes this check before it is used."""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from joiner.errors import ForbiddenTargetError, InvalidValueError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str], Iterable[str]]
"""Gives the addresses of a host name as text. Raises OSError when there are none."""


def resolve(host: str) -> list[str]:
    """Asks the system's resolver."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def check_url_shape(url: str) -> None:
    """Raises InvalidValueError unless `url` is an absolute http(s) URL without credentials in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValueError(f"'{url}' is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidValueError(f"'{url}' does not start with https://")
    if not parts.hostname or port == 0:
        raise InvalidValueError(f"'{url}' names no host")
    if parts.username is not None or parts.password is not None:
        raise InvalidValueError("the URL must not contain a user name or password")


def check_target_url(url: str, *, allow_loopback: bool, allow_private: bool, resolver: Resolver = resolve) -> None:
    """Raises ForbiddenTargetError if calling `url` could reach what only this machine or network should reach.

    Loopback and private addresses need the administrator's consent; link-local ones (where cloud metadata
    lives), multicast and unspecified ones are never called. Plain http is for loopback only.
    """
    check_url_shape(url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in resolver(host)]
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise ForbiddenTargetError(f"the host '{host}' cannot be found")
    for address in addresses:
        _check_address(_unwrapped(address), host, allow_loopback=allow_loopback, allow_private=allow_private)
    if (
        parts.scheme == "http"
        and not all(_unwrapped(address).is_loopback for address in addresses)
        and not allow_private
    ):
        raise ForbiddenTargetError(f"'{url}' is not encrypted; use https")


EMBEDDING: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
"""Addresses that lead to the IPv4 address in their last 32 bits: by a gateway (RFC 6052, RFC 2765), or as systems read
them (RFC 4291 §2.5.5.1)."""
LOCAL: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))
"""What a network uses for itself (RFC 8215, RFC 3879), and `ipaddress` may call global."""


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that is reached by way of an IPv6 one: mapped, 6to4, Teredo, translated."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    if any(address in network for network in EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    return address.is_global and not any(address in network for network in LOCAL)


def _check_address(address: Address, host: str, *, allow_loopback: bool, allow_private: bool) -> None:
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ForbiddenTargetError(f"'{host}' has the address {address}, which is never called")
    if address.is_loopback:
        if not (allow_loopback or allow_private):
            raise ForbiddenTargetError(
                f"'{host}' is this machine; set allow_private_targets = true if it is meant to be a target"
            )
    elif not _is_public(address) and not allow_private:
        raise ForbiddenTargetError(
            f"'{host}' has the private address {address}; set allow_private_targets = true to allow it"
        )
