"""`python -m supply sbom` and `audit`."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import click

from pyapi.embedded import project
from supply.audit import audit
from supply.lock import LOCK, read_lock
from supply.sbom import find_fault, make_sbom

NOT_ASKED = 3
"""Exit status of an audit that left pins out: neither good nor bad news."""


@click.group()
def main() -> None:
    """What requirements-dev.lock pins."""


@main.command("sbom")
def write_sbom() -> None:
    """Write it as CycloneDX, valid by the standard's own schema."""
    sbom = make_sbom(read_lock())
    if fault := find_fault(sbom):
        raise click.ClickException(f"not valid CycloneDX: {fault}")
    path = project() / "dist" / "irisx-usage.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(sbom)
    click.echo(path.relative_to(project()))


@main.command(
    "audit", context_settings={"ignore_unknown_options": True, "help_option_names": ["-h"]}
)
@click.option("--lock", type=click.Path(exists=True, path_type=Path), default=LOCK)
@click.argument("pip_audit_arguments", nargs=-1, type=click.UNPROCESSED)
def run_audit(lock: Path, pip_audit_arguments: tuple[str, ...]) -> None:
    """Look up known vulnerabilities; other options go to pip-audit (-s osv: another service).

    Exit status: 0 none of any pin, 1 some, 3 none of those looked up, but some were not.
    """
    pins = read_lock(lock)
    found = audit(pins, pip_audit_arguments)
    for pin, known in found.vulnerable.items():
        for line in known:
            click.echo(f"{pin}: {line}")
    answered = found.asked - len(found.unanswered)
    bad = len(found.vulnerable)
    click.echo(f"{lock.name}: {found.asked} pins, {answered} looked up, {bad} vulnerable", err=True)
    for pin, reason in islice(found.unanswered.items(), 1):
        click.echo(f"not looked up: {len(found.unanswered)}, such as {pin}: {reason}", err=True)
    if found.vulnerable:
        sys.exit(1)
    if found.unanswered:
        click.echo("this is no all-clear: ask where the service can be reached", err=True)
        sys.exit(NOT_ASKED)


if __name__ == "__main__":
    main()
