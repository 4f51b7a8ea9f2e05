"""Rules of dynamic groups: what they mean, what they look at, and what is refused with the place."""

from typing import Any

import pytest

from joiner.directory.rules.errors import RuleError
from joiner.directory.rules.grammar import LONGEST, compile_rule

DANA: dict[str, Any] = {
    "objectid": "0b7c1a52-93d4-4e1f-8a60-2f5d9c3e7b18",
    "userprincipalname": "dana.novak@contoso.example",
    "displayname": 'Dana "Dee" O\'Neill',
    "department": "Service desk",
    "country": "US",
    "employeeid": "1042",
    "accountenabled": True,
    "othermails": ["dana@home.example", "dee@fjord.example"],
    "extensionattribute15": "Marketing",
    "extension_c272a57b722d4eb29bfe327874ae79cb_officenumber": "123",
    "manager": "7d3e0000-0000-4000-8000-000000000000",
    "usertype": "Member",
    "memberof": {"g1"},
}


def holds(rule: str) -> bool:
    return compile_rule(rule).holds(DANA)


@pytest.mark.parametrize(
    "rule",
    [
        'user.department -eq "service DESK"',
        'user.DEPARTMENT eq "Service desk"',
        "user.department -eq 'Service desk'",
        'user.department –ne "Sales"',
        'user.department -startsWith "serv"',
        'user.department -notStartsWith "desk"',
        'user.department -endsWith"DESK"',
        'user.department -notEndsWith "service"',
        'user.department -contains "ice d"',
        'user.department -notContains "Sales"',
        'user.department -match "^serv.*"',
        'user.department -match "vice"',
        'user.department -notMatch "^desk"',
        'user.department -in ["Sales", "service desk"]',
        'user.department -notIn ["Sales"]',
        "user.employeeId -eq 1042",
        "user.employeeId -in [1041, 1042]",
        'user.displayName -eq "Dana `"Dee`" O\'\'Neill"',
        "user.displayName -contains 'O''Neill'",
        "user.accountEnabled -eq true",
        'user.accountEnabled -eq "True"',
        "user.accountEnabled -ne $false",
        "user.objectId -ne null",
        "user.city -eq null",
        "user.mail -eq $null",
        'user.city -ne "Brno"',
        'user.city -notContains "Brno"',
        'not (user.city -eq "Brno")',
        '-not user.country -eq "CZ" -and user.department -eq "Service desk"',
        'user.country -eq "CZ" -and user.city -eq "Brno" -or user.accountEnabled -eq true',
        'user.accountEnabled -eq true -or user.country -eq "CZ" -and user.city -eq "Brno"',
        'user.country -eq "US" -and (user.department -eq "Sales" -or user.department -eq "Service desk")',
        '(user.otherMails -any (_ -endsWith "@fjord.example"))',
        'user.otherMails -any _ -endsWith "@fjord.example"',
        'user.otherMails -any (_ -contains "dee" -and _ -contains "fjord")',
        'user.otherMails -all (_ -contains "@")',
        'user.otherMails -startsWith "dee@"',
        'user.otherMails -notEndsWith "@outlook.com"',
        "user.proxyAddresses -eq null",
        'user.proxyAddresses -all (_ -contains "nobody has one")',
        '(user.extensionAttribute15 -eq "Marketing")',
        'user.extension_c272a57b722d4eb29bfe327874ae79cb_OfficeNumber -eq "123"',
        'Direct Reports for "7D3E0000-0000-4000-8000-000000000000"',
        "user.memberOf -any (group.objectId -in ['g1', 'g2'])",
        '(user.objectId -ne null) -and (user.userType -eq "Member")',
        '\n  user.country\n  -eq\t"US"  ',
    ],
)
def test_a_rule_holds(rule: str) -> None:
    assert holds(rule)


@pytest.mark.parametrize(
    "rule",
    [
        'user.department -ne "Service desk"',
        'user.city -contains "B"',
        'user.city -match ".*"',
        'user.city -in ["Brno"]',
        "user.department -eq null",
        "user.dirSyncEnabled -eq false",
        'user.country -eq "CZ" -and (user.city -eq "Brno" -or user.accountEnabled -eq true)',
        'user.otherMails -all (_ -contains "fjord")',
        'user.otherMails -any (_ -contains "dee" -and _ -contains "home")',
        'user.otherMails -notEndsWith "@fjord.example"',
        'user.proxyAddresses -any (_ -contains "")',
        'Direct Reports for "8d3e0000-0000-4000-8000-000000000000"',
        'user.memberOf -any (group.objectId -in ["g2"])',
    ],
)
def test_a_rule_does_not_hold(rule: str) -> None:
    assert not holds(rule)


