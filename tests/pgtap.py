"""pgTAP, one SQL file written by others: the project fetches it and does not carry it.

In this order: an extension installed with a PostgreSQL found here; what an earlier run fetched; the
Debian package, unpacked without root; the PGXN distribution. If none is to be had the tests fail
and say so.
"""

from __future__ import annotations

import functools
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import debian
from debian import Unavailable
from psycopg import Connection

from pyapi.embedded import installed, project

CACHE = project() / ".cache" / "pgtap"
SCHEMA = "tap"


def load(connection: Connection) -> None:
    """Into a schema of its own, by any role: CREATE EXTENSION would need a superuser."""
    lines = _source().read_text().splitlines()
    # What speaks to psql (\echo Use "CREATE EXTENSION pgtap" \quit) is no SQL.
    statements = "\n".join(line for line in lines if not line.startswith("\\"))
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    connection.execute(f"SET LOCAL search_path = {SCHEMA}")
    connection.execute(statements.encode())


@functools.cache
def _source() -> Path:
    if found := _newest(_extension_folders()):
        return found
    cached = CACHE / "pgtap.sql"
    if cached.exists():
        return cached
    CACHE.mkdir(parents=True, exist_ok=True)
    reasons = []
    for fetch in (_from_debian, _from_pgxn):
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            draft = Path(scratch) / "pgtap.sql"
            try:
                draft.write_text(fetch(Path(scratch)))
            except (Unavailable, OSError, subprocess.SubprocessError) as reason:
                reasons.append(f"{fetch.__name__[1:]}: {reason}")
                continue
            draft.replace(cached)  # Whole or not at all: a killed run leaves no half of it.
            return cached
    raise Unavailable(
        "pgTAP is needed for db/tests and could not be fetched ("
        + "; ".join(reasons)
        + "). Install it (Debian: postgresql-15-pgtap; elsewhere: pgxn install pgtap), "
        f"or put its pgtap.sql at {cached}"
    )


def _extension_folders() -> Iterable[Path]:
    for major, bin_dir in installed().items():
        share = bin_dir.resolve().parent / "share"
        yield share / "postgresql" / "extension"
        yield share / f"postgresql@{major}" / "extension"
        yield share / "extension"
        yield Path(f"/usr/share/postgresql/{major}/extension")


def _newest(folders: Iterable[Path]) -> Path | None:
    """The whole of pgTAP in its newest version, passing over its parts and its upgrade scripts."""
    found = {
        tuple(map(int, match[1].split("."))): path
        for folder in folders
        for path in folder.glob("pgtap--*.sql")
        if (match := re.fullmatch(r"pgtap--([\d.]+)\.sql", path.name))
    }
    return found[max(found)] if found else None


def _from_debian(scratch: Path) -> str:
    package = debian.unpack(r"^postgresql-[0-9]+-pgtap$", scratch)
    found = _newest(package.glob("usr/share/postgresql/*/extension"))
    if found is None:
        raise Unavailable("nothing usable in the Debian package")
    return found.read_text()


def _from_pgxn(scratch: Path) -> str:
    """Build the file as pgTAP's own Makefile does for every PostgreSQL since 10."""
    pgxn = Path(sys.executable).parent / "pgxn"
    debian.run(str(pgxn), "download", "--target", str(scratch), "pgtap")
    with zipfile.ZipFile(next(scratch.glob("*.zip"))) as archive:
        names = archive.namelist()
        control, template = (
            archive.read(next(name for name in names if name.endswith(end))).decode()
            for end in ("/pgtap.control", "/sql/pgtap.sql.in")
        )
    version = re.search(r"default_version\s*=\s*'(\d+\.\d+)", control)
    if version is None:
        raise Unavailable("its pgtap.control names no version")
    for name, value in {
        "MODULE_PATHNAME": "pgtap",
        "__OS__": platform.system().lower(),
        "__VERSION__": version[1],
    }.items():
        template = template.replace(name, value)
    return template
