"""Whether a schema document can be saved: everything that is wrong with it, each at its path (REQ-P-144).

Attribute mappings have their checks in `mappings.py`, scoping filters in `mapping/scoping.py`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.provisioning.document.completion import complete_document
from joiner.provisioning.document.findings import Findings, Report
from joiner.provisioning.document.mappings import Objects, check_mappings
from joiner.provisioning.document.unsupported import carried_out
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.schema import (
    AttributeDefinition,
    DirectoryDefinition,
    Flags,
    ObjectDefinition,
    ObjectMapping,
    SchemaError,
    SynchronizationRule,
    SynchronizationSchema,
    words_of,
)
from joiner.provisioning.mapping.scoping import clauses_of, validate_filter
from joiner.provisioning.mapping.shape import read_shape

FLOWS: Final = ("None", "Add", "Update", "Delete")
DISCOVERABILITIES: Final = ("None", "AttributeNames", "AttributeDataTypes", "AttributeReadOnly", "ReferenceAttributes")
PROVISIONED: Final = ("User", "Group")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Before:
    """What the document is to replace."""

    template: Document
    """The template's document: which mappings are required, which rules there are."""
    stored: Document
    sync_all: bool
    """The job's scope is all users and groups."""


def check_document(document: Document, before: Before | None = None) -> Report:
    """Everything that is wrong. Without `before` as far as the document alone tells."""
    completed = complete_document(document, before.stored if before is not None else None)
    schema, problems = read_shape(completed, SynchronizationSchema)
    findings = Findings(problems)
    _check_directories(schema.directories, findings)
    _check_rules(schema, findings, sync_all=before is not None and before.sync_all)
    if before is not None:
        _check_change(schema, before, findings)
    if not findings.errors:
        # What the engine would stumble over is an error, whether a check above knows of it or not.
        try:
            compile_plan(carried_out(schema))
        except SchemaError as error:
            for problem in error.problems:
                path, _, message = problem.partition(": ")
                findings.error(path, message)
    return findings.report()


# Directories


def _check_directories(directories: Sequence[DirectoryDefinition], findings: Findings) -> None:
    _check_unique([each.name for each in directories], "directories", "directory", findings)
    for number, directory in enumerate(directories):
        place = f"directories[{number}]"
        _check_words(directory.discoverabilities, DISCOVERABILITIES, f"{place}.discoverabilities", findings)
        _check_unique([each.name for each in directory.objects], f"{place}.objects", "object", findings)
        names = {each.name for each in directory.objects}
        for position, definition in enumerate(directory.objects):
            _check_attributes(definition, f"{place}.objects[{position}].attributes", names, findings)


def _check_attributes(definition: ObjectDefinition, place: str, objects: set[str], findings: Findings) -> None:
    _check_unique([each.name for each in definition.attributes], place, "attribute", findings)
    anchors = [each.name for each in definition.attributes if each.anchor]
    if len(anchors) != 1:
        found = f"there are {', '.join(anchors)}" if anchors else "there is none"
        findings.error(place, f"'{definition.name}' must have exactly one anchor; {found}")
    for number, attribute in enumerate(definition.attributes):
        for position, reference in enumerate(attribute.referenced_objects):
            name = reference.referenced_object_name
            if name not in objects:
                path = f"{place}[{number}].referencedObjects[{position}].referencedObjectName"
                findings.warn(path, f"the directory has no object '{name}'")


def _check_unique(names: Sequence[str], place: str, noun: str, findings: Findings, member: str = "name") -> None:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            findings.error(f"{place}[{number}].{member}", f"there is another {noun} with the {member} '{name}'")
        seen.add(name)


def _check_words(flags: Flags, known: Sequence[str], path: str, findings: Findings) -> None:
    folded = {word.lower() for word in known}
    for word in words_of(flags):
        if word.lower() not in folded and word.lower() != "unknownfuturevalue":
            findings.error(path, f"'{word}' is none of {', '.join(known)}")


# Rules


def _check_rules(schema: SynchronizationSchema, findings: Findings, *, sync_all: bool) -> None:
    rules = schema.synchronization_rules
    if not rules:
        findings.error("synchronizationRules", "there is no rule")
    _check_unique([rule.id for rule in rules], "synchronizationRules", "rule", findings, member="id")
    directories = {directory.name: directory for directory in schema.directories}
    carried: set[str] = set()
    for number, rule in enumerate(rules):
        place = f"synchronizationRules[{number}]"
        for member, name in (
            ("sourceDirectoryName", rule.source_directory_name),
            ("targetDirectoryName", rule.target_directory_name),
        ):
            if name not in directories:
                findings.error(f"{place}.{member}", f"the document has no directory '{name}'{_there_are(directories)}")
        names = [mapping.name for mapping in rule.object_mappings if mapping.name]
        for name in [name for name, times in Counter(names).items() if times > 1]:
            findings.error(f"{place}.objectMappings", f"there are several mappings with the name '{name}'")
        for position, mapping in enumerate(rule.object_mappings):
            path = f"{place}.objectMappings[{position}]"
            if mapping.source_object_name in carried:
                findings.warn(path, f"there is an earlier mapping of {mapping.source_object_name}; only that is used")
            carried.add(mapping.source_object_name)
            _check_object_mapping(schema, rule, mapping, path, findings, sync_all=sync_all)
    if rules and "User" not in carried and not findings.errors:
        findings.warn("synchronizationRules", "no mapping has users as its source: nobody is provisioned")


