"""The functions of the mapping language: ONE TABLE. A new function is one entry.

An entry says what the function is called, what it takes, what it does, and in which of two ways: `eager` gets the
values of its arguments, `lazy` gets functions that give them, and evaluates only those it needs. An argument that was
omitted arrives as `MISSING`. Unless said otherwise a null source gives null (D-15).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from joiner.expressions.diacritics import normalize_diacritics
from joiner.expressions.errors import EvaluationError, IgnoreAttribute
from joiner.expressions.values import Value, canonical_text, is_empty, number_of, single, text_of, truth_of


class Missing:
    """The type of `MISSING`: an argument that was not provided, which differs from an empty text."""


MISSING: Final = Missing()
Thunk = Callable[[], Value]
Kind = Literal["String", "Integer", "Boolean", "Any", "Roles"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as the function list of the API shows it."""

    name: str
    kind: Kind = "String"
    required: bool = True
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """One function. Exactly one of `eager` and `lazy` is set."""

    name: str
    parameters: tuple[Parameter, ...]
    documentation: str
    eager: Callable[..., Value] | None = None
    lazy: Callable[[Sequence[Thunk | Missing]], Value] | None = None
    check: Callable[[int], str | None] | None = None
    """Given the number of arguments, what is wrong with it beyond the parameters' own limits."""

    def count_problem(self, number: int) -> str | None:
        """What is wrong with a call with so many arguments, None if nothing."""
        least = sum(parameter.required for parameter in self.parameters)
        most = None if any(parameter.repeats for parameter in self.parameters) else len(self.parameters)
        if number < least or (most is not None and number > most):
            wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            return f"{self.name} takes {wanted} arguments, not {number}"
        return self.check(number) if self.check else None


def _append(source: Value, suffix: Value) -> Value:
    text = text_of(source)
    return None if text is None else text + (text_of(suffix) or "")


def _coalesce(arguments: Sequence[Thunk | Missing]) -> Value:
    for argument in arguments:
        value = None if isinstance(argument, Missing) else argument()
        if value is not None and value != []:
            return value
    return None


def _count(value: Value) -> Value:
    if value is None:
        return 0
    return len(value) if isinstance(value, list) else 1


def _cstr(value: Value) -> Value:
    return text_of(value)


def _iif(arguments: Sequence[Thunk | Missing]) -> Value:
    condition, when_true, when_false = arguments
    chosen = when_true if truth_of(_value(condition)) else when_false
    return _value(chosen)


def _item(attribute: Value, index: Value) -> Value:
    position = number_of(index, "the index of Item")
    if attribute is None:
        return None
    values = attribute if isinstance(attribute, list) else [attribute]
    if not 1 <= position <= len(values):
        raise EvaluationError(f"Item asks for value {position} of {len(values)}; the first is 1")
    return values[position - 1]


def _ignore_if_empty(value: Value) -> Value:
    if is_empty(value):
        raise IgnoreAttribute
    return value


def _join(separator: Value, *sources: Value) -> Value:
    values = (value for source in sources for value in (source if isinstance(source, list) else (source,)))
    parts = (canonical_text(value) for value in values if not is_empty(value) and not isinstance(value, Missing))
    return (text_of(separator) or "").join(parts)


def _left(source: Value, number: Value) -> Value:
    length = number_of(number, "NumChars of Left")
    text = text_of(source) or ""
    return text if length < 0 else text[:length]


def _mid(source: Value, start: Value, length: Value) -> Value:
    first, number = number_of(start, "start of Mid"), number_of(length, "length of Mid")
    if first < 1 or number < 0:
        raise EvaluationError(f"Mid starts at 1 and takes 0 or more characters, not {number} from {first}")
    text = text_of(source)
    return None if text is None else text[first - 1 : first - 1 + number]


def _not(source: Value) -> Value:
    value = single(source)
    return not (value is True or (isinstance(value, str) and value.lower() == "true"))


