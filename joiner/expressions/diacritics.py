"""Letters with accents to plain ones, by the service's table (attribute mapping, NormalizeDiacritics).

The table holds only what decomposition does not give: `ø` is `oe`, `ß` is `ss`, `ł` is `l`. Everything else that is an
ASCII letter with combining marks loses its marks; other letters pass through (D-22).
"""

import re
import unicodedata
from typing import Any, Final

SPECIAL: Final = {
    "æ": "ae",
    "Æ": "AE",
    "ø": "oe",
    "Ø": "OE",
    "œ": "oe",
    "Œ": "OE",
    "ß": "ss",
    "ı": "i",
    "ł": "l",
    "Ł": "L",
}
CLUSTER: Final = re.compile(
    r"([A-Za-zæÆøØœŒßıłŁ])([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]*)"
)


def normalize_diacritics(text: str) -> str:
    """Case is not changed."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", CLUSTER.sub(_plain, unicodedata.normalize("NFD", text)))


def _plain(match: "re.Match[str]") -> Any:
    return SPECIAL.get(match[1], match[1])
