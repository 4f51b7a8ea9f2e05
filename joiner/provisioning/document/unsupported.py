"""Functions of other services: a mapping that calls one is kept as it is, and the engine leaves it out."""

import msgspec

from joiner.expressions.errors import ExpressionError
from joiner.expressions.functions import UNSUPPORTED
from joiner.expressions.syntax import functions_of, parse
from joiner.provisioning.mapping.schema import AttributeMapping, ObjectMapping, SynchronizationSchema


def unsupported_functions(mapping: AttributeMapping) -> frozenset[str]:
    """Those that the mapping calls and that exist only elsewhere."""
    text = mapping.source.expression if mapping.source is not None else None
    if not text:
        return frozenset()
    try:
        names = frozenset(functions_of(parse(text)))
    except ExpressionError:
        return frozenset()
    return names & UNSUPPORTED


def carried_out(schema: SynchronizationSchema) -> SynchronizationSchema:
    """The schema without the mappings that call a function that exists only elsewhere."""
    rules = tuple(
        msgspec.structs.replace(rule, object_mappings=tuple(_carried_out(mapping) for mapping in rule.object_mappings))
        for rule in schema.synchronization_rules
    )
    return msgspec.structs.replace(schema, synchronization_rules=rules)


def _carried_out(mapping: ObjectMapping) -> ObjectMapping:
    kept = tuple(item for item in mapping.attribute_mappings if not unsupported_functions(item))
    return msgspec.structs.replace(mapping, attribute_mappings=kept)
