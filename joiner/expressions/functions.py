"""The functions of the mapping language: ONE TABLE. A new function is one entry, and the reference page is made of it.

An argument that was omitted arrives as `MISSING`.
"""

from collections.abc import Mapping
from typing import Final

from joiner.expressions import chance, dates, lists, logic, reformatting, replace, text, unique
from joiner.expressions.cultures import language_of
from joiner.expressions.function import Function, Parameter
from joiner.expressions.values import is_empty, is_null, text_of, truth_of

SOURCE: Final = Parameter("source")
ROLES: Final = Parameter("appRoleAssignments", "Roles")
EXPRESSION: Final = Parameter("expression", "Any")
INTERVAL: Final = Parameter("interval", choices=tuple(dates.MOVES))
CULTURE: Final = Parameter("culture", required=False, check=language_of)
NEVER_NULL: Final = "Null counts as a value."
NULL_FAILS: Final = "A null argument is an error."

_ENTRIES: Final[tuple[Function, ...]] = (
    Function(
        "Append",
        (SOURCE, Parameter("suffix")),
        "Puts the suffix behind the source. No separator is added.",
        when_null='A null source gives null; a null suffix counts as "".',
        eager=text.append,
    ),
    Function(
        "AppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under displayName. Roles taken away stay in the target.",
        when_null="Without roles it is null.",
        eager=lists.all_roles("displayName"),
    ),
    Function(
        "AssertiveAppRoleAssignmentsComplex",
        (ROLES,),
        "All roles assigned, as SCIM roles with the name under display. Replaces the roles of the target.",
        when_null="Without roles it is null.",
        eager=lists.all_roles("display"),
    ),
    Function(
        "BitAnd",
        (Parameter("value1", "Integer"), Parameter("value2", "Integer")),
        "The bits that both numbers have. Hexadecimal numbers are written &HFF.",
        when_null=NULL_FAILS,
        limits="Numbers have 64 bits.",
        eager=logic.bit_and,
    ),
    Function(
        "CBool",
        (EXPRESSION,),
        "The truth value of its argument, usually a comparison; a number is True unless it is 0.",
        when_null="Null is False.",
        limits="Text is true, false (in any case) or digits.",
        eager=truth_of,
    ),
    Function(
        "CDate",
        (Parameter("expression", "DateTime"),),
        "A date from ISO 8601 or M/d/yyyy h:mm:ss tt, in UTC. Without offset it is taken as UTC.",
        when_null=NULL_FAILS,
        eager=dates.c_date,
    ),
    Function(
        "Coalesce",
        (Parameter("source", "Any", repeats=True),),
        "The first argument that is not null. An empty text is not null. Evaluates no more than it needs.",
        when_null="Null if all arguments are.",
        lazy=logic.coalesce,
    ),
    Function(
        "ConvertFromBase64",
        (SOURCE, Parameter("encoding", required=False, choices=tuple(text.ENCODINGS))),
        "The text that the Base64 stands for; its encoding is Unicode (UTF-16) unless another one is named.",
        limits="What is no Base64, or no text in that encoding, is an error.",
        eager=text.from_base64,
    ),
    Function("ConvertToBase64", (SOURCE,), "The text's UTF-16 bytes in Base64.", eager=text.to_base64),
    Function("ConvertToUTF8Hex", (SOURCE,), "The text's UTF-8 bytes in hexadecimal.", eager=text.to_utf8_hex),
    Function(
        "Count",
        (Parameter("attribute", "Any"),),
        "The number of values; one for a single value.",
        when_null="Null has 0.",
        eager=lists.count,
    ),
    Function("CStr", (Parameter("value", "Any"),), "The value as text.", eager=text_of),
    Function(
        "DateAdd",
        (INTERVAL, Parameter("value", "Integer"), Parameter("dateTime", "DateTime")),
        "The date so many intervals later; months and years end at the last day of their month.",
        when_null=NULL_FAILS,
        eager=dates.date_add,
    ),
    Function(
        "DateDiff",
        (INTERVAL, Parameter("date1", "DateTime"), Parameter("date2", "DateTime")),
        "How many intervals date2 is later than date1: calendar years and months, weeks by their Sundays, else whole"
        " elapsed units.",
        when_null=NULL_FAILS,
        eager=dates.date_diff,
    ),
    Function(
        "DateFromNum",
        (Parameter("value", "Integer"),),
        "A date from a Windows file time: ticks of 100 nanoseconds since 1601.",
        when_null=NULL_FAILS,
        eager=dates.date_from_num,
    ),
    Function(
        "FormatDateTime",
        (
            SOURCE,
            Parameter("dateTimeStyles", required=False),
            Parameter("inputFormat"),
            Parameter("outputFormat", required=False),
        ),
        "A date read by one of .NET's formats and written in another, in UTC. With three arguments, an older form,"
        " there are no dateTimeStyles.",
        limits="A source that does not have the inputFormat is an error.",
        prepare=reformatting.prepare,
        asks=True,
        check=lambda number: "FormatDateTime takes an inputFormat and an outputFormat" if number < 3 else None,
    ),
    Function(
        "Guid",
        (),
        "A new random UUID at every evaluation: map it only during object creation.",
        when_null="",
        eager=chance.guid,
        asks=True,
    ),
    Function(
        "IgnoreFlowIfNullOrEmpty",
        (EXPRESSION,),
        "Its argument; if that is null or empty, the attribute takes no part in this flow: it is neither written nor"
        " cleared, and its default is not used.",
        when_null="Null drops the attribute from the flow.",
        eager=logic.ignore_if_empty,
    ),
    Function(
        "IIF",
        (Parameter("condition", "Boolean"), Parameter("valueIfTrue", "Any"), Parameter("valueIfFalse", "Any")),
        'One of two values, by a condition such as [country] = "Norway". Only the chosen one is evaluated.',
        when_null="A null condition, or a comparison with null, is False.",
        lazy=logic.iif,
    ),
    Function(
        "InStr",
        (
            Parameter("value1"),
            Parameter("value2"),
            Parameter("start", "Integer", required=False),
            Parameter("compareType", required=False, choices=("vbBinaryCompare", "vbTextCompare")),
        ),
        "Where value2 first occurs in value1 at or after start; the first character is number 1; 0 if it does not."
        " With vbTextCompare the case does not matter.",
        when_null="A null text gives 0.",
        limits="start is 1 or more.",
        eager=text.in_str,
    ),
    Function(
        "IsNull",
        (EXPRESSION,),
        "True if the argument has no value. False for an empty text.",
        when_null=NEVER_NULL,
        eager=is_null,
    ),
    Function(
        "IsNullOrEmpty",
        (EXPRESSION,),
        "True if the argument has no value or is an empty text. White space is not empty.",
        when_null=NEVER_NULL,
        eager=is_empty,
    ),
    Function(
        "IsPresent",
        (EXPRESSION,),
        "True if the argument has a value that is not empty.",
        when_null=NEVER_NULL,
        eager=logic.is_present,
    ),
    Function(
        "IsString",
        (EXPRESSION,),
        "True if the argument is one value, which then has a text.",
        when_null="Null is False.",
        eager=logic.is_string,
    ),
    Function(
        "Item",
        (Parameter("attribute", "Any"), Parameter("index", "Integer")),
        "One of several values; the first has the index 1.",
        limits="An index that no value has is an error.",
        eager=lists.item,
    ),
    Function(
        "Join",
        (Parameter("separator"), Parameter("source", "Any", repeats=True)),
        "The sources with the separator between them. Several values of a source are joined too.",
        when_null='Null and empty sources are left out, with their separator. If nothing is left it is "".',
        eager=lists.join,
    ),
    Function(
        "Left",
        (Parameter("String"), Parameter("NumChars", "Integer")),
        "The first characters; all of them if NumChars is negative.",
        when_null='A null text gives "".',
        eager=text.left,
    ),
    Function(
        "Mid",
        (SOURCE, Parameter("start", "Integer"), Parameter("length", "Integer")),
        'Characters from the middle; the first is number 1. Beyond the end there is "".',
        limits="start is 1 or more, length 0 or more.",
        eager=text.mid,
    ),
    Function(
        "NormalizeDiacritics",
        (SOURCE,),
        "Letters with accents become their plain equivalents (ø is oe, ß is ss); case does not change.",
        eager=text.without_diacritics,
    ),
    Function(
        "Not",
        (Parameter("source", "Any"),),
        "False for true; True for everything else.",
        when_null="Null gives True.",
        eager=logic.negate,
    ),
    Function(
        "Now",
        (),
        "The time in UTC, the same in all mappings of an object.",
        when_null="",
        eager=chance.now,
        asks=True,
    ),
    Function(
        "NumFromDate",
        (Parameter("value", "DateTime"),),
        "The date as a Windows file time: ticks of 100 nanoseconds since 1601.",
        when_null=NULL_FAILS,
        eager=dates.num_from_date,
    ),
    Function(
        "PCase",
        (SOURCE, Parameter("wordSeparators", required=False)),
        "Every word with a capital letter and all others small. Words end at white space, punctuation and symbols,"
        " or only at the wordSeparators.",
        eager=text.p_case,
    ),
    Function("Prepend", (Parameter("prefix"), SOURCE), "Puts the prefix before the source.", eager=text.prepend),
    Function(
        "RandomString",
        (
            Parameter("Length", "Integer"),
            *(Parameter(name, "Integer") for name in chance.CLASSES),
            Parameter("CharactersToAvoid", required=False),
        ),
        "Characters that nobody can guess, with at least so many of each kind. A new text at every evaluation: map it"
        " only during object creation.",
        when_null="A null number is an error.",
        limits=f"Length is at most {chance.LONGEST}, and not less than the sum of the minima.",
        eager=chance.random_string,
        asks=True,
    ),
    Function(
        "Redact",
        (Parameter("value", "Any"),),
        "The value itself; the provisioning log shows [Redact] in its place.",
        eager=logic.same,
    ),
    Function(
        "RemoveDuplicates",
        (Parameter("attribute", "Any"),),
        "The different values, each where it occurs first. Case matters.",
        eager=lists.remove_duplicates,
    ),
    Function(
        "Replace",
        (SOURCE, *(Parameter(name, required=False) for name in replace.PARAMETERS[1:])),
        'Five functions in one; the arguments provided, of which "" is one, say which. oldValue and replacementValue:'
        " every occurrence in the source is replaced. oldValue and template: every occurrence in the template is"
        " replaced by the source. regexPattern and replacementValue: what the pattern finds is replaced, with $1 and"
        " ${name} for what its groups found. With regexGroupName: only that group's text is replaced. regexPattern,"
        " regexGroupName and replacementAttributeName: the source, or if it is null or empty what the group finds in"
        " that attribute.",
        when_null="A null source gives null, except in the last of the five.",
        limits="Patterns are .NET's. Other combinations, an empty oldValue and an unknown group are errors.",
        prepare=replace.prepare,
    ),
    Function(
        "SelectUniqueValue",
        (Parameter("rule", "Any"), Parameter("rule", "Any", repeats=True)),
        "The first value that nobody has in the target yet; later rules are not evaluated. Case does not matter.",
        when_null="Null and empty values are passed over.",
        limits="Only as the outermost function. That all values are taken is an error.",
        lazy=unique.select,
        only_outermost=True,
    ),
    Function(
        "SingleAppRoleAssignment",
        (ROLES,),
        "The display name of the first role assigned, or its value if it has no name.",
        when_null="Without roles it is null.",
        eager=lists.single_role,
    ),
    Function(
        "Split",
        (SOURCE, Parameter("delimiter")),
        "One text as several values, without white space around them. Empty ones are left out.",
        eager=lists.split,
    ),
    Function("StripSpaces", (SOURCE,), "The text without its spaces.", eager=text.strip_spaces),
    Function(
        "Switch",
        (
            Parameter("source", "Any"),
            Parameter("defaultValue", "Any", required=False),
            Parameter("key", required=False, repeats=True),
            Parameter("value", "Any", required=False, repeats=True),
        ),
        "The value whose key equals the source, else the default. Case matters. Evaluates only what it needs.",
        when_null='A null or empty source has the key "". Without default it is null.',
        lazy=logic.switch,
        check=logic.switch_problem,
    ),
    Function(
        "ToLower",
        (SOURCE, CULTURE),
        "In lower case, by the rules of the culture if one is given, such as tr-TR.",
        eager=text.change_case(str.lower, {"I": "ı", "İ": "i"}),
    ),
    Function(
        "ToUpper",
        (SOURCE, CULTURE),
        "In upper case, by the rules of the culture if one is given, such as tr-TR; ß stays ß.",
        eager=text.change_case(str.upper, {"i": "İ", "ı": "I"}),
    ),
    Function(
        "Trim", (Parameter("value", "Any"),), "Without white space around it; of several values, each.", eager=text.trim
    ),
    Function(
        "Word",
        (Parameter("String"), Parameter("WordNumber", "Integer"), Parameter("Delimiters")),
        "One of the words between the delimiters; the first is number 1. Each character of Delimiters is one, and"
        " several in a row count once.",
        when_null='A null text, and a word that there is not, give "".',
        eager=text.word,
    ),
)

FUNCTIONS: Final[Mapping[str, Function]] = {entry.name: entry for entry in _ENTRIES}
"""Name → function. Names are case-sensitive (D-09)."""
UNSUPPORTED: Final = frozenset(
    {"AppRoleAssignments", "DefaultDomain", "DNComponent", "Error", "IsNothing", "StringFromSid"}
)
"""Functions of other services' schemas: an expression with one is told from a mistake."""
