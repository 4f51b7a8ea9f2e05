"""The properties of users that membership rules can compare, by the names that the rules' documentation gives them.

They are those of the engine's source directory: `telephoneNumber`, not Graph's `businessPhones`.
"""

import re
from typing import Final, Literal

from joiner.directory.columns import NAME, USER_ATTRIBUTES

Kind = Literal["text", "boolean", "collection", "memberOf"]

EXTENSION: Final = re.compile(r"extension_\w+", re.IGNORECASE)
"""A directory extension: `extension_{appId without hyphens}_{name}`."""
BOOLEANS: Final = ("accountEnabled", "dirSyncEnabled")
COLLECTIONS: Final = ("otherMails", "proxyAddresses")
TEXTS: Final = (
    NAME,
    "objectId",
    "onPremisesDistinguishedName",
    "onPremisesSecurityIdentifier",
    "sipProxyAddress",
    *(name for name in USER_ATTRIBUTES if name not in BOOLEANS),
)
KINDS: Final[dict[str, Kind]] = {
    **{name.lower(): "text" for name in TEXTS},
    **{name.lower(): "boolean" for name in BOOLEANS},
    **{name.lower(): "collection" for name in COLLECTIONS},
    "memberof": "memberOf",
}
"""Name in lower case → kind."""
NAMES: Final = (*TEXTS, *BOOLEANS, *COLLECTIONS, "memberOf")
NOT_HELD: Final = {
    "assignedplans": "the directory keeps no service plans",
    "employeehiredate": "membership would change with the time, which no rule is evaluated for",
    "passwordpolicies": "the directory keeps no passwords",
}
"""Properties that the reference has; why they cannot be compared here."""


def kind_of(name: str) -> Kind | None:
    """The kind of the property with this name in any case; None if there is none."""
    return "text" if EXTENSION.fullmatch(name) else KINDS.get(name.lower())
