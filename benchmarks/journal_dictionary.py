"""Makes the dictionary that entries of the provisioning log are compressed with, from logs that directories have.

`python -m benchmarks.journal_dictionary FILE DATABASE…` writes it to FILE. The people of the samples do not get into
it: every value is replaced by one of random letters and digits.
"""

import random
import sqlite3
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import zstandard

from joiner.provisioning.log.journal_compression import text_of
from joiner.provisioning.log.journal_packing import ADDED, END, SEPARATOR, SIGNS

SIZE: Final = 8192
SHORTEST: Final = 3
"""Shorter values are not replaced: they would be found everywhere."""
PLAIN: Final = frozenset({"True", "False"})
ALPHABETS: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


def samples(databases: list[Path]) -> Iterator[bytes]:
    for path in databases:
        with sqlite3.connect(path) as database:
            for (kept,) in database.execute("SELECT entry FROM journal"):
                yield text_of(kept)


def values_of(text: bytes) -> set[str]:
    """What the text says of the person."""
    for sign in SIGNS:
        text = text.replace(sign, b"")
    name, target_id, rest = text.split(END, 2)
    (_, _, _, changes, source, _), *additions = (orjson.loads(part.split(SEPARATOR)[0]) for part in rest.split(ADDED))
    found: list[Any] = [name.decode(), target_id.decode(), source[0]]
    for change in (*changes, *(change for addition in additions for change in addition[1])):
        found += change[1:]
    return {value for value in found if value and len(value) >= SHORTEST} - PLAIN


def anonymous(text: bytes, randomness: random.Random) -> bytes:
    """The text with other values of the same form."""
    for value in sorted(values_of(text), key=len, reverse=True):
        letters = [
            randomness.choice(next((alphabet for alphabet in ALPHABETS if letter in alphabet), letter))
            for letter in value
        ]
        text = text.replace(orjson.dumps(value)[1:-1], orjson.dumps("".join(letters))[1:-1])
    return text


def main() -> None:
    file, *databases = map(Path, sys.argv[1:])
    randomness = random.Random(1)
    texts = [anonymous(text, randomness) for text in samples(databases)]
    dictionary = zstandard.train_dictionary(SIZE, list[Any](texts)).as_bytes()
    file.write_bytes(dictionary)
    print(f"{len(texts)} samples, {len(dictionary)} bytes")


if __name__ == "__main__":
    main()