def _normalize_diacritics(source: Value) -> Value:
    text = text_of(source)
    return None if text is None else normalize_diacritics(text)


def _split(source: Value, delimiter: Value) -> Value:
    text, mark = text_of(source), text_of(delimiter)
    if text is None:
        return None
    pieces = text.split(mark) if mark else [text]
    return [piece.strip() for piece in pieces if piece.strip()]


def _strip_spaces(source: Value) -> Value:
    text = text_of(source)
    return None if text is None else text.replace(" ", "")


def _switch(arguments: Sequence[Thunk | Missing]) -> Value:
    source, default, *pairs = arguments
    value = single(_value(source))
    # A null or empty source matches the key "".
    wanted = "" if is_empty(value) else canonical_text(value)
    for key, result in zip(pairs[::2], pairs[1::2], strict=True):
        if (text_of(_value(key)) or "") == wanted:
            return _value(result)
    return _value(default)


def _even(number: int) -> str | None:
    return "Switch takes pairs of key and value after its default" if number % 2 else None


def _case(change: Callable[[str], str], turkish: Mapping[str, str]) -> Callable[..., Value]:
    def convert(source: Value, culture: Value = MISSING) -> Value:
        text = text_of(source)
        name = None if isinstance(culture, Missing) else text_of(culture)
        language = _language(name)
        if text is None:
            return None
        if language in ("tr", "az"):
            text = "".join(turkish.get(character, character) for character in text)
        # One character to one character, as .NET does it: ß stays ß, a final sigma is no special case.
        return "".join(c if len(change(c)) != 1 else change(c) for c in text)

    return convert


def _language(culture: str | None) -> str:
    """The language of an RFC 4646 culture name; "" for the invariant one."""
    if not culture:
        return ""
    parts = culture.replace("_", "-").split("-")
    plausible = 2 <= len(parts[0]) <= 3 and all(part.isascii() and part.isalnum() and len(part) <= 8 for part in parts)
    if not plausible or not parts[0].isalpha():
        raise EvaluationError(f"'{culture}' is not a culture name such as en-US")
    return parts[0].lower()


def _single_role(roles: Value) -> Value:
    role = single(roles)
    return None if role is None else role.get("displayName") or role.get("value")


def _roles(name_key: str) -> Callable[[Value], Value]:
    def convert(roles: Value) -> Value:
        if not roles:
            return None
        return [
            {
                "primary": False,
                "type": "WindowsAzureActiveDirectoryRole",
                name_key: role.get("displayName") or role.get("value"),
                "value": role.get("value") or role.get("displayName"),
            }
            for role in (roles if isinstance(roles, list) else [roles])
        ]

    return convert


def _value(argument: Thunk | Missing) -> Value:
    return None if isinstance(argument, Missing) else argument()


def _to_lower(character: str) -> str:
    # Python lower-cases a capital sigma by its place in the word only in longer texts; alone it is σ.
    return character.lower()


SOURCE: Final = Parameter("source", "Any")
ROLES: Final = Parameter("appRoleAssignments", "Roles")
EXPRESSION: Final = Parameter("expression", "Any")
CULTURE: Final = Parameter("culture", required=False)

