"""Values of a list are told apart as `==` does it, but without comparing each with every other."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import USERS
from joiner.scim.distinct import distinct, frozen, without, without_listed
from joiner.scim.messages import Operation
from joiner.scim.patches import apply_patch
from joiner.scim.resources import normalise_resource

# Few different ones, so that equal ones come up.
simple = st.one_of(st.none(), st.booleans(), st.sampled_from([0, 1, 1.0, 2.5, "", "a", "b"]))
values = st.recursive(simple, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner))
elements = st.dictionaries(st.sampled_from(["value", "type", "display"]), st.sampled_from("ab"), min_size=1)


class Counted(str):
    """A text that counts how often one is compared with another."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other) is True

    __hash__ = str.__hash__


@given(values, values)
def test_frozen_values_are_equal_exactly_if_the_values_are(one: Any, other: Any) -> None:
    assert (frozen(one) == frozen(other)) is (one == other)


@given(st.lists(values), st.lists(values))
def test_what_is_repeated_and_what_is_held_is_found(some: list[Any], held: list[Any]) -> None:
    assert distinct(some) == [value for place, value in enumerate(some) if value not in some[:place]]
    assert without(some, held) == [value for value in some if value not in held]


@given(st.lists(elements), st.lists(elements))
def test_a_listed_element_means_those_with_its_value_or_with_all_that_it_has(
    held: list[Any], listed: list[Any]
) -> None:
    def is_meant(item: dict[str, str], one: dict[str, str]) -> bool:
        names = ["value"] if "value" in one else list(one)
        return all(item.get(name) == one[name] for name in names)

    assert without_listed(held, listed) == [item for item in held if not any(is_meant(item, one) for one in listed)]


@pytest.mark.req("REQ-S-343")
def test_the_values_of_a_long_list_are_not_compared_with_each_other() -> None:
    count = 500

    def roles() -> list[dict[str, str]]:
        return [{"value": Counted(number)} for number in range(count)]

    def patched(verb: Literal["add", "remove", "replace"], path: str, value: Any) -> int:
        return len(apply_patch(USERS, user, [Operation(verb, path, value, True)]).resource.get("roles", []))

    Counted.comparisons = 0
    user = normalise_resource(USERS, {"userName": "kim", "roles": roles() + roles()})
    assert len(user["roles"]) == count
    assert patched("add", "roles", roles()) == count
    assert patched("remove", "roles", roles()[1:]) == 1
    assert patched("remove", "roles[value pr]", None) == 0
    assert patched("replace", "roles[value pr].type", "x") == count
    assert Counted.comparisons < 20 * count
