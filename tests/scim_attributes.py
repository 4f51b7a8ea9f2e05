"""Strategies of hypothesis for the attributes of schemas."""

from hypothesis import strategies as st

from joiner.scim.schemas import Attribute

NAMES = st.from_regex(r"[A-Za-z$][A-Za-z0-9$_-]{0,8}", fullmatch=True)


def attributes(*, inside: bool) -> st.SearchStrategy[Attribute]:
    """Attributes as an administrator may define them; `inside`: parts of a complex one."""
    kinds = ["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference"]
    simple = st.builds(
        Attribute,
        NAMES,
        st.sampled_from(kinds),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["readWrite", "readOnly", "writeOnly", *([] if inside else ["immutable"])]),
        st.sampled_from(["always", "default", "never", *([] if inside else ["request"])]),
        st.sampled_from(["none", "server", "global"]),
        st.text(max_size=5).filter(lambda text: "\x00" not in text),
        st.lists(st.text(max_size=3), max_size=2).map(tuple),
    )
    if inside:
        return simple
    subs = several(attributes(inside=True))
    return st.one_of(
        simple, st.builds(lambda name, parts: Attribute(name, "complex", sub_attributes=parts), NAMES, subs)
    )


def several(one: st.SearchStrategy[Attribute]) -> st.SearchStrategy[tuple[Attribute, ...]]:
    """Up to four with different names, none of them that of an attribute that every resource has."""
    unique = st.lists(one, min_size=1, max_size=4, unique_by=lambda each: each.name.lower())
    return unique.filter(
        lambda found: not {each.name.lower() for each in found} & {"schemas", "id", "externalid", "meta"}
    ).map(tuple)
