"""A membership rule, from its text to a predicate on a user: the grammar of "Rules for dynamic membership groups".

    rule        = 'Direct Reports for "' id '"' | disjunction
    disjunction = conjunction { -or conjunction }
    conjunction = negation { -and negation }
    negation    = [ -not ] ( "(" disjunction ")" | comparison )
    comparison  = property operator value | property -any|-all condition
    condition   = a disjunction of comparisons of `_` | "(" group.objectId -in [ids] ")" of memberOf

Hyphens may be missing, or dashes; case does not count in names and words.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from joiner.directory.rules.errors import RuleError
from joiner.directory.rules.operators import OPERATORS, OPPOSITES, TESTS, Test, one_of, texts_of
from joiner.directory.rules.properties import NAMES, NOT_HELD, kind_of
from joiner.directory.rules.tokens import Token, tokens_of
from joiner.expressions.errors import hint
from joiner.expressions.patterns import PatternError
from joiner.ids import normal_id

LONGEST: Final = 3072
"""Characters."""
DEEPEST: Final = 50
MOST_GROUPS: Final = 50
"""Groups that a rule may take its members from."""
MOST_DYNAMIC_GROUPS: Final = 15_000
DASHES: Final = "-–—−"
REPORTS: Final = re.compile(r"\s*direct\s+reports\s+for\s+([\"'])(?P<id>[^\"']+)\1\s*", re.IGNORECASE)
REPORTS_BEGIN: Final = re.compile(r"\s*direct\s+reports\b", re.IGNORECASE)
WORDS: Final = {"true": True, "$true": True, "false": False, "$false": False, "null": None, "$null": None}

Subject = Mapping[str, Any]
"""Property in lower case → value: text, boolean, list of texts; of `memberof` a set of group ids."""
Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class MembershipRule:
    """A rule that can be asked."""

    text: str
    holds: Predicate
    """Of a Subject."""
    properties: frozenset[str]
    """What it looks at, in lower case: unless one of them changes, neither does its answer."""
    groups: frozenset[str] = frozenset()
    """The ids of the groups whose members it takes, instead of properties."""


@dataclass(frozen=True, slots=True)
class _Operand:
    """The left side of a comparison."""

    name: str
    """As the rule spells it."""
    kind: str
    value_of: Callable[[Any], Any]


@lru_cache(maxsize=MOST_DYNAMIC_GROUPS)
def compile_rule(text: str) -> MembershipRule:
    """Raises RuleError with the place of the first thing that is wrong."""
    if len(text) > LONGEST:
        raise RuleError(f"a rule may have {LONGEST:,} characters; this one has {len(text):,}", text, LONGEST)
    if not text.strip():
        raise RuleError("a rule must not be empty", text, 0)
    if REPORTS_BEGIN.match(text):
        return _direct_reports(text)
    return _Parser(text).rule()


def _direct_reports(text: str) -> MembershipRule:
    match = REPORTS.fullmatch(text)
    if match is None:
        raise RuleError('expected Direct Reports for "{id of the manager}" and nothing else', text, 0)
    manager = match["id"].strip().casefold()
    return MembershipRule(text, lambda user: str(user.get("manager")).casefold() == manager, frozenset({"manager"}))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._index = 0
        self._in_collection = False
        """Inside the condition of -any or -all, where `_` is compared."""
        self._properties: set[str] = set()
        self._groups: frozenset[str] = frozenset()
        self._groups_at = 0
        self._comparisons = 0

    def rule(self) -> MembershipRule:
        holds = self._disjunction(0)
        if self._token.kind != "end":
            self._fail("expected -and, -or or the end of the rule")
        if self._groups and (self._comparisons > 1 or self._words() & {"not", "and", "or"}):
            raise RuleError("memberOf cannot be combined with anything else", self._text, self._groups_at)
        return MembershipRule(self._text, holds, frozenset(self._properties), self._groups)

    # Logic

    def _disjunction(self, depth: int) -> Predicate:
        terms = [self._conjunction(depth)]
        while self._takes("or"):
            terms.append(self._conjunction(depth))
        return terms[0] if len(terms) == 1 else lambda subject: any(term(subject) for term in terms)

    def _conjunction(self, depth: int) -> Predicate:
        terms = [self._negation(depth)]
        while self._takes("and"):
            terms.append(self._negation(depth))
        return terms[0] if len(terms) == 1 else lambda subject: all(term(subject) for term in terms)

    def _negation(self, depth: int) -> Predicate:
        if depth > DEEPEST:
            self._fail(f"parentheses are nested deeper than {DEEPEST}")
        if self._takes("not"):
            negated = self._negation(depth + 1)
            return lambda subject: not negated(subject)
        if self._takes_mark("("):
            inner = self._disjunction(depth + 1)
            self._expect(")")
            return inner
        return self._comparison(depth)

    # Comparisons

    def _comparison(self, depth: int) -> Predicate:
        self._comparisons += 1
        operand = self._operand()
        token = self._advance()
        operator = token.text.lstrip(DASHES).lower() if token.kind == "word" else ""
        if operator not in OPERATORS:
            found = f"'{token.text}'" if token.text else "the end"
            problem = f"expected an operator, not {found}{hint('-' + operator, OPERATORS.values())}"
            raise RuleError(problem, self._text, token.position)
        if operator in ("any", "all"):
            return self._quantified(operand, operator, token, depth)
        if operand.kind == "memberOf":
            raise RuleError("memberOf is compared by -any (group.objectId -in ['…'])", self._text, token.position)
        wanted = OPPOSITES.get(operator, operator)
        holds = self._test(operand, wanted, OPERATORS[operator])
        return holds if wanted == operator else lambda subject: not holds(subject)

    def _operand(self) -> _Operand:
        token = self._advance()
        if token.kind != "word":
            wanted = "_" if self._in_collection else "a property such as user.department"
            found = f"'{token.text}'" if token.text else "the end"
            raise RuleError(f"expected {wanted}, not {found}", self._text, token.position)
        if self._in_collection:
            if token.text not in ("_", "\\_"):
                problem = "inside -any and -all only _ is compared; put the condition in parentheses"
                raise RuleError(problem, self._text, token.position)
            return _Operand("_", "text", lambda item: item)
        of, dot, name = token.text.partition(".")
        if of.lower() == "device" and dot:
            raise RuleError("the directory has no devices", self._text, token.position)
        if of.lower() != "user" or not dot:
            problem = f"expected a property such as user.department, not '{token.text}'"
            raise RuleError(problem, self._text, token.position)
        kind = kind_of(name)
        key = name.lower()
        if kind is None:
            why = f": {NOT_HELD[key]}" if key in NOT_HELD else hint(name, NAMES)
            raise RuleError(f"user.{name} is no property that rules can use{why}", self._text, token.position)
        if kind != "memberOf":
            self._properties.add(key)
        return _Operand(token.text, kind, lambda subject: subject.get(key))

    def _test(self, operand: _Operand, operator: str, spelling: str) -> Predicate:
        token = self._token
        value_of = operand.value_of
        if operator == "in":
            self._no_boolean(operand, spelling, token)
            return _of_texts(value_of, one_of(self._list()))
        value = self._value()
        if operator == "eq" and value is None:
            return lambda subject: not texts_of(value_of(subject))
        if operand.kind == "boolean":
            if operator != "eq" or value is None:
                self._no_boolean(operand, spelling, token)
            wanted = value if isinstance(value, bool) else WORDS.get(str(value).lower())
            if wanted is None:
                raise RuleError(f"{operand.name} is compared with true, false or null", self._text, token.position)
            return lambda subject: value_of(subject) is wanted
        if not isinstance(value, str):
            what = "null is compared by -eq and -ne" if value is None else f"{operand.name} is compared with a text"
            raise RuleError(what, self._text, token.position)
        try:
            return _of_texts(value_of, TESTS[operator](value))
        except PatternError as error:
            # The option that makes case not count is ours, not the administrator's.
            raise RuleError(str(error).replace("'(?i)", "'", 1), self._text, token.position) from None

    def _no_boolean(self, operand: _Operand, spelling: str, token: Token) -> None:
        if operand.kind == "boolean":
            raise RuleError(f"{operand.name} is compared by -eq and -ne, not {spelling}", self._text, token.position)

    def _quantified(self, operand: _Operand, operator: str, token: Token, depth: int) -> Predicate:
        if operand.kind == "memberOf" and operator == "any":
            return self._member_of(token)
        if operand.kind != "collection":
            problem = f"{operand.name} is no collection; {OPERATORS[operator]} is for otherMails and proxyAddresses"
            raise RuleError(problem, self._text, token.position)
        self._in_collection = True
        holds = self._negation(depth) if self._token.text == "(" else self._disjunction(depth)
        self._in_collection = False
        value_of = operand.value_of
        if operator == "any":
            return lambda subject: any(holds(item) for item in texts_of(value_of(subject)))
        return lambda subject: all(holds(item) for item in texts_of(value_of(subject)))

    def _member_of(self, token: Token) -> Predicate:
        self._groups_at = token.position
        self._expect("(")
        if self._advance().text.lower() != "group.objectid":
            raise RuleError("expected group.objectId", self._text, self._tokens[self._index - 1].position)
        if not self._takes("in"):
            self._fail("expected -in")
        ids = self._list()
        self._expect(")")
        if len(ids) > MOST_GROUPS:
            raise RuleError(f"memberOf may name {MOST_GROUPS} groups, not {len(ids)}", self._text, token.position)
        groups = self._groups = frozenset(normal_id(each) for each in ids)
        return lambda subject: bool(groups & subject.get("memberof", frozenset()))

    # Values

    def _value(self) -> str | bool | None:
        token = self._advance()
        if token.kind == "text":
            return token.text
        if token.kind == "word" and token.text.lower() in WORDS:
            return WORDS[token.text.lower()]
        if token.kind == "word" and _is_plain(token.text):
            return token.text
        if token.text == "[":
            raise RuleError("a list is compared by -in and -notIn", self._text, token.position)
        found = f"'{token.text}'" if token.text else "the end"
        raise RuleError(f"expected a text in quotation marks, not {found}", self._text, token.position)

    def _list(self) -> tuple[str, ...]:
        """`["a", "b"]`. Raises RuleError for an empty one."""
        self._expect("[")
        found: list[str] = []
        while True:
            token = self._token
            value = self._value()
            if not isinstance(value, str):
                raise RuleError("a list holds texts", self._text, token.position)
            found.append(value)
            if not self._takes_mark(","):
                self._expect("]")
                return tuple(found)

    # Tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _advance(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._index += 1
        return token

    def _takes(self, word: str) -> bool:
        token = self._token
        if token.kind != "word" or token.text.lstrip(DASHES).lower() != word:
            return False
        self._index += 1
        return True

    def _takes_mark(self, mark: str) -> bool:
        if self._token.kind != "mark" or self._token.text != mark:
            return False
        self._index += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._takes_mark(mark):
            self._fail(f"expected '{mark}'")

    def _words(self) -> set[str]:
        return {token.text.lstrip(DASHES).lower() for token in self._tokens if token.kind == "word"}

    def _fail(self, problem: str) -> NoReturn:
        found = f"'{self._token.text}'" if self._token.text else "the end"
        raise RuleError(f"{problem}, not {found}", self._text, self._token.position)


def _of_texts(value_of: Callable[[Any], Any], test: Test) -> Predicate:
    """Whether a text passes; of a collection any."""
    return lambda subject: any(test(text) for text in texts_of(value_of(subject)))


def _is_plain(word: str) -> bool:
    """A number, which needs no quotation marks."""
    return word.replace(".", "", 1).isdigit()
