"""Functions of several values, roles among them."""

from collections.abc import Callable

from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import Missing
from joiner.expressions.values import Value, canonical_text, check_length, is_empty, is_null, number_of, single, text_of


def count(value: Value) -> Value:
    if isinstance(value, list):
        return len(value)
    return 0 if value is None else 1


def item(attribute: Value, index: Value) -> Value:
    position = number_of(index, "the index of Item")
    if is_null(attribute):
        return None
    values = attribute if isinstance(attribute, list) else [attribute]
    if not 1 <= position <= len(values):
        raise EvaluationError(f"Item asks for value {position} of {len(values)}; the first is 1")
    return values[position - 1]


def join(separator: Value, *sources: Value) -> Value:
    parts: list[str] = []
    for source in sources:
        for value in source if isinstance(source, list) else (source,):
            if value.__class__ is str:
                if value:
                    parts.append(value)
            elif not is_empty(value) and not isinstance(value, Missing):
                parts.append(canonical_text(value))
    between = text_of(separator) or ""
    check_length(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1), "Join")
    return between.join(parts)


def remove_duplicates(attribute: Value) -> Value:
    if not isinstance(attribute, list):
        return attribute
    first: dict[str, Value] = {}
    for value in attribute:
        first.setdefault(canonical_text(value), value)
    return list(first.values())


def split(source: Value, delimiter: Value) -> Value:
    text, mark = text_of(source), text_of(delimiter)
    if text is None:
        return None
    pieces = text.split(mark) if mark else [text]
    return [trimmed for piece in pieces if (trimmed := piece.strip())] or None


def single_role(roles: Value) -> Value:
    role = single(roles)
    return None if role is None else _name_and_value(role)[0]


def all_roles(name_key: str) -> Callable[[Value], Value]:
    """Roles as the target gets them, with the name under `name_key`."""

    def convert(roles: Value) -> Value:
        if not roles:
            return None
        named = [_name_and_value(role) for role in (roles if isinstance(roles, list) else [roles])]
        return [
            {"primary": False, "type": "WindowsAzureActiveDirectoryRole", name_key: name, "value": value}
            for name, value in named
        ]

    return convert


def _name_and_value(role: Value) -> tuple[Value, Value]:
    """Each stands in for the other when that is empty (D-26)."""
    if not isinstance(role, dict):
        raise EvaluationError("only appRoleAssignments has roles")
    name, value = role.get("displayName"), role.get("value")
    return name or value, value or name
