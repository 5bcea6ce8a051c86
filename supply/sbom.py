"""The lock file as a software bill of materials, CycloneDX 1.6 in JSON: same lock, same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from uuid import UUID

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from supply.lock import PROJECT, Pin, shipped

SCHEMA = SchemaVersion.V1_6


def make_sbom(pins: Sequence[Pin]) -> str:
    """Return the bill of materials. Its serial number comes from its contents; it has no date.

    What only development needs is in it with scope excluded, as the standard has it for tests.
    """
    at_users = shipped(pins)
    root = Component(
        name=PROJECT,
        version=version(PROJECT),
        type=ComponentType.APPLICATION,
        licenses=[DisjunctiveLicense(id="MIT")],
        bom_ref=PROJECT,
    )
    parts = [(pin, _component(pin, pin.name in at_users)) for pin in pins]
    bom = Bom(components=[part for _, part in parts])
    bom.metadata.component = root
    for name, of in [(PROJECT, root), *((pin.name, part) for pin, part in parts)]:
        needed = (part for pin, part in parts if name in pin.needed_by)
        bom.dependencies.add(Dependency(of.bom_ref, [Dependency(part.bom_ref) for part in needed]))
    bom.metadata.timestamp = None  # type: ignore[assignment]
    digest = hashlib.sha256(repr(pins).encode()).digest()
    bom.serial_number = UUID(bytes=digest[:16], version=4)
    return make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2) + "\n"


def find_fault(sbom: str) -> str | None:
    """Return what the standard's JSON schema has against a bill of materials, or None."""
    fault = JsonStrictValidator(SCHEMA).validate_str(sbom)
    return None if fault is None else str(fault)


def _component(pin: Pin, is_shipped: bool) -> Component:
    purl = PackageURL("pypi", None, pin.name, pin.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        comment="its files, a hash each",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pin.hashes],
    )
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        scope=ComponentScope.REQUIRED if is_shipped else ComponentScope.EXCLUDED,
        external_references=[files],
        properties=[Property(name="python:marker", value=pin.marker)] if pin.marker else [],
    )
