"""Reads JSON by the types of msgspec structs, and says everything that is wrong with its shape, not only the first.

What is missing or null takes the default; what the structs do not know is passed over.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T", bound=msgspec.Struct)


class Problem(NamedTuple):
    """Something that is wrong in a document."""

    path: str
    """`synchronizationRules[0].name`; '' is the document itself."""
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'document'}: {self.message}"


def read_shape(document: Any, kind: type[T]) -> tuple[T, list[Problem]]:
    """The document as far as it can be read, with blank values where it cannot, and why it cannot."""
    problems: list[Problem] = []
    fields = _read(_type_of(kind), document, "", problems)
    return msgspec.convert(fields, kind), problems


def member(path: str, name: str) -> str:
    """The path of a member of the object at the path."""
    return f"{path}.{name}" if path else name


@cache
def _type_of(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _read(kind: inspect.Type, value: Any, path: str, problems: list[Problem]) -> Any:
    """What `msgspec.convert` accepts in place of `value`."""
    if isinstance(kind, inspect.UnionType):
        if value is None and any(isinstance(each, inspect.NoneType) for each in kind.types):
            return None
        kinds = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        # One that fits, or the one to complain about.
        kind = next((each for each in kinds if _fits(each, value)), kinds[0])
    if not _fits(kind, value):
        problems.append(Problem(path, f"must be {NOUNS[type(kind)]}, not {_noun(value)}"))
        return _blank(kind)
    reader: Reader = READERS.get(type(kind), _plain)
    return reader(kind, value, path, problems)


def _plain(kind: inspect.Type, value: Any, path: str, problems: list[Problem]) -> Any:
    return value


def _literal(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if value in kind.values:
        return value
    problems.append(Problem(path, f"'{value}' is none of {', '.join(map(str, kind.values))}"))
    return kind.values[0]


def _list(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    return [_read(kind.item_type, item, f"{path}[{number}]", problems) for number, item in enumerate(value)]


def _struct(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    fields = {}
    for field in kind.fields:
        held = value.get(field.encode_name)
        place = member(path, field.encode_name)
        if held is not None:
            fields[field.encode_name] = _read(field.type, held, place, problems)
        elif field.required:
            problems.append(Problem(place, "is missing"))
            fields[field.encode_name] = _blank(field.type)
    return fields


def _blank(kind: inspect.Type) -> Any:
    return _read(kind, BLANKS[type(kind)](kind), "", [])


def _fits(kind: inspect.Type, value: Any) -> bool:
    if isinstance(value, bool) and not isinstance(kind, inspect.BoolType):
        return False
    return isinstance(value, PYTHON_TYPES[type(kind)])


def _noun(value: Any) -> str:
    for kind, noun in ((bool, "true or false"), (str, "text"), (int | float, "a number"), (Mapping, "an object")):
        if isinstance(value, kind):
            return noun
    return "null" if value is None else "a list"


Reader = Callable[[Any, Any, str, list[Problem]], Any]
READERS: Final[Mapping[type, Reader]] = {
    inspect.LiteralType: _literal,
    inspect.StructType: _struct,
    inspect.VarTupleType: _list,
}
PYTHON_TYPES: Final[Mapping[type, Any]] = {
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.LiteralType: str,
    inspect.StrType: str,
    inspect.StructType: Mapping,
    inspect.VarTupleType: list,
}
NOUNS: Final[Mapping[type, str]] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.LiteralType: "text",
    inspect.StrType: "text",
    inspect.StructType: "an object",
    inspect.VarTupleType: "a list",
}
BLANKS: Final[Mapping[type, Callable[[Any], Any]]] = {
    inspect.BoolType: lambda kind: False,
    inspect.IntType: lambda kind: 0,
    inspect.LiteralType: lambda kind: kind.values[0],
    inspect.StrType: lambda kind: "",
    inspect.StructType: lambda kind: {},
    inspect.VarTupleType: lambda kind: [],
}
