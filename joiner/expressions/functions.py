"""The functions of the mapping language: ONE TABLE. A new function is one entry.

An argument that was omitted arrives as `MISSING`. Unless said otherwise a null source gives null (D-15).
"""

from collections.abc import Mapping
from typing import Final

from joiner.expressions import dates, lists, logic, replace, text
from joiner.expressions.function import Function, Parameter
from joiner.expressions.values import is_empty, text_of, truth_of

SOURCE: Final = Parameter("source", "Any")
ROLES: Final = Parameter("appRoleAssignments", "Roles")
EXPRESSION: Final = Parameter("expression", "Any")
INTERVAL: Final = Parameter("interval")
CULTURE: Final = Parameter("culture", required=False)

_ENTRIES: Final[tuple[Function, ...]] = (
    Function(
        "Append",
        (Parameter("source"), Parameter("suffix")),
        "Puts the suffix behind the source. No separator is added.",
        eager=text.append,
    ),
    Function(
        "AppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under displayName. Roles taken away stay in the target.",
        eager=lists.all_roles("displayName"),
    ),
    Function(
        "AssertiveAppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under display. Replaces the roles of the target.",
        eager=lists.all_roles("display"),
    ),
    Function(
        "BitAnd",
        (Parameter("value1", "Integer"), Parameter("value2", "Integer")),
        "The bits that both numbers have. Hexadecimal numbers are written &HFF.",
        eager=logic.bit_and,
    ),
    Function("CBool", (EXPRESSION,), "The truth value of its argument; non-zero is True.", eager=truth_of),
    Function(
        "CDate",
        (Parameter("expression"),),
        "A date from ISO 8601 or M/d/yyyy h:mm:ss tt, in UTC.",
        eager=dates.c_date,
    ),
    Function(
        "Coalesce",
        (Parameter("source", "Any", repeats=True),),
        "The first argument that is not null. An empty text is not null.",
        lazy=logic.coalesce,
    ),
    Function("ConvertToBase64", (Parameter("source"),), "The text's UTF-16 bytes in Base64.", eager=text.to_base64),
    Function(
        "ConvertToUTF8Hex", (Parameter("source"),), "The text's UTF-8 bytes in hexadecimal.", eager=text.to_utf8_hex
    ),
    Function("Count", (Parameter("attribute", "Any"),), "The number of values.", eager=lists.count),
    Function("CStr", (Parameter("value", "Any"),), "The value as text.", eager=text_of),
    Function(
        "DateAdd",
        (INTERVAL, Parameter("value", "Integer"), Parameter("dateTime", "DateTime")),
        "The date so many intervals later; months and years end at the last day of their month.",
        eager=dates.date_add,
    ),
    Function(
        "DateDiff",
        (INTERVAL, Parameter("date1", "DateTime"), Parameter("date2", "DateTime")),
        "How many intervals date2 is later than date1, as Visual Basic counts.",
        eager=dates.date_diff,
    ),
    Function(
        "DateFromNum",
        (Parameter("value", "Integer"),),
        "A date from a Windows file time: ticks of 100 nanoseconds since 1601.",
        eager=dates.date_from_num,
    ),
    Function(
        "FormatDateTime",
        (
            Parameter("source"),
            Parameter("dateTimeStyles", required=False),
            Parameter("inputFormat"),
            Parameter("outputFormat", required=False),
        ),
        "A date written in another of .NET's custom formats. With three arguments there are no dateTimeStyles.",
        eager=dates.format_date_time,
        check=lambda number: "FormatDateTime takes an inputFormat and an outputFormat" if number < 3 else None,
    ),
    Function(
        "IgnoreFlowIfNullOrEmpty",
        (EXPRESSION,),
        "Its argument; if that is null or empty, the attribute takes no part in this flow.",
        eager=logic.ignore_if_empty,
    ),
    Function(
        "IIF",
        (Parameter("condition", "Boolean"), Parameter("valueIfTrue", "Any"), Parameter("valueIfFalse", "Any")),
        'One of two values, by a condition such as [country] = "Norway". Only the chosen one is evaluated.',
        lazy=logic.iif,
    ),
    Function(
        "InStr",
        (
            Parameter("value1"),
            Parameter("value2"),
            Parameter("start", "Integer", required=False),
            Parameter("compareType", required=False),
        ),
        "Where value2 first occurs in value1; the first character is number 1; 0 if it does not.",
        eager=text.in_str,
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
        eager=logic.is_string,
    ),
    Function(
        "Item",
        (Parameter("attribute", "Any"), Parameter("index", "Integer")),
        "One of several values; the first has the index 1.",
        eager=lists.item,
    ),
    Function(
        "Join",
        (Parameter("separator"), Parameter("source", "Any", repeats=True)),
        "The sources with the separator between them; null and empty ones are left out.",
        eager=lists.join,
    ),
    Function("Left", (Parameter("String"), Parameter("NumChars", "Integer")), "The first characters.", eager=text.left),
    Function(
        "Mid",
        (Parameter("source"), Parameter("start", "Integer"), Parameter("length", "Integer")),
        "Characters from the middle; the first is number 1.",
        eager=text.mid,
    ),
    Function(
        "NormalizeDiacritics",
        (Parameter("source"),),
        "Letters with accents become their plain equivalents; case does not change.",
        eager=text.without_diacritics,
    ),
    Function(
        "Not",
        (Parameter("source", "Boolean"),),
        "False for true; True for everything else, null included.",
        eager=logic.negate,
    ),
    Function(
        "NumFromDate",
        (Parameter("value", "DateTime"),),
        "The date as a Windows file time: ticks of 100 nanoseconds since 1601.",
        eager=dates.num_from_date,
    ),
    Function(
        "PCase",
        (Parameter("source"), Parameter("wordSeparators", required=False)),
        "Every word with a capital letter and all others small.",
        eager=text.p_case,
    ),
    Function(
        "Redact",
        (Parameter("value", "Any"),),
        "The value itself; the provisioning log shows [Redact] in its place.",
        eager=lambda v: v,
    ),
    Function(
        "RemoveDuplicates",
        (Parameter("attribute", "Any"),),
        "The different values, each where it occurs first.",
        eager=lists.remove_duplicates,
    ),
    Function(
        "Replace",
        (Parameter("source"), *(Parameter(name, required=False) for name in replace.PARAMETERS[1:])),
        "The source with a text, what a pattern finds, or a group of it replaced. The arguments given say which.",
        prepare=replace.prepare,
    ),
    Function("SingleAppRoleAssignment", (ROLES,), "The name of the first role assigned.", eager=lists.single_role),
    Function("Split", (Parameter("source"), Parameter("delimiter")), "One text as several values.", eager=lists.split),
    Function("StripSpaces", (Parameter("source"),), "The text without its spaces.", eager=text.strip_spaces),
    Function(
        "Switch",
        (
            SOURCE,
            Parameter("defaultValue", "Any", required=False),
            Parameter("key", required=False),
            Parameter("value", "Any", required=False, repeats=True),
        ),
        "The value whose key equals the source, else the default. Case-sensitive; evaluates only what it needs.",
        lazy=logic.switch,
        check=logic.switch_problem,
    ),
    Function(
        "ToLower",
        (Parameter("source"), CULTURE),
        "In lower case, by the rules of the culture if one is given.",
        eager=text.change_case(str.lower, {"I": "ı", "İ": "i"}),
    ),
    Function(
        "ToUpper",
        (Parameter("source"), CULTURE),
        "In upper case, by the rules of the culture if one is given.",
        eager=text.change_case(str.upper, {"i": "İ", "ı": "I"}),
    ),
    Function(
        "Word",
        (Parameter("String"), Parameter("WordNumber", "Integer"), Parameter("Delimiters")),
        "One of the words between the delimiters; the first is number 1.",
        eager=text.word,
    ),
)

FUNCTIONS: Final[Mapping[str, Function]] = {entry.name: entry for entry in _ENTRIES}
"""Name → function. Names are case-sensitive (D-09)."""
