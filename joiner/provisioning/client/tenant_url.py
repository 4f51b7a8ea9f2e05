"""The Tenant URL as administrators enter it: an address, words for us behind it, and what belongs to the target."""

from collections.abc import Mapping
from string import punctuation
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from joiner.provisioning.decisions.wire import Dialect

FLAGS: Final[Mapping[str, Dialect]] = {
    "aadoptscim062020": Dialect.ENTRA_COMPLIANT,
    "azureadscimpatch2017": Dialect.ENTRA,
}
"""Words that administrators append to a Tenant URL (`https://host/scim/?aadOptscim062020`), in lower case. They are
meant for the client and never sent."""


class TenantUrl(msgspec.Struct, frozen=True):
    """A Tenant URL taken apart."""

    base_url: str
    """Without a query, and without a slash at its end."""
    query: str
    """What goes with every request, as it was entered, such as `tenant=7`, but encoded where it has to be; empty for
    nothing."""
    dialect: Dialect | None
    """What a flag asks for."""


def parse_tenant_url(text: str) -> TenantUrl:
    """Takes a Tenant URL apart. Of several flags the last one counts."""
    parts = urlsplit(text.strip())
    dialect, kept = None, []
    for item in parts.query.split("&"):
        # Administrators write the flag alone or with a value, and some behind a second question mark or slash.
        flag = FLAGS.get(item.partition("=")[0].strip("?/ ").lower())
        if flag is not None:
            dialect = flag
        elif item:
            kept.append(item)
    base_url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return TenantUrl(base_url, quote("&".join(kept), safe=punctuation), dialect)
