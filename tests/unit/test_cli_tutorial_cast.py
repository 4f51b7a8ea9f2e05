"""Whom the tutorial assigns, and who joins, moves and leaves, whatever the directory is like."""

from typing import Any

from joiner.cli.tutorial_cast import (
    EXAMPLE_GROUPS,
    MOST_GROUPS,
    MOST_PEOPLE,
    Cast,
    Choice,
    Company,
    Group,
    Person,
    choose_assignments,
    choose_cast,
)


def person(name: str, department: str = "", *, active: bool = True, guest: bool = False, **properties: Any) -> Person:
    return Person(
        id=f"id-{name}",
        name=f"{name}@fjord.example",
        display_name=name.capitalize(),
        is_active=active,
        is_guest=guest,
        properties={"department": department or None, **properties},
    )


def group(name: str, *people: Person) -> Group:
    return Group(id=f"id-{name}", name=name, user_ids=frozenset(each.id for each in people))


def cast_of(company: Company) -> tuple[Choice, Cast]:
    choice = choose_assignments(company, is_example=False)
    return choice, choose_cast(company, choice)


ANA, BO, CY, DI = (person(name, "Sales") for name in ("ana", "bo", "cy", "di"))


def test_every_group_with_people_is_assigned_and_one_person_who_is_in_none() -> None:
    outsider, disabled = person("zoe"), person("yan", active=False)
    company = Company((ANA, BO, disabled, outsider), (group("Big", ANA, BO), group("Empty")))
    choice, _ = cast_of(company)
    assert [each.name for each in choice.groups] == ["Big"]
    assert choice.people == (outsider,)
    assert choice.rule == "every group of the file that has people in it, and one person who is in none of them"


def test_of_many_groups_the_largest_are_assigned() -> None:
    groups = tuple(group(f"g{number}", ANA) for number in range(MOST_GROUPS + 5))
    choice, _ = cast_of(Company((ANA,), groups))
    assert choice.groups == groups[:MOST_GROUPS]
    assert "largest groups" in choice.rule


def test_without_groups_the_largest_department_is_assigned() -> None:
    boss = person("boss", "Board")
    choice, cast = cast_of(Company((ANA, BO, boss), ()))
    assert choice.people == (ANA, BO)
    assert "the largest department, Sales" in choice.rule
    assert cast.newcomer is not None
    assert cast.newcomer_group is None
    assert (cast.member, cast.member_group) == (None, None)


def test_without_groups_and_departments_everybody_active_is_assigned_up_to_a_limit() -> None:
    people = tuple(person(f"p{number:04d}") for number in range(MOST_PEOPLE + 10))
    choice, _ = cast_of(Company((*people, person("zz", active=False)), ()))
    assert choice.people == people[:MOST_PEOPLE]
    assert f"the first {MOST_PEOPLE} by name" in choice.rule


def test_the_parts_go_to_different_people_who_are_active_and_no_guests() -> None:
    guest, gone = person("a-guest", "Sales", guest=True), person("a-gone", "Sales", active=False)
    big, small = group("Big", guest, gone, ANA, BO, CY), group("Small", DI)
    _, cast = cast_of(Company((gone, guest, ANA, BO, CY, DI, person("eve", "Legal")), (big, small)))
    assert (cast.mover, cast.leaver, cast.member) == (ANA, BO, CY)
    assert cast.member_group == small
    assert cast.move == {"department": "Legal", "jobTitle": "Team lead"}


def test_the_newcomer_resembles_a_colleague_and_takes_a_free_name() -> None:
    colleague = person("ana", "Sales", city="Bergen", country=None)
    taken = person("nova.newcomer")
    _, cast = cast_of(Company((colleague, taken), (group("Sales", colleague),)))
    assert cast.newcomer is not None
    assert cast.newcomer["userPrincipalName"] == "nova.newcomer1@fjord.example"
    assert (cast.newcomer["department"], cast.newcomer["city"]) == ("Sales", "Bergen")
    assert "country" not in cast.newcomer
    assert cast.newcomer_group is not None
    assert cast.newcomer_group.name == "Sales"


def test_a_directory_without_anybody_active_has_no_parts() -> None:
    gone = person("gone", active=False)
    _, cast = cast_of(Company((gone,), (group("G", gone),)))
    assert (cast.newcomer, cast.mover, cast.leaver, cast.member) == (None, None, None, None)


def test_one_person_alone_only_moves() -> None:
    choice, cast = cast_of(Company((ANA,), (group("G", ANA),)))
    assert choice.people == ()
    assert cast.mover == ANA
    assert (cast.leaver, cast.member) == (None, None)


def test_of_the_example_company_only_some_groups_are_assigned() -> None:
    company = Company((ANA, BO), (group("Service desk", ANA), group("Finance", BO)))
    choice = choose_assignments(company, is_example=True)
    assert "Finance" not in EXAMPLE_GROUPS
    assert [each.name for each in choice.groups] == ["Service desk"]
    assert choice.people == (BO,)