def test_a_rule_tells_what_it_looks_at() -> None:
    rule = compile_rule('user.Department -eq "x" -and -not (user.otherMails -any (_ -eq "y")) -or user.city -ne null')
    assert rule.properties == {"department", "othermails", "city"}
    assert compile_rule('Direct Reports for "1"').properties == {"manager"}
    rule = compile_rule("user.memberof -any (group.objectId -in ['0B7C1A52-93D4-4E1F-8A60-2F5D9C3E7B18', 'g2'])")
    assert not rule.properties
    assert rule.groups == {"0b7c1a52-93d4-4e1f-8a60-2f5d9c3e7b18", "g2"}


@pytest.mark.parametrize(
    ("rule", "position", "problem"),
    [
        ("", 0, "must not be empty"),
        ('user.departmen -eq "x"', 0, "did you mean 'department'"),
        ('user.id -eq "x"', 0, "user.id is no property"),
        ('department -eq "x"', 0, "expected a property such as user.department"),
        ('device.displayName -eq "x"', 0, "no devices"),
        ("user.employeeHireDate -ge system.now", 0, "change with the time"),
        ('user.assignedPlans -any (assignedPlan.service -eq "SCO")', 0, "no service plans"),
        ('user.department -equals "x"', 16, "expected an operator, not '-equals'"),
        ("user.department -eq", 19, "expected a text in quotation marks, not the end"),
        ("user.department -eq Sales", 20, "expected a text in quotation marks, not 'Sales'"),
        ('user.department -eq "Sales', 20, "without closing quotation mark"),
        ("user.department -eq true", 20, "compared with a text"),
        ("user.department -contains null", 26, "null is compared by -eq and -ne"),
        ('user.department -eq ["x"]', 20, "compared by -in and -notIn"),
        ('user.department -in "x"', 20, "expected '['"),
        ("user.department -in []", 21, "expected a text"),
        ('user.department -in ["x" "y"]', 25, "expected ']'"),
        ("user.department -in [true]", 21, "a list holds texts"),
        ('user.accountEnabled -eq "yes"', 24, "true, false or null"),
        ("user.accountEnabled -contains true", 30, "compared by -eq and -ne, not -contains"),
        ("user.accountEnabled -in [1]", 24, "compared by -eq and -ne, not -in"),
        ('(user.department -eq "x"', 24, "expected ')', not the end"),
        ('user.department -eq "x")', 23, "expected -and, -or or the end of the rule, not ')'"),
        ('user.department -eq "x" user.city -eq "y"', 24, "expected -and, -or or the end of the rule"),
        ('user.department -eq "x" -and', 28, "expected a property such as user.department, not the end"),
        ('user.department -match "(?=x)"', 23, "the pattern '(?=x)' cannot be used"),
        ('user.department -match "["', 23, "the pattern '['"),
        ('user.department -any (_ -eq "x")', 16, "is no collection"),
        ('user.otherMails -any (user.city -eq "x")', 22, "only _ is compared"),
        ('user.otherMails -any _ -eq "x" -and user.city -eq "y"', 36, "put the condition in parentheses"),
        ("Direct Reports for 5", 0, 'expected Direct Reports for "'),
        ('Direct Reports for "1" -and user.city -eq "x"', 0, "and nothing else"),
        ('user.memberOf -eq "g1"', 14, "-any (group.objectId -in"),
        ('user.city -eq "x" -or user.memberOf -any (group.objectId -in ["g1"])', 36, "cannot be combined"),
        ('-not (user.memberOf -any (group.objectId -in ["g1"]))', 20, "cannot be combined"),
        ('user.memberOf -any (group.id -in ["g1"])', 20, "expected group.objectId"),
        (f"user.memberOf -any (group.objectId -in [{', '.join(['1'] * 51)}])", 14, "may name 50 groups, not 51"),
        ("(" * 60 + 'user.city -eq "x"' + ")" * 60, 51, "nested deeper than 50"),
        ('user.city -eq "' + "x" * LONGEST + '"', LONGEST, "may have 3,072 characters"),
    ],
)
def test_a_bad_rule_is_refused_with_the_place(rule: str, position: int, problem: str) -> None:
    with pytest.raises(RuleError) as refused:
        compile_rule(rule)
    assert problem in str(refused.value)
    assert refused.value.position == position


def test_a_rule_of_the_greatest_length_is_evaluated() -> None:
    term = 'user.city -ne "x"'
    count = (LONGEST + 5) // (len(term) + 6)
    rule = " -and ".join([term] * count)
    assert len(rule) <= LONGEST
    assert holds(rule)