_ENTRIES: Final[tuple[Function, ...]] = (
    Function(
        "Append",
        (Parameter("source"), Parameter("suffix")),
        "Puts the suffix behind the source. No separator is added.",
        eager=_append,
    ),
    Function(
        "AppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under displayName. Roles taken away stay in the target.",
        eager=_roles("displayName"),
    ),
    Function(
        "AssertiveAppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under display. Replaces the roles of the target.",
        eager=_roles("display"),
    ),
    Function("CBool", (EXPRESSION,), "The truth value of its argument; non-zero is True.", eager=truth_of),
    Function(
        "Coalesce",
        (Parameter("source", "Any", repeats=True),),
        "The first argument that is not null. An empty text is not null.",
        lazy=_coalesce,
    ),
    Function("Count", (Parameter("attribute", "Any"),), "The number of values.", eager=_count),
    Function("CStr", (Parameter("value", "Any"),), "The value as text.", eager=_cstr),
    Function(
        "IgnoreFlowIfNullOrEmpty",
        (EXPRESSION,),
        "Its argument; if that is null or empty, the attribute takes no part in this flow.",
        eager=_ignore_if_empty,
    ),
    Function(
        "IIF",
        (Parameter("condition", "Boolean"), Parameter("valueIfTrue", "Any"), Parameter("valueIfFalse", "Any")),
        'One of two values, by a condition such as [country] = "Norway". Only the chosen one is evaluated.',
        lazy=_iif,
    ),
    Function(
        "IsNull",
        (EXPRESSION,),
        "True if the argument has no value. False for an empty text.",
        eager=lambda v: v is None,
    ),
    Function("IsNullOrEmpty", (EXPRESSION,), "True if the argument has no value or is empty.", eager=is_empty),
    Function(
        "IsPresent",
        (EXPRESSION,),
        "True if the argument has a value that is not empty.",
        eager=lambda v: not is_empty(v),
    ),
    Function(
        "IsString",
        (EXPRESSION,),
        "True if the argument is one value.",
        eager=lambda v: v is not None and not isinstance(v, list),
    ),
    Function(
        "Item",
        (Parameter("attribute", "Any"), Parameter("index", "Integer")),
        "One of several values; the first has the index 1.",
        eager=_item,
    ),
    Function(
        "Join",
        (Parameter("separator"), Parameter("source", "Any", repeats=True)),
        "The sources with the separator between them; null and empty ones are left out.",
        eager=_join,
    ),
    Function("Left", (Parameter("String"), Parameter("NumChars", "Integer")), "The first characters.", eager=_left),
    Function(
        "Mid",
        (Parameter("source"), Parameter("start", "Integer"), Parameter("length", "Integer")),
        "Characters from the middle; the first is number 1.",
        eager=_mid,
    ),
    Function(
        "NormalizeDiacritics",
        (Parameter("source"),),
        "Letters with accents become their plain equivalents; case does not change.",
        eager=_normalize_diacritics,
    ),
    Function(
        "Not", (Parameter("source", "Boolean"),), "False for true; True for everything else, null included.", eager=_not
    ),
    Function(
        "Redact",
        (Parameter("value", "Any"),),
        "The value itself; the provisioning log shows [Redact] in its place.",
        eager=lambda v: v,
    ),
    Function("SingleAppRoleAssignment", (ROLES,), "The name of the first role assigned.", eager=_single_role),
    Function("Split", (Parameter("source"), Parameter("delimiter")), "One text as several values.", eager=_split),
    Function("StripSpaces", (Parameter("source"),), "The text without its spaces.", eager=_strip_spaces),
    Function(
        "Switch",
        (
            SOURCE,
            Parameter("defaultValue", "Any", required=False),
            Parameter("key", required=False),
            Parameter("value", "Any", required=False, repeats=True),
        ),
        "The value whose key equals the source, else the default. Case-sensitive; evaluates only what it needs.",
        lazy=_switch,
        check=lambda number: "Switch takes a default and at least one pair" if number < 4 else _even(number),
    ),
    Function(
        "ToLower",
        (Parameter("source"), CULTURE),
        "In lower case, by the rules of the culture if one is given.",
        eager=_case(_to_lower, {"I": "ı", "İ": "i"}),
    ),
    Function(
        "ToUpper",
        (Parameter("source"), CULTURE),
        "In upper case, by the rules of the culture if one is given.",
        eager=_case(str.upper, {"i": "İ", "ı": "I"}),
    ),
)

FUNCTIONS: Final[Mapping[str, Function]] = {entry.name: entry for entry in _ENTRIES}
"""Name → function. Names are case-sensitive (D-09)."""