def _check_object_mapping(
    schema: SynchronizationSchema,
    rule: SynchronizationRule,
    mapping: ObjectMapping,
    path: str,
    findings: Findings,
    *,
    sync_all: bool,
) -> None:
    if mapping.source_object_name not in PROVISIONED:
        told = f"'{mapping.source_object_name}' is neither User nor Group"
        findings.error(f"{path}.sourceObjectName", told)
    if mapping.source_object_name == "User" and not mapping.enabled:
        findings.error(f"{path}.enabled", "the mapping of users cannot be disabled; that of groups can")
    _check_words(mapping.flow_types, FLOWS, f"{path}.flowTypes", findings)
    source, target = mapping.source_object_name, mapping.target_object_name
    sources = _declared(schema, rule.source_directory_name, source, f"{path}.sourceObjectName", findings)
    targets = _declared(schema, rule.target_directory_name, target, f"{path}.targetObjectName", findings)
    check_mappings(mapping, Objects(sources, targets), path, findings, sync_all=sync_all)
    for problem in validate_filter(mapping.scope, sources or {}):
        findings.error(f"{path}.scope.{problem.path}", problem.message)
    for place, clause in clauses_of(mapping.scope):
        if sources is not None and clause.source_operand_name not in sources:
            told = f"the source has no attribute '{clause.source_operand_name}'; it counts as empty"
            findings.warn(f"{path}.scope.{place}.sourceOperandName", told)


def _declared(
    schema: SynchronizationSchema, directory: str, name: str, path: str, findings: Findings
) -> Mapping[str, AttributeDefinition] | None:
    """The attributes of the object by name; None if it is not declared, which is reported."""
    found = next((each for each in schema.directories if each.name == directory), None)
    if found is None:
        # The rule has been told already.
        return None
    definition = next((each for each in found.objects if each.name == name), None)
    if definition is None:
        known = _there_are(each.name for each in found.objects)
        findings.error(path, f"the directory '{directory}' has no object '{name}'{known}")
        return None
    return {attribute.name: attribute for attribute in definition.attributes}


def _there_are(names: Iterable[str]) -> str:
    known = ", ".join(names)
    return f"; there are {known}" if known else ""


# What is replaced


def _check_change(schema: SynchronizationSchema, before: Before, findings: Findings) -> None:
    template, _ = read_shape(before.template, SynchronizationSchema)
    stored, _ = read_shape(before.stored, SynchronizationSchema)
    required = required_targets(template)
    for number, rule in enumerate(schema.synchronization_rules):
        for position, mapping in enumerate(rule.object_mappings):
            present = {item.target_attribute_name for item in mapping.attribute_mappings}
            for name in required.get(mapping.source_object_name, ()):
                if name not in present:
                    path = f"synchronizationRules[{number}].objectMappings[{position}].attributeMappings"
                    findings.error(path, f"the template requires the mapping to '{name}'; it cannot be deleted")
    known = {rule.id for rule in (*template.synchronization_rules, *stored.synchronization_rules)}
    for number, rule in enumerate(schema.synchronization_rules):
        if rule.id not in known:
            findings.warn(f"synchronizationRules[{number}].id", f"neither template nor job has a rule '{rule.id}'")
    for rule in stored.synchronization_rules:
        if not rule.editable and rule not in schema.synchronization_rules:
            findings.error("synchronizationRules", f"the rule '{rule.name}' is not editable")


def required_targets(template: SynchronizationSchema) -> dict[str, list[str]]:
    """Source object → target attributes whose mappings the template requires (REQ-P-016)."""
    required: dict[str, list[str]] = {}
    for rule in template.synchronization_rules:
        for mapping in rule.object_mappings:
            definition = template.object_definition(rule.target_directory_name, mapping.target_object_name)
            needed = {each.name for each in definition.attributes if each.required} if definition else set()
            required[mapping.source_object_name] = [
                item.target_attribute_name
                for item in mapping.attribute_mappings
                if item.target_attribute_name in needed
            ]
    return required
