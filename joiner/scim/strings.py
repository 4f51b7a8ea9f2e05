"""Strings as they are compared: names without case, width or normal form (RFC 7644 §5, RFC 8265 §3.3).

The spelling that was sent is what is stored and returned; these are for indexes and comparison only.
"""

import unicodedata


def prepare_user_name(text: str) -> str:
    """UsernameCaseMapped without its refusals: addresses and names with blanks occur (REQ-S-340)."""
    if text.isascii():
        return text.lower()
    narrow = "".join(
        unicodedata.normalize("NFKC", c) if unicodedata.east_asian_width(c) in ("F", "H") else c for c in text
    )
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", narrow).casefold())


def prepare_text(text: str) -> str:
    """Other strings that are not case-exact: NFC and case folding."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
